"""The products of the continuum run that the coarse cube starts from: masks, models, phases, flag versions.

What is real and what is not: the self-calibration table is solved for by CASA's `gaincal` on the simulated data, the
flag versions are saved by `flagmanager` on the measurement set that `mstransform` makes. The clean models are not
cleaned but painted on the coordinates that `tclean` gives the continuum image: the true sources times the primary beam
of the mosaic, which is how CASA stores mosaic models. That spares the gridding of all spws for each major cycle and
serves the same end, the weights of `statwt`, which are those of data minus model. The iter1 model has the sources of
the Quick Look catalogue alone, as a clean inside the tier-1 mask would.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import RectBivariateSpline

from ccip_batch.casa.session import Casa
from ccip_batch.job.resources_archive import FLAG_VERSION
from ccip_batch.simulate.beam import primary_beam
from ccip_batch.simulate.observation import PHASE_CENTRE, PHASE_CENTRE_TEXT, ROOT, Field, spw_frequencies
from ccip_batch.simulate.presets import Preset
from ccip_batch.simulate.sky import ARCSEC, Floats, Source, direction_cosines
from ccip_batch.simulate.visibilities import Interference, Rows, chunks, model

SE_NAME = "VLASS2.1.se.T00t00.J133336+164404.06.2048.v1"
"""The imagename of SEIP_parameter.list."""
TARGET_INTENT = "OBSERVE_TARGET#UNSPECIFIED"
UVTAPER = {"b": "2.6476arcsec", "d": "26.476arcsec"}
"""The survey's taper, and ten times that where the D configuration stands in for B, which is ten times longer."""
BEAM_PIXELS = 1024
"""Pixels a side from which on the beam of the mosaic, which is smooth, is interpolated: each field's is evaluated."""
_SELFCAL = f"{ROOT}_split.ms.hifv_selfcal.s8_1.phase-self-cal.tbl"
_SPLIT = f"{ROOT}_split.ms"
_GRID = "se.grid"


def make_products(
    casa: Casa, preset: Preset, fields: list[Field], bursts: list[Interference], progress: Callable[[str], None]
) -> list[str]:
    """Make the SE-CONT products in the current folder, which holds the measurement set; returns their names.

    preset: what is simulated. fields: of the mosaic. bursts: the interference in the data, which the last flag version
    flags. progress: called with a line for each step.
    """
    progress("the measurement set of the target fields")
    spws = ",".join(str(spw) for spw in preset.spws)
    ids = ",".join(str(field.id) for field in fields)
    casa.task(
        "mstransform",
        vis=f"{ROOT}.ms",
        outputvis=_SPLIT,
        field=ids,
        spw=spws,
        datacolumn="data",
        chanbin=1,
        timebin="0s",
        reindex=False,
    )
    progress("flag versions")
    _save_flags(casa, bursts)
    progress("phase self-calibration")
    _selfcal(casa, preset, fields)
    progress("masks and models")
    _make_grid(casa, preset, spws, ids)
    images = _paint_masks(casa, preset) + _paint_models(casa, preset, fields)
    return [*images, _SELFCAL, f"{_SPLIT}.flagversions"]


def _save_flags(casa: Casa, bursts: list[Interference]) -> None:
    """Three versions: as observed, the same before interference was looked for, and with the interference flagged."""
    for version in ("se_initial", "flagdata_1"):
        casa.task("flagmanager", vis=_SPLIT, mode="save", versionname=version, comment=f"before {version}")
    with casa.table(_SPLIT, write=True) as table:
        for burst in bursts:
            part = table.query(f"DATA_DESC_ID == {_description(casa, burst.spw)}")
            flags = part.getcol("FLAG")
            flags[:, burst.channel, burst.find(Rows.of(part))] = True
            part.putcol("FLAG", flags)
            part.close()
    casa.task("flagmanager", vis=_SPLIT, mode="save", versionname=FLAG_VERSION, comment=f"before {FLAG_VERSION}")


