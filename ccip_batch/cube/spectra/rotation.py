"""Rotation measures of the spectra that were extracted: a fit to Q and U, and RM-Tools' synthesis where it is there."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Table
from scipy.constants import speed_of_light

from ccip_batch.cube.polarisation import FEWEST, Spectrum, fit_rotation, wavelength_squared

_SURE = 5.0
"""Polarised intensity is taken to fall with frequency as Stokes I does where that is so many errors in all planes."""
_SYNTHESIS = {
    "RM_synth": "phiPeakPIfit_rm2", "RM_synth_err": "dPhiPeakPIfit_rm2", "P_synth": "ampPeakPIfitEff",
    "P_synth_err": "dAmpPeakPIfit", "chi0_synth": "polAngle0Fit_deg", "chi0_synth_err": "dPolAngle0Fit_deg",
}  # fmt: skip
"""RM-Tools' names of what is taken from it."""
_UNITS = {"frequency": units.Hz, "ra": units.deg, "dec": units.deg} | {
    f"{name}{more}": unit
    for name, unit in (("RM", units.rad / units.m**2), ("chi0", units.deg))
    for more in ("", "_err", "_synth", "_synth_err")
}


def rotation_measures(table: Table, warn: Callable[[str], None]) -> Table:
    """A row a position of the table that `extract` gives: RM, P (corrected for bias), chi0 with errors, from the kept
    planes with Q and U.

    P is that at `frequency`, the mean in wavelength squared. P_limit is as many errors as the spectra's limits are,
    where P is less, and NaN elsewhere. chi2 is the reduced chi squared of the fit. Columns `..._synth` are those of
    RM-Tools' RM synthesis. NaN where fewer than three planes have Q, U and their errors; warn is told if RM-Tools is
    not there.
    """
    synthesis = _rm_tools(warn)
    number = float(table.meta["LIMIT"])
    rows = []
    for part in np.split(table, np.flatnonzero(table["frequency"] == table["frequency"][0])[1:]):
        row = {name: part[name][0] for name in ("name", "ra", "dec")} | _position(part, synthesis)
        row["P_limit"] = number * row["P_err"] if row["P"] < number * row["P_err"] else math.nan
        rows.append(row)
    result = Table(rows=rows)
    for name in result.colnames:
        result[name].unit = table["Q"].unit if name.startswith("P") else _UNITS.get(name)
    result.meta.update(table.meta)
    return result


def _position(part: Table, synthesis: Callable[..., Any] | None) -> dict[str, float]:
    """Of one position's spectrum."""
    names = ["frequency", *(f"{stokes}{more}" for stokes in "IQU" for more in ("", "_err"))]
    kept = part[part["state"] == "kept"]
    found: dict[str, float] = {"planes": 0} | dict.fromkeys(
        ["frequency", "RM", "RM_err", "P", "P_err", "chi0", "chi0_err", "chi2", *(_SYNTHESIS if synthesis else ())],
        math.nan,
    )
    columns = {name: np.asarray(kept[name], dtype=np.float64) for name in names}
    there = np.isfinite([columns[name] for name in names[-4:]]).all(axis=0)
    columns = {name: values[there] for name, values in columns.items()}
    found["planes"] = int(there.sum())
    if found["planes"] < FEWEST:
        return found
    frequency, q, u = (columns[name] for name in ("frequency", "Q", "U"))
    error = np.sqrt((columns["Q_err"] ** 2 + columns["U_err"] ** 2) / 2)
    squared = wavelength_squared(frequency)
    found["frequency"] = speed_of_light / math.sqrt(float(np.average(squared, weights=error**-2)))
    model = _stokes_i(columns)
    shape = np.ones_like(q) if model is None else model(frequency) / model(np.array(found["frequency"]))
    fit = fit_rotation(squared, q, u, error, shape)
    found |= {
        "RM": fit.rm, "RM_err": fit.rm_err, "P": fit.p, "P_err": fit.p_err, "chi0": fit.chi0,
        "chi0_err": fit.chi0_err, "chi2": fit.chi2,
    }  # fmt: skip
    if synthesis:
        found |= _synthesised(synthesis, columns, None if model is None else model(frequency))
    return found


def _stokes_i(columns: dict[str, Spectrum]) -> Callable[[Spectrum], Spectrum] | None:
    """Stokes I against frequency, a power law with a curvature where there are planes enough; None where it is not
    detected in all of them."""
    frequency, flux, error = (columns[name] for name in ("frequency", "I", "I_err"))
    with np.errstate(invalid="ignore"):
        if not np.all(flux > _SURE * error):
            return None
    order = 2 if len(flux) > 2 * FEWEST else 1
    law = np.polynomial.Polynomial.fit(np.log(frequency), np.log(flux), order, w=flux / error)
    return lambda at: np.asarray(np.exp(law(np.log(at))), dtype=np.float64)


def _rm_tools(warn: Callable[[str], None]) -> Callable[..., Any] | None:
    try:
        from RMtools_1D.do_RMsynth_1D import run_rmsynth
    except ImportError:
        warn("RM-Tools is not installed: rotation measures are from the fit alone. pip install 'ccip-batch[rm]'")
        return None
    return run_rmsynth  # type: ignore[no-any-return]


def _synthesised(
    synthesis: Callable[..., Any], columns: dict[str, Spectrum], model: Spectrum | None
) -> dict[str, float]:
    """What RM-Tools makes of a spectrum; nothing where it cannot."""
    stokes = "QU" if model is None else "IQU"
    data = [columns[name] for name in ("frequency", *stokes, *(f"{one}_err" for one in stokes))]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it talks while it works
        warnings.simplefilter("ignore")
        summary, _ = synthesis(data, modStokesI=model, noStokesI=model is None, log=lambda *words: None)
    # It has no value for a peak that it cannot fit.
    return {ours: float(summary[theirs] or math.nan) for ours, theirs in _SYNTHESIS.items()}
