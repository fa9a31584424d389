"""Stage 4, hifv_restorepims: FLAG, WEIGHT and CORRECTED_DATA as the last imaging stage of SE-CONT had them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ccip_batch.casa import Casa
from ccip_batch.errors import CasaError, DataError
from ccip_batch.model import Model
from ccip_batch.sanity import check_flag_version, check_model, check_weights, weight_sum

INITIAL_FLAGS = "hifv_restorepims_initial"
"""Name of the flag version that keeps the flags as stage 3 left them."""
CONTINUUM_FLAGS = "statwt_1"
"""Name of the flag version of SE-CONT's last imaging stage."""


class RestoreResult(Model):
    """What the restoring did."""

    rerun: bool
    """Whether the measurement set had been restored before, and was taken back first."""
    model_peak_jy: float
    """Largest absolute value of MODEL_DATA after the prediction, Jy."""
    selfcal_table: str
    spwmap: list[int]
    lost_flags: float = 0.0
    """Fraction of the flags of stage 3 that the flag version took away."""


def restorepims(
    casa: Casa, vis: str, prediction: Mapping[str, Any], models: Sequence[str], selfcal_table: str
) -> RestoreResult:
    """Restore a measurement set of stage 3, in the current folder with SE-CONT's resources beside it.

    prediction: the tclean parameters of the model prediction, `imagename` among them. models: the continuum model
    images, `.tt0` first. Running it again gives the same columns. Raises DataError if the flag version does not fit the
    measurement set, CasaError if a step left no result.
    """
    rerun = _go_back(casa, vis)
    lost = check_flag_version(casa, vis, CONTINUUM_FLAGS)
    casa.task("delmod", vis=vis, otf=True, scr=False)
    peak = _predict(casa, vis, prediction, models)
    casa.task("flagmanager", vis=vis, mode="restore", versionname=CONTINUUM_FLAGS)
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
    check_weights(casa, vis, weights)
    spws, lowest = _science_spws(casa, vis)
    spwmap = [lowest] * spws
    casa.task(
        "applycal",
        vis=vis,
        gaintable=selfcal_table,
        interp=["nearest"],
        spwmap=spwmap,
        calwt=False,
        parang=False,
        applymode="calonly",
        flagbackup=False,
    )
    with casa.table(vis) as table:
        if "CORRECTED_DATA" not in table.colnames():
            raise CasaError(f"applycal made no CORRECTED_DATA in {vis}; see casa.log.")
    return RestoreResult(rerun=rerun, model_peak_jy=peak, selfcal_table=selfcal_table, spwmap=spwmap, lost_flags=lost)


def _flag_versions(vis: str) -> list[str]:
    return sorted(path.name.removeprefix("flags.") for path in Path(f"{vis}.flagversions").glob("flags.*"))


def _go_back(casa: Casa, vis: str) -> bool:
    """Bring a measurement set that was restored before back to what stage 3 made of it; tells whether it was one.

    If it was not, its flags are saved, for the next time.
    """
    if INITIAL_FLAGS not in _flag_versions(vis):
        with casa.table(vis) as table:
            if "MODEL_DATA" in table.colnames():
                raise DataError(
                    f"{vis} has a MODEL_DATA column but no flag version {INITIAL_FLAGS}: it was changed by something "
                    "else. Start again from the PIMS."
                )
        casa.task("flagmanager", vis=vis, mode="save", versionname=INITIAL_FLAGS, comment="before restorepims")
        return False
    casa.task("flagmanager", vis=vis, mode="restore", versionname=INITIAL_FLAGS)
    # With CORRECTED_DATA there, statwt would write the weights of residual_data to SIGMA alone.
    casa.remove_columns(vis, ["CORRECTED_DATA", "MODEL_DATA", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM"])
    casa.task("initweights", vis=vis, wtmode="nyq")
    return True


def _predict(casa: Casa, vis: str, prediction: Mapping[str, Any], models: Sequence[str]) -> float:
    """Fill MODEL_DATA from the continuum model; gives its largest absolute value, Jy.

    psf and weights are made first under a name that is not the model's, and the model copied beside them: with
    `startmodel` tclean would regrid it where only latpole differs.
    """
    name = prediction["imagename"]
    for old in sorted(Path().glob(f"{name}.*")):
        casa.remove(old.name)
    casa.task("tclean", vis=vis, **prediction)
    for model in models:
        casa.copy(model, f"{name}.model.{model.rsplit('.', 1)[1]}")
    second = {**prediction, "savemodel": "modelcolumn", "calcpsf": False, "restart": True}
    casa.task("tclean", vis=vis, **second)
    return check_model(casa, vis, models[0])


def _science_spws(casa: Casa, vis: str) -> tuple[int, int]:
    """(number of all spws, lowest spw with data)."""
    with casa.table(f"{vis}/SPECTRAL_WINDOW") as table:
        spws = table.nrows()
    with casa.table(f"{vis}/DATA_DESCRIPTION") as table:
        spw_of = np.asarray(table.getcol("SPECTRAL_WINDOW_ID"))
    with casa.table(vis) as table:
        used = spw_of[np.unique(table.getcol("DATA_DESC_ID"))]
    return int(spws), int(used.min())
