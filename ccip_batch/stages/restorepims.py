"""Stage 4, hifv_restorepims: FLAG, WEIGHT and corrected data as the last imaging stage of SE-CONT had them.

The prediction divides the model by the weight image of all spws, which is made first, here. All that follows is
independent for each spw, and is done in `restoregroup`, side by side; the measurement set of stage 3 stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pydantic
from pydantic import Field

from ccip_batch import processes
from ccip_batch.casa import side_by_side
from ccip_batch.casa.checks import check_flag_version
from ccip_batch.casa.session import Casa
from ccip_batch.errors import CasaError, DataError
from ccip_batch.job.resources_archive import FLAG_VERSION
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.run.results import StageResult
from ccip_batch.stages.restoregroup import RestoredGroup, Restoring, restore_group


class RestoreResult(StageResult):
    """What stage 4 did."""

    stage: ClassVar[str] = "restorepims"
    model_config = pydantic.ConfigDict(extra="ignore")
    """The results of older versions have more keys, and are still to be read by the report."""

    model_peak_jy: float
    """Largest absolute value of MODEL_DATA after the prediction, Jy."""
    selfcal_table: str
    spwmap: list[int]
    lost_flags: float = 0.0
    """Fraction of the flags of stage 3 that the flag version took away."""
    groups: list[RestoredGroup] = Field(default_factory=list, exclude=True)
    """For the stages that follow; not part of what is recorded."""


def restorepims(
    casa: Casa,
    restoring: Restoring,
    groups: Sequence[SpwGroup],
    at_once: int,
    log: Path,
) -> RestoreResult:
    """Restore what stage 3 made, in the current folder with SE-CONT's resources beside it, as `<group>.ms` each.

    restoring: what is restored and with what. groups: spws that are restored together; a spw that is in no group is
    restored by itself, since the prediction and the flag statistics are of all spws. at_once: how many groups at a
    time, which does not change them. log: CASA's log, to which the logs of the groups are appended. Raises DataError if
    the flag version does not fit the measurement set, or if a single flag command selects nothing in any group (in a
    list of several, CASA passes over those that select nothing); CasaError if a step left no result, PartError if it
    failed in one of the groups.
    """
    vis = restoring.whole
    with casa.table(vis) as table:
        if "MODEL_DATA" in table.colnames():
            raise DataError(
                f"{vis} has a MODEL_DATA column: it was changed by something else. Start again from the PIMS."
            )
    lost = check_flag_version(casa, vis, FLAG_VERSION)
    casa.task("delmod", vis=vis, otf=True, scr=False)
    _make_weights(casa, vis, restoring.prediction)
    processes.give_memory_back()
    _, used = _science_spws(casa, vis)
    given = restoring.model_dump(mode="json")
    parts = {group.name: {"spw": group.selection, "given": given} for group in _with_data(groups, used)}
    restored = side_by_side.run(casa, log, restore_group, RestoredGroup, parts, at_once)
    check_all(vis, restored, restoring.models[0])
    if restoring.commands and not any(one.commands_selected for one in restored):
        raise DataError(f"the flag commands select no data of {vis}; correct the file of inputs.flag_commands.")
    return RestoreResult(
        model_peak_jy=max(one.model_peak_jy for one in restored),
        selfcal_table=restoring.selfcal_table,
        spwmap=restoring.spwmap,
        lost_flags=lost,
        groups=restored,
    )


def spwmap(casa: Casa, vis: str) -> list[int]:
    """For each spw the first one that has data, whose solutions the self-calibration table of all spws has."""
    spws, used = _science_spws(casa, vis)
    return [min(used)] * spws


def _make_weights(casa: Casa, vis: str, prediction: Mapping[str, Any]) -> None:
    """Make the weight image of all spws, by which the model is divided.

    It is the same for any number of Taylor terms, and the prediction reads no pixel of the psf: one term is enough.
    """
    for old in sorted(Path().glob(f"{prediction['imagename']}.*")):
        casa.remove(old.name)
    casa.task("tclean", vis=vis, **{**prediction, "nterms": 1})


def _with_data(groups: Sequence[SpwGroup], used: Sequence[int]) -> list[SpwGroup]:
    """The groups that have data, and the spws that are in none of them."""
    grouped = {spw for group in groups for spw in group.spws}
    alone = [SpwGroup((spw,)) for spw in used if spw not in grouped]
    return sorted([group for group in groups if set(group.spws) & set(used)] + alone)


def _science_spws(casa: Casa, vis: str) -> tuple[int, list[int]]:
    """(number of all spws, spws with data)."""
    with casa.table(f"{vis}/SPECTRAL_WINDOW") as table:
        spws = table.nrows()
    with casa.table(f"{vis}/DATA_DESCRIPTION") as table:
        spw_of = np.asarray(table.getcol("SPECTRAL_WINDOW_ID"))
    with casa.table(vis) as table:
        used = spw_of[np.unique(table.getcol("DATA_DESC_ID"))]
    return int(spws), sorted({int(spw) for spw in used})


def check_all(vis: str, restored: Sequence[RestoredGroup], model: str) -> None:
    """That some group has a model and changed weights; one whose data are all flagged has neither. Raises CasaError."""
    if not any(one.model_peak_jy > 0 for one in restored):
        raise CasaError(
            f"MODEL_DATA of {vis} is zero everywhere after the prediction from {model}: all data are flagged, or the "
            "model images of reimaging_resources.tgz have no source in them or are of another square degree."
        )
    if not any(one.weights_changed for one in restored):
        raise CasaError(f"statwt has changed no weight of {vis}. See casa.log of the node, and run it again.")
