"""Where the peak of a source is, and the Gaussian that fits it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from ccip_batch.cube.spectra.estimators import Pixels, area, gaussian

_SPREAD = 1.5
"""A fit that ends with an axis more than this many times the box's half side is no source in the box."""


@dataclass(frozen=True)
class GaussianFit:
    """A Gaussian in an image: peak (in the image's units), column and row (from 0), second moments (square pixels)."""

    peak: float
    x: float
    y: float
    moments: Pixels
    of_peak: Pixels
    """Weights of the pixels, by which noise changes the peak (to first order)."""
    of_integral: Pixels
    """The same for the integral, in the image's units x pixels."""


def peak_near(pixels: NDArray[np.float32], x: float, y: float, radius: float) -> tuple[float, float] | None:
    """Column and row (from 0) of the largest value within `radius` pixels of column x, row y; None if all is blank.

    Between pixels it is the top of the parabola through the logarithms of the 9 pixels around, which is that of a
    Gaussian.
    """
    rows, columns = np.indices(pixels.shape)
    near = (np.hypot(columns - x, rows - y) <= max(radius, 1.0)) & np.isfinite(pixels)
    if not near.any():
        return None
    row, column = np.unravel_index(np.argmax(np.where(near, pixels, -np.inf)), pixels.shape)
    around = pixels[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].astype(np.float64)
    if around.shape != (3, 3) or not np.all(around > 0):  # a NaN is not
        return float(column), float(row)
    logs = np.log(around)
    dx, dy = np.meshgrid([-1, 0, 1], [-1, 0, 1])
    terms = np.stack([dx**2, dx * dy, dy**2, dx, dy, np.ones_like(dx)], axis=-1).reshape(9, 6)
    a, b, c, d, e, _ = np.linalg.lstsq(terms, logs.ravel(), rcond=None)[0]
    if not (a < 0 and 4 * a * c > b * b):
        return float(column), float(row)
    off = np.linalg.solve([[2 * a, b], [b, 2 * c]], [-d, -e])
    off_x, off_y = np.clip(off, -1, 1)
    return float(column + off_x), float(row + off_y)


def fit_gaussian(
    pixels: NDArray[np.float32], x: float, y: float, beam: Pixels, radius: float, apart: float
) -> GaussianFit | None:
    """The Gaussian that fits the pixels within `radius` pixels of column x, row y; None if there is none with its
    centre within `apart` pixels of it. beam: second moments, to begin with."""
    rows, columns = np.indices(pixels.shape)
    used = (np.hypot(columns - x, rows - y) <= radius) & np.isfinite(pixels)
    start = peak_near(pixels, x, y, apart)
    if start is None or np.count_nonzero(used) < 12:
        return None
    factor = np.linalg.cholesky(beam)
    data = pixels[used].astype(np.float64)
    unit = float(np.max(np.abs(data))) or 1.0

    def model(p: Pixels) -> Pixels:
        # By the factor of the moments: they stay those of a Gaussian, whatever the step.
        lower = np.array([[p[3], 0], [p[4], p[5]]])
        values: Pixels = p[0] * gaussian(pixels.shape, p[1], p[2], lower @ lower.T + 1e-4 * np.eye(2))
        return values

    at = round(start[1]), round(start[0])
    first = [float(pixels[at]) / unit, *start, factor[0, 0], factor[1, 0], factor[1, 1]]
    found = least_squares(lambda p: model(p)[used] - data / unit, first, method="lm", max_nfev=400)
    peak, centre_x, centre_y = found.x[:3]
    lower = np.array([[found.x[3], 0], [found.x[4], found.x[5]]])
    moments = lower @ lower.T + 1e-4 * np.eye(2)
    largest = math.sqrt(float(np.linalg.eigvalsh(moments)[1]))
    if not found.success or math.hypot(centre_x - x, centre_y - y) > apart or largest > _SPREAD * radius or peak <= 0:
        return None
    integral = float(peak * area(moments))
    slopes = np.zeros((2, 6))
    slopes[0, 0] = 1
    slopes[1, [0, 3, 5]] = integral / found.x[[0, 3, 5]]  # the area of a Gaussian goes as its factor's diagonal
    weights = np.zeros((2, *pixels.shape))
    weights[:, used] = (found.jac @ np.linalg.lstsq(found.jac.T @ found.jac, slopes.T, rcond=None)[0]).T
    return GaussianFit(float(peak * unit), float(centre_x), float(centre_y), moments, *weights)


def sky_axes(moments: Pixels, cdelt: tuple[float, float]) -> tuple[float, float, float]:
    """Full widths at half maximum (deg) and position angle (deg, north through east) of a Gaussian on the sky."""
    scale = np.diag(cdelt)
    (small, large), vectors = np.linalg.eigh(scale @ moments @ scale)
    east, north = vectors[:, 1]
    angle = (math.degrees(math.atan2(east, north)) + 90) % 180 - 90
    return math.sqrt(8 * math.log(2) * large), math.sqrt(8 * math.log(2) * small), angle
