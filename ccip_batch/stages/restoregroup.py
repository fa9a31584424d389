"""The part of stages 4 and 5 that is independent for each spw: one group, from the measurement set of stage 3.

Bit-identical to doing the same with all spws at once: `statwt` and `applycal` are, and the prediction is if it finds
the weight image of all spws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ccip_batch.casa.checks import check_model, check_weights, weight_sum
from ccip_batch.casa.flag_statistics import FlagCounts, count_flags
from ccip_batch.casa.measurement_set import row_chunks
from ccip_batch.casa.session import Casa
from ccip_batch.errors import CasaError
from ccip_batch.job.resources_archive import FLAG_VERSION
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.records import Model

FOLDER = "groups"
"""Folder of the current one with `<group>.ms` of each group that was restored: the corrected data as DATA."""


class Restoring(Model):
    """What is restored, and with what: the same for all groups. Files are of the current folder."""

    whole: str
    """The measurement set of stage 3, with `FLAG_VERSION` among its flag versions. It is only read here."""
    prediction: dict[str, Any]
    """The tclean parameters of the model prediction; those of all spws, `imagename` among them."""
    models: list[str]
    """The continuum model images, `.tt0` first."""
    selfcal_table: str
    spwmap: list[int]
    """For each spw, that of the self-calibration table whose solutions it takes."""
    commands: list[str]
    """The user's flag commands."""


class RestoredGroup(Model):
    """A group that was restored."""

    spw: str
    """As CASA selects it: `'3,4'`."""
    model_peak_jy: float
    """Largest absolute value of MODEL_DATA where it is not flagged, Jy; 0 if all is flagged."""
    weights_changed: bool
    """Whether statwt has changed any weight."""
    before: FlagCounts
    """Before the user's flag commands."""
    after: FlagCounts
    commands_selected: bool
    """Whether the user gave flag commands; False also if the only command selects none of the group's data."""


def restore_group(
    casa: Casa,
    spw: str,
    given: Mapping[str, Any],
) -> RestoredGroup:
    """Restore a group, as CASA selects it, into `groups/<group>.ms`. given: a `Restoring`, as it comes from JSON.

    Raises CasaError if a step left no result. The measurement set that is worked on, with MODEL_DATA and
    CORRECTED_DATA, is removed when that is done.
    """
    restoring, group = Restoring.model_validate(given), SpwGroup.parse(spw)
    vis, target = f"{group.name}.ms", f"{FOLDER}/{group.name}.ms"
    Path(FOLDER).mkdir(exist_ok=True)
    casa.record(f"os.makedirs({FOLDER!r}, exist_ok=True)")
    casa.task("mstransform", vis=restoring.whole, outputvis=vis, spw=spw, datacolumn="data", reindex=False)
    peak = _predict(casa, vis, spw, restoring)
    _restore_flags(casa, vis, restoring.whole)
    weights = weight_sum(casa, vis)
    casa.task(
        "statwt",
        vis=vis,
        combine="field,scan,state,corr",
        chanbin=1,
        timebin="1yr",
        datacolumn="residual_data",
        flagbackup=False,
    )
    check_weights(casa, vis)
    changed = weight_sum(casa, vis) != weights
    casa.task(
        "applycal",
        vis=vis,
        gaintable=restoring.selfcal_table,
        interp=["nearest"],
        spwmap=restoring.spwmap,
        calwt=False,
        parang=False,
        applymode="calonly",
        flagbackup=False,
    )
    with casa.table(vis) as table:
        if "CORRECTED_DATA" not in table.colnames():
            raise CasaError(f"applycal made no CORRECTED_DATA in {vis}; see casa.log.")
    before = after = count_flags(casa, Path(vis))
    selected = bool(restoring.commands) and _apply(casa, vis, restoring.commands)
    if selected:
        after = count_flags(casa, Path(vis))
    casa.task("mstransform", vis=vis, outputvis=target, spw=spw, datacolumn="corrected", reindex=False)
    if not Path(target, "table.dat").is_file():
        raise CasaError(f"mstransform wrote no {target}; see casa.log.")
    casa.remove(vis)
    casa.remove(f"{vis}.flagversions")
    return RestoredGroup(
        spw=spw, model_peak_jy=peak, weights_changed=changed, before=before, after=after, commands_selected=selected
    )


