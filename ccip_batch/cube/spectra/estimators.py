"""What is measured in an image at a place: each a weighted sum of pixels, so that its noise can be told exactly.

Beams, sources and the correlation of noise are Gaussians, given by their second moments in square pixels, axes column
and row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ccip_batch.cube.beams import GaussianBeam

Pixels = NDArray[np.float64]
_REACH = 4
"""Pixels to each side of a place that its value is interpolated from."""
_JITTER = 1e-6
"""Added to the diagonal, so that pixels much finer than the beam can be told apart in double precision."""
_PARTS = 10
"""A pixel at the edge of an aperture is divided into this many parts along each side."""


def in_pixels(beam: GaussianBeam, cdelt: tuple[float, float]) -> Pixels:
    """Second moments of a beam. cdelt: degrees a pixel along columns (negative: westwards) and rows."""
    scale = np.diag([1 / cdelt[0], 1 / cdelt[1]])
    moments: Pixels = scale @ beam.covariance() @ scale
    return moments


def area(moments: Pixels) -> float:
    """The integral of a Gaussian of peak 1, pixels."""
    return 2 * math.pi * math.sqrt(float(np.linalg.det(moments)))


def gaussian(shape: tuple[int, ...], x: float, y: float, moments: Pixels) -> Pixels:
    """An image (rows, columns) of a Gaussian of peak 1 at column x, row y (from 0)."""
    columns, rows = np.arange(shape[1]) - x, (np.arange(shape[0]) - y)[:, None]
    a, b, c = _inverse(moments)
    values: Pixels = np.exp(-0.5 * (a * columns**2 + 2 * b * columns * rows + c * rows**2))
    return values


def interpolation(
    valid: NDArray[np.bool_], x: float, y: float, beam: Pixels, source: Callable[[float, float], Pixels] | None = None
) -> tuple[Pixels, float] | None:
    """Weights that give the value at column x, row y (from 0), and the response they had before they were scaled.

    An image is interpolated by the beam itself (kriging with the beam as the covariance): any sum of beams on pixels
    comes out as it is, noise is not raised, and blank pixels need not be filled. What this lacks for a source between
    pixels, where the beam is narrow or pixels are blank, is its response to a point source there, by which the weights
    are divided: a point source comes out exactly. source: the image of a point source at a place, if it is not that of
    the beam. None where one of the four pixels around is blank or off the image.
    """
    if not _surrounded(valid, x, y):
        return None
    rows, columns = (
        slice(max(0, round(at) - _REACH), min(size, round(at) + _REACH + 1))
        for at, size in zip((y, x), valid.shape, strict=True)
    )
    part_y, part_x = np.nonzero(valid[rows, columns])
    a, b, c = _inverse(beam)
    dx, dy = np.subtract.outer(part_x, part_x), np.subtract.outer(part_y, part_y)
    matrix = np.exp(-0.5 * (a * dx**2 + 2 * b * dx * dy + c * dy**2))
    matrix[np.diag_indices_from(matrix)] += _JITTER
    off_x, off_y = part_x + columns.start - x, part_y + rows.start - y
    weights = np.zeros(valid.shape)
    weights[part_y + rows.start, part_x + columns.start] = np.linalg.solve(
        matrix, np.exp(-0.5 * (a * off_x**2 + 2 * b * off_x * off_y + c * off_y**2))
    )
    image = source(x, y) if source else gaussian(valid.shape, x, y, beam)
    response = weighted(weights, image)
    return weights / response, response


def aperture(valid: NDArray[np.bool_], x: float, y: float, radius: float, beam: Pixels) -> Pixels | None:
    """Weights that sum the flux (Jy, of Jy/beam) within `radius` pixels of column x, row y; pixels at the edge count by
    the part that is inside. None if one of them is blank or off the image."""
    if not (radius <= x + 0.5 <= valid.shape[1] - radius and radius <= y + 0.5 <= valid.shape[0] - radius):
        return None
    steps = (np.arange(_PARTS) + 0.5) / _PARTS - 0.5
    columns = (np.arange(valid.shape[1])[:, None] + steps - x).ravel()
    rows = (np.arange(valid.shape[0])[:, None] + steps - y).ravel()
    inside = (columns**2 + (rows**2)[:, None] <= radius**2).astype(np.float64)
    weights = inside.reshape(valid.shape[0], _PARTS, valid.shape[1], _PARTS).mean((1, 3)) / area(beam)
    return weights if valid[weights > 0].all() else None


def scaled(valid: NDArray[np.bool_], x: float, y: float, source: Pixels, beam: Pixels) -> Pixels | None:
    """Weights that fit a Gaussian of moments `source` at column x, row y, and give its flux (Jy, of Jy/beam). None if
    one of the four pixels around is blank or off the image."""
    if not _surrounded(valid, x, y):
        return None
    shape = gaussian(valid.shape, x, y, source) * valid
    return shape / np.sum(shape**2) * (area(source) / area(beam))


def weighted(weights: Pixels, pixels: NDArray[Any]) -> float:
    """The weighted sum of pixels; those without weight may be blank."""
    used = weights != 0
    return float(np.sum(weights[used] * pixels[used], dtype=np.float64))


def noise_gain(weights: Pixels, correlation: Pixels) -> float:
    """The noise of a weighted sum, for noise of 1 in a pixel whose autocorrelation is a Gaussian of these moments."""
    used_y, used_x = (np.flatnonzero(weights.any(axis)) for axis in (1, 0))
    part = weights[used_y[0] : used_y[-1] + 1, used_x[0] : used_x[-1] + 1]
    size = [fft.next_fast_len(2 * side, real=True) for side in part.shape]
    products = fft.irfft2(np.abs(fft.rfft2(part, size)) ** 2, size)
    lag_y, lag_x = (np.fft.fftfreq(side, 1 / side) for side in size)
    a, b, c = _inverse(correlation)
    shape = np.exp(-0.5 * (a * lag_x**2 + 2 * b * lag_x * lag_y[:, None] + c * lag_y[:, None] ** 2))
    return math.sqrt(max(0.0, float(np.sum(products * shape))))


def _inverse(moments: Pixels) -> tuple[float, float, float]:
    inverse = np.linalg.inv(moments)
    return float(inverse[0, 0]), float(inverse[0, 1]), float(inverse[1, 1])


def _surrounded(valid: NDArray[np.bool_], x: float, y: float) -> bool:
    """Whether there is a pixel on each side of a place; one on a pixel's centre does not need the next."""
    left, low = math.floor(x), math.floor(y)
    right, top = math.ceil(x), math.ceil(y)
    inside = min(left, low) >= 0 and right < valid.shape[1] and top < valid.shape[0]
    return inside and bool(valid[low : top + 1, left : right + 1].all())