def _description(casa: Casa, spw: int) -> int:
    with casa.table(f"{_SPLIT}/DATA_DESCRIPTION") as table:
        return int(np.flatnonzero(table.getcol("SPECTRAL_WINDOW_ID") == spw)[0])


def _selfcal(casa: Casa, preset: Preset, fields: list[Field]) -> None:
    """Solve for one phase an antenna, polarisation and scan.

    On all sources: scans are snapshots, and a source that the model lacks would lose 3-5% of its flux to the phases.
    """
    with casa.table(_SPLIT, write=True) as table:
        description = {**table.getcoldesc("DATA"), "comment": "The model column"}
        table.addcols({"MODEL_DATA": description}, _tiled(table))
        for spw in preset.spws:
            part = table.query(f"DATA_DESC_ID == {_description(casa, spw)}")
            rows = Rows.of(part)
            for start, number in chunks(len(rows.time), preset.channels):
                seen = model(preset.sources, spw, preset.channels, fields, rows[start : start + number])
                part.putcol("MODEL_DATA", seen, start, number)
            part.close()
    casa.task(
        "gaincal",
        vis=_SPLIT,
        caltable=_SELFCAL,
        refant="ea01",
        solint="inf",
        combine="field,spw",
        gaintype="G",
        calmode="p",
        minsnr=3.0,
        uvrange="<12km",
    )
    with casa.table(_SPLIT, write=True) as table:
        table.removecols(["MODEL_DATA"])


def _tiled(table: Any) -> dict[str, Any]:
    return {"NAME": "ModelColumn", "TYPE": "TiledShapeStMan", "SPEC": {"DEFAULTTILESHAPE": [4, 8, 512]}}


def _make_grid(casa: Casa, preset: Preset, spws: str, ids: str) -> None:
    """An image with the coordinates of the continuum images: a psf, with the gridder that is quickest."""
    casa.task(
        "tclean",
        vis=_SPLIT,
        imagename=_GRID,
        field=ids,
        spw=spws,
        intent=TARGET_INTENT,
        uvrange="<12km",
        imsize=[preset.pixels, preset.pixels],
        cell=[f"{preset.cell}arcsec"],
        phasecenter=PHASE_CENTRE_TEXT,
        stokes="I",
        specmode="mfs",
        reffreq="3.0GHz",
        outframe="LSRK",
        gridder="standard",
        deconvolver="mtmfs",
        nterms=1,
        weighting="natural",
        datacolumn="data",
        niter=0,
        restoration=False,
        calcres=False,
        calcpsf=True,
        savemodel="none",
        parallel=False,
    )


