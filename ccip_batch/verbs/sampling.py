"""Whether cell and image size suit the data: how fine their fringes are, and how far out their fields lie."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from astropy.units import Quantity
from scipy.constants import speed_of_light

from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.errors import CcipError
from ccip_batch.imaging.sky import offsets, phase_centre
from ccip_batch.job.config import ResolvedJob
from ccip_batch.stages.editimlist import select_fields

_BEAM_ARCMIN_GHZ = 38.0
"""Distance at which an antenna sees a tenth, times the frequency: 0.9 of the width at half power, which is 42 arcmin at
1 GHz (VLA Observational Status Summary)."""
_FINEST, _USUAL, _COARSEST = 5.0, 3.0, 2.0
"""Cells across the narrowest fringe: more than the first are a waste, fewer than the last lose long baselines. VLASS
itself has 2.4 (0.6 arcsec, 11.1 km, 3.95 GHz)."""
_WIDEST = 1.5
"""An image so many times as wide as its fields with their beams is a waste; that of VLASS has the same width."""
_UP_TO = re.compile(r"(?:<|0?~)\s*(\d+(?:\.\d*)?)\s*(k?m)", re.IGNORECASE)


def doubts(job: ResolvedJob, summary: MsSummary) -> list[str]:
    """Warnings about imaging.cell and imaging.imsize, each with a better value."""
    try:
        ids = set(select_fields(summary, job.phasecenter))
        frequencies = [summary.spw(spw).mean_frequency_hz for group in job.groups for spw in group.spws]
    except (CcipError, KeyError):  # told as errors of their own
        return []
    cell = Quantity(str(job.iteration(0)["cell"])).to_value("arcsec")
    warning, better = _of_cell(cell, _longest_baseline(job, summary), max(frequencies))
    fields = offsets([field for field in summary.fields if field.id in ids], phase_centre(job.phasecenter))
    farthest = float(abs(fields).max())
    return [*warning, *_of_size(min(job.image_size()), cell, better, farthest, min(frequencies))]


def _of_cell(cell: float, baseline: float, frequency: float) -> tuple[list[str], float]:
    """A warning, if there is reason for one, and the cell to take (arcsec). baseline: the longest, m, 0 if it is not
    known. frequency: the highest, Hz."""
    if not baseline:
        return [], cell
    fringe = math.degrees(speed_of_light / frequency / baseline) * 3600
    better = float(f"{fringe / _USUAL:.1g}")
    sees = f"the longest baseline, {baseline / 1e3:.3g} km, sees {fringe:.2g} arcsec at {frequency / 1e9:.2f} GHz"
    if fringe / cell > _FINEST:
        return [
            f"imaging.cell: pixels of {cell:g} arcsec are finer than need be: {sees}; {better:g}arcsec would do"
        ], better
    if fringe / cell < _COARSEST:
        words = f"imaging.cell: pixels of {cell:g} arcsec are too coarse: {sees}. Take {better:g}arcsec, or leave long "
        return [f"{words}baselines out with imaging.uvrange"], better
    return [], cell


def _of_size(pixels: int, cell: float, better: float, farthest: float, frequency: float) -> Iterator[str]:
    """pixels: of the image's shorter side. cell, better: the pixel as it is and as it should be, arcsec. farthest: the
    outermost field's offset from the phase centre, arcsec. frequency: the lowest, Hz."""
    wide = 2 * (farthest + _BEAM_ARCMIN_GHZ * 60 / (frequency / 1e9))
    wanted = math.ceil(wide / better / 2) * 2
    says = f"imaging.imsize: {pixels} pixels of {cell:g} arcsec are {pixels * cell / 60:.0f} arcmin"
    if pixels * cell > _WIDEST * wide:
        yield (
            f"{says}, but the fields with their beams are {wide / 60:.0f} arcmin wide: {wanted} pixels of {better:g} "
            f"arcsec would do, {(pixels / wanted) ** 2:.0f} times fewer"
        )
    elif pixels * cell < 2 * farthest:
        yield (
            f"{says}, but there are fields {farthest / 60:.0f} arcmin from the phase centre, and sources outside the "
            f"image are not cleaned: {wanted} pixels of {better:g} arcsec hold all"
        )


def _longest_baseline(job: ResolvedJob, summary: MsSummary) -> float:
    """m; 0 if the summary does not tell."""
    limit = _UP_TO.fullmatch(str(job.iteration(0).get("uvrange", "")).strip())
    if limit is None:
        return summary.longest_baseline_m
    return min(summary.longest_baseline_m, float(limit[1]) * (1e3 if limit[2].lower() == "km" else 1.0))
