"""Faraday rotation: a rotation measure fitted to polarisation angles, ambiguous by multiples of 180 degrees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rotation:
    """chi = chi0 + RM x lambda^2."""

    rm: float
    """rad/m2."""
    rm_error: float | None
    """rad/m2, from the errors of the angles; None with two planes, which leave no degree of freedom."""
    chi0: float
    """Angle at lambda = 0, rad, from -pi/2 to pi/2."""
    reduced_chi2: float | None
    searched: float
    """Largest |RM| that was tried, rad/m2."""

    def angle(self, lambda2: Floats) -> Floats:
        """Angle in rad at some lambda^2 (m2), not wrapped."""
        return self.chi0 + self.rm * lambda2


def angles(q: Floats, u: Floats) -> Floats:
    """Polarisation angle, rad, from -pi/2 to pi/2."""
    return 0.5 * np.arctan2(u, q)


def angle_errors(q: Floats, u: Floats, noise: Floats) -> Floats:
    """Standard error of the angle, rad: noise / (2 p), but at most the standard deviation of a random angle."""
    return np.minimum(0.5 * noise / np.maximum(np.hypot(q, u), 1e-30), math.pi / math.sqrt(12))


def fit_rotation(lambda2: Floats, chi: Floats, error: Floats) -> Rotation | None:
    """Fit the rotation measure to angles (rad) with standard errors.

    A search over a grid of RM unwraps the angles; a weighted least-squares fit to the unwrapped angles does the rest.
    The grid ends where the angle changes by 90 degrees between neighbouring planes. None with fewer than two planes.
    """
    if lambda2.size < 2 or np.ptp(lambda2) <= 0:
        return None
    weight = 1 / np.square(error)
    gaps = np.diff(np.unique(lambda2))
    limit = math.pi / 2 / float(np.median(gaps))
    step = 0.05 / float(np.ptp(lambda2))
    grid = np.arange(-math.ceil(limit / step), math.ceil(limit / step) + 1) * step
    turned = np.exp(2j * (chi[np.newaxis, :] - grid[:, np.newaxis] * lambda2)) @ weight
    best = int(np.argmax(np.abs(turned)))
    start = grid[best]
    centre = 0.5 * float(np.angle(turned[best]))
    unwrapped = chi - np.pi * np.round((chi - centre - start * lambda2) / np.pi)

    mean_l = float(np.average(lambda2, weights=weight))
    spread = float(np.sum(weight * np.square(lambda2 - mean_l)))
    mean_chi = float(np.average(unwrapped, weights=weight))
    rm = float(np.sum(weight * (lambda2 - mean_l) * (unwrapped - mean_chi)) / spread)
    chi0 = mean_chi - rm * mean_l
    free = lambda2.size - 2
    residual = np.sum(weight * np.square(unwrapped - chi0 - rm * lambda2))
    return Rotation(
        rm=rm,
        rm_error=1 / math.sqrt(spread) if free else None,
        chi0=(chi0 + math.pi / 2) % math.pi - math.pi / 2,
        reduced_chi2=float(residual) / free if free else None,
        searched=float(grid[-1]),
    )