def mosaic_beam(preset: Preset, fields: list[Field]) -> Floats:
    """Primary beam of the mosaic of all science spws, as CASA defines it: the root of the weights, 1 at its peak."""
    east, north = _grid(preset)
    step = max(1, preset.pixels // BEAM_PIXELS)
    if step == 1:
        return _beam_at(preset, fields, east, north)
    some = np.unique([*range(0, preset.pixels, step), preset.pixels - 1])
    beam = _beam_at(preset, fields, east[some], north[:, some])
    pixels = np.arange(preset.pixels)
    whole: Floats = RectBivariateSpline(some, some, beam, kx=1, ky=1)(pixels, pixels)
    return whole


def _beam_at(preset: Preset, fields: list[Field], east: Floats, north: Floats) -> Floats:
    """That at offsets in arcsec, a column and a row of them."""
    x, y = east * ARCSEC, north * ARCSEC
    weight = np.zeros((east.size, north.size))
    for field in fields:
        east_of, north_of, _ = direction_cosines(field.ra, field.dec, *PHASE_CENTRE)
        radius = np.hypot(x - east_of, y - north_of)
        for spw in preset.spws:
            weight += _unflagged(preset, spw) * primary_beam(spw, radius, spw_frequencies(spw, 1)) ** 2
    beam: Floats = np.sqrt(weight / weight.max())
    return beam


def _unflagged(preset: Preset, spw: int) -> float:
    flagged = preset.flagged.get(spw)
    if flagged is None:
        return 1.0
    return 1.0 - flagged.fraction * flagged.fields - flagged.elsewhere * (1.0 - flagged.fields)


def _grid(preset: Preset) -> tuple[Floats, Floats]:
    """Offsets of pixels from the phase centre in arcsec, east and north, indexed as CASA does: a column and a row."""
    offset = (np.arange(preset.pixels) - preset.pixels // 2) * preset.cell
    east, north = np.meshgrid(-offset, offset, indexing="ij", sparse=True)
    return east, north


def _shape(source: Source, preset: Preset) -> Floats:
    """The source with a flux density of 1, per pixel."""
    east, north = _grid(preset)
    painted: Floats
    if source.gauss is None:
        painted = np.zeros((preset.pixels, preset.pixels))
        painted[
            preset.pixels // 2 - round(source.dx / preset.cell), preset.pixels // 2 + round(source.dy / preset.cell)
        ] = 1
        return painted
    distance = _ellipse(source, east, north, 0.0)
    painted = np.exp(-4 * np.log(2) * distance)
    painted /= painted.sum()
    return painted


def _ellipse(source: Source, east: Floats, north: Floats, margin: float) -> Floats:
    """Square of the distance in units of the source's axes (FWHM), each enlarged by a margin in arcsec."""
    major, minor, angle = source.gauss or (0.0, 0.0, 0.0)
    x, y, turn = east - source.dx, north - source.dy, np.radians(angle)
    along, across = x * np.sin(turn) + y * np.cos(turn), x * np.cos(turn) - y * np.sin(turn)
    square: Floats = (along / (major + margin)) ** 2 + (across / (minor + margin)) ** 2
    return square


def _write_like(casa: Casa, name: str, pixels: Floats, unit: str) -> str:
    """Write an image with the coordinates of the continuum images."""
    casa.copy(f"{_GRID}.psf.tt0", name)
    with casa.image(name) as image:
        image.putchunk(pixels[:, :, None, None].astype(np.float32))
        image.setrestoringbeam(remove=True)
        image.setbrightnessunit(unit)
        image.sethistory(origin="simulate", history=["made from the true sources"])
    return name


def _paint_masks(casa: Casa, preset: Preset) -> list[str]:
    """Tier-1: sources of the catalogue. Second: the others. Combined tier-2: both."""
    east, north = _grid(preset)
    masks = {in_ql: np.zeros((preset.pixels, preset.pixels)) for in_ql in (True, False)}
    for source in preset.sources:
        masks[source.in_ql][_ellipse(source, east, north, preset.resolution) <= 1.0] = 1.0
    both = np.maximum(masks[True], masks[False])
    return [
        _write_like(casa, f"s4_0.{SE_NAME}.QLcatmask-tier1.mask", masks[True], ""),
        _write_like(casa, f"s12_0.{SE_NAME}.secondmask.mask", masks[False], ""),
        _write_like(casa, f"s12_0.{SE_NAME}.combined-tier2.mask", both, ""),
    ]


def _paint_models(casa: Casa, preset: Preset, fields: list[Field]) -> list[str]:
    beam = mosaic_beam(preset, fields)
    made = []
    for stage, iteration, sources in (
        ("s5_0", "iter1", [source for source in preset.sources if source.in_ql]),
        ("s13_0", "iter3", list(preset.sources)),
    ):
        terms = [np.zeros(beam.shape), np.zeros(beam.shape)]
        for source in sources:
            painted = source.i0 * _shape(source, preset) * beam
            terms[0] += painted
            terms[1] += source.alpha * painted
        for term, pixels in enumerate(terms):
            made.append(_write_like(casa, f"{stage}.{SE_NAME}.I.{iteration}.model.tt{term}", pixels, "Jy/pixel"))
    return made


def pack(names: list[str], target: Path) -> None:
    """Pack folders of the current folder into a tarball: no leading folder, fixed order, no owner and no times."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    with tarfile.open(target, "w:gz", compresslevel=6) as tar:
        for name in names:
            tar.add(name, recursive=False, filter=plain)
            for path in sorted(Path(name).rglob("*")):
                tar.add(path, recursive=False, filter=plain)
