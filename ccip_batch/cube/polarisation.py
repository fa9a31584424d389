"""Linear polarisation: wavelength squared, the bias of polarised intensity, and the rotation measure of a spectrum."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.constants import speed_of_light
from scipy.optimize import minimize_scalar

Spectrum = NDArray[np.float64]
BIAS = 2.3
"""Polarised intensity at the best of many rotation measures is too large by as many squared errors, in the square
(George, Stil & Keller 2012, PASA 29, 214; RM-Tools corrects by the same)."""
_STEP = 0.5
"""Step of the coarse grid of rotation measures times the range of wavelength squared; a peak is 3.8 wide so."""
FEWEST = 3
"""Planes that it takes to fit a rotation measure: with two, any angle at wavelength zero fits."""


@dataclass(frozen=True)
class Rotation:
    """A rotation measure fitted to Q and U."""

    rm: float
    """rad/m2."""
    rm_err: float
    p: float
    """Polarised intensity at the spectrum's reference, corrected for bias, in the unit of Q and U."""
    p_err: float
    chi0: float
    """Polarisation angle at wavelength zero, degrees from 0 to 180, north through east."""
    chi0_err: float
    chi2: float
    """Reduced chi squared of Q and U; far above 1 for more than one Faraday depth."""

    def angle(self, squared: Spectrum) -> Spectrum:
        """Polarisation angle at some wavelength squared (m2): degrees, not wrapped."""
        turned: Spectrum = self.chi0 + np.degrees(self.rm * squared)
        return turned


def wavelength_squared(frequency: Spectrum) -> Spectrum:
    """m2, of Hz."""
    squared: Spectrum = (speed_of_light / frequency) ** 2
    return squared


def debiased(p: Spectrum, error: Spectrum) -> Spectrum:
    """Polarised intensity at the best rotation measure, corrected for bias (`BIAS`); 0 where it is less than that."""
    corrected: Spectrum = np.sqrt(np.maximum(p**2 - BIAS * error**2, 0))
    return corrected


def fit_rotation(squared: Spectrum, q: Spectrum, u: Spectrum, error: Spectrum, shape: Spectrum) -> Rotation:
    """The rotation measure by weighted least squares of Q + iU = P shape exp(2i (chi0 + RM squared)).

    Q and U are fitted, and not angles, so that there is no ambiguity of half turns, and errors are normal also where
    the signal is weak. For a given RM the fit is linear; the best RM is the highest point of a coarse grid, refined.
    squared: wavelength squared, m2, of at least `FEWEST` planes. error: of Q and of U. shape: P of each plane over that
    at the reference, such as Stokes I's.
    """
    weights = (shape / error) ** 2
    data = (q + 1j * u) / shape
    mean = float(np.average(squared, weights=weights))
    width = math.sqrt(float(np.average((squared - mean) ** 2, weights=weights)))
    away = squared - mean

    def amplitude(rm: float) -> complex:
        return complex(np.average(data * np.exp(-2j * rm * away), weights=weights))

    extent = float(np.ptp(squared))
    # Beyond this, a rotation measure turns the angle by more than a radian or so from plane to plane.
    largest = max(math.sqrt(3) / float(np.median(np.diff(np.sort(squared)))), 38 / extent)
    step = _STEP / extent
    count = math.ceil(largest / step)
    best = max((step * number for number in range(-count, count + 1)), key=lambda rm: abs(amplitude(rm)))
    rm = float(
        minimize_scalar(
            lambda rm: -abs(amplitude(rm)), bounds=(best - step, best + step), method="bounded",
            options={"xatol": 1e-5 * step},
        ).x
    )  # fmt: skip
    found = amplitude(rm)
    p_err = 1 / math.sqrt(float(weights.sum()))
    p = float(debiased(np.array(abs(found)), np.array(p_err)))
    turn = p_err / (2 * p) if p > 0 else math.nan
    left = data - found * np.exp(2j * rm * away)
    return Rotation(
        rm, turn / width, p, p_err, math.degrees(np.angle(found) / 2 - rm * mean) % 180,
        math.degrees(turn * math.hypot(1, mean / width)), float(np.sum(weights * np.abs(left) ** 2)) / (2 * len(q) - 3),
    )  # fmt: skip