def _predict(casa: Casa, vis: str, spw: str, restoring: Restoring) -> float:
    """Fill MODEL_DATA from the continuum model; returns its largest absolute value, Jy.

    The weight image is that of all spws. tclean takes images as they are only if their spectral axis is that of the
    data it reads: it makes an image of these first, which costs next to nothing, to copy the axis from. It also wants a
    psf and the sums of weights of all Taylor terms to be there, and reads only the weight image.
    """
    prediction, weights = {**restoring.prediction, "spw": spw}, restoring.prediction["imagename"]
    name = f"{vis.removesuffix('.ms')}.{weights}"
    blank = f"{name}.blank"
    casa.task(
        "tclean",
        vis=vis,
        **{**prediction, "imagename": blank, "nterms": 1, "weighting": "natural", "calcpsf": False},
    )
    sources = {"weight.tt0": f"{weights}.weight.tt0", "psf.tt0": f"{weights}.psf.tt0"}
    terms = int(prediction["nterms"])
    sources |= {f"sumwt.tt{term}": f"{weights}.sumwt.tt0" for term in range(2 * terms - 1)}
    sources |= {f"model.tt{term}": model for term, model in enumerate(restoring.models)}
    for kind, source in sources.items():
        casa.copy(source, f"{name}.{kind}")
    _take_axes(casa, f"{blank}.pb.tt0", [f"{name}.{kind}" for kind in sources])
    second = {**prediction, "imagename": name, "savemodel": "modelcolumn", "calcpsf": False, "restart": True}
    casa.task("tclean", vis=vis, **second)
    peak = check_model(casa, vis, restoring.models[0])
    for image in sorted(Path().glob(f"{name}.*")):
        casa.remove(image.name)
    return peak


def _apply(casa: Casa, vis: str, commands: Sequence[str]) -> bool:
    """Apply the user's flag commands; returns whether they select any data of this measurement set.

    CASA says that they do not only of a single command; of several, it passes over those that select nothing.
    """
    recorded = casa.script_bytes()
    try:
        casa.task("flagdata", vis=vis, mode="list", inpfile=list(commands), action="apply", flagbackup=False)
    except CasaError as error:
        if "MSSelectionNullSelection" not in str(error):
            raise
        casa.cut_script(recorded)  # the recorded calls must not end there
        return False
    return True


def _take_axes(casa: Casa, template: str, images: Sequence[str]) -> None:
    """Give images the coordinates of another one of the same shape."""
    with casa.image(template) as tool:
        axes = tool.coordsys().torecord()
    for image in images:
        with casa.image(image) as tool:
            tool.setcoordsys(axes)
    casa.record(
        f"image = casatools.image()\nimage.open({template!r})\naxes = image.coordsys().torecord()\nimage.close()\n"
        f"for name in {list(images)!r}:\n    image.open(name)\n    image.setcoordsys(axes)\n    image.close()"
    )


def _restore_flags(casa: Casa, vis: str, whole: str) -> None:
    """Take the flags of SE-CONT, whose version has the rows of the whole in their order; so has the group's set.

    MODEL_DATA must be there by now: flagged data are not predicted, and it was made with the flags of stage 3.
    """
    version = f"{whole}.flagversions/flags.{FLAG_VERSION}"
    with casa.table(vis) as table:
        descriptions = [int(one) for one in np.unique(table.getcol("DATA_DESC_ID"))]
    keys = ("TIME", "ANTENNA1", "ANTENNA2", "FIELD_ID")
    for description in descriptions:
        with casa.table(whole) as table:
            of_whole = np.flatnonzero(table.getcol("DATA_DESC_ID") == description)
            expected = [table.getcol(key)[of_whole] for key in keys]
        with casa.table(vis) as table:
            rows = np.flatnonzero(table.getcol("DATA_DESC_ID") == description)
            if not all(
                np.array_equal(table.getcol(key)[rows], there) for key, there in zip(keys, expected, strict=True)
            ):
                raise CasaError(
                    f"the rows of {vis} are not those of {whole} in their order: mstransform no longer keeps it."
                )
        for start, number in row_chunks(len(rows)):
            part = slice(start, start + number)
            with casa.table(version) as source, casa.table(vis, write=True) as table:
                there, here = source.selectrows(of_whole[part].tolist()), table.selectrows(rows[part].tolist())
                for column in ("FLAG", "FLAG_ROW"):
                    here.putcol(column, there.getcol(column))
                here.close()
                there.close()
    casa.record(
        f"""\
for description in {descriptions!r}:
    opened = []
    for name in ({whole!r}, {version!r}, {vis!r}):
        table = casatools.table()
        table.open(name, nomodify=name != {vis!r})
        opened.append(table)
    whole, version, group = opened
    there = version.selectrows((whole.getcol('DATA_DESC_ID') == description).nonzero()[0].tolist())
    here = group.selectrows((group.getcol('DATA_DESC_ID') == description).nonzero()[0].tolist())
    for column in ('FLAG', 'FLAG_ROW'):
        here.putcol(column, there.getcol(column))
    for table in (here, there, *opened):
        table.close()"""
    )
