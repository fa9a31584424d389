"""An image taken from its own pixels to others by the coordinates of both, where no shift does it."""

from __future__ import annotations

import math

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy import ndimage

_STRIP = 128
"""Rows made at a time, from the rows of the image that these need, so that beside both images little is in memory."""
_STEP = 64
"""Coordinates are computed at every pixel of this many, and linear between. Two projections of which one is turned by
less than a degree and centred arcseconds from the other differ from that by less than 1e-6 pixels."""
_MARGIN = 24
"""Rows around those needed: so far a cubic spline reaches, to some 1e-13."""
_WHOLE = 1 - 1e-5
"""A pixel is blank if less than this share of it comes from pixels that are not."""


def resample(
    image: NDArray[np.float32], wcs: WCS, target: WCS, shape: tuple[int, int], interpolation: str
) -> NDArray[np.float32]:
    """The image (rows, columns) at the places of other pixels; NaN beyond its edge and next to its blank pixels.

    Values are interpolated and not summed, so those in Jy/beam stay what they are. wcs, target: the celestial
    coordinates of the image and of the result. shape: rows and columns of the result. interpolation: `linear`, as in
    CASA's regridding, or `exact` (cubic splines).
    """
    places = _Places(wcs, target, shape)
    out = np.full(shape, np.nan, dtype=np.float32)
    for low in range(0, shape[0], _STRIP):
        strip = out[low : low + _STRIP]
        at = places.of_rows(low, len(strip))
        first = max(0, math.floor(at[0].min()) - _MARGIN)
        part = image[first : max(0, math.ceil(at[0].max()) + 1 + _MARGIN)]
        if part.size:
            at[0] -= first
            _interpolate(part, at, strip, 3 if interpolation == "exact" else 1)
    return out


def _interpolate(image: NDArray[np.float32], at: NDArray[np.float64], out: NDArray[np.float32], order: int) -> None:
    """Fill `out` with the image's values at rows and columns `at` by splines of an order; blanks are NaN."""
    valid = np.isfinite(image)
    ndimage.map_coordinates(np.where(valid, image, np.float32(0)), at, output=out, order=order, mode="mirror")
    share = ndimage.map_coordinates(valid.astype(np.float32), at, order=1, mode="constant", cval=0.0)
    out[share < _WHOLE] = np.nan


class _Places:
    """Where the pixels of the result lie in the image."""

    def __init__(self, wcs: WCS, target: WCS, shape: tuple[int, int]) -> None:
        """wcs, target, shape: as for `resample`."""
        self._columns = np.arange(shape[1], dtype=np.float64)
        self._y, self._x = (np.unique([*range(0, size, _STEP), max(1, size - 1)]).astype(np.float64) for size in shape)
        x, y = np.meshgrid(self._x, self._y)
        px, py = wcs.all_world2pix(*target.all_pix2world(x, y, 0), 0)
        self._off = np.stack([py - y, px - x])

    def of_rows(self, low: int, count: int) -> NDArray[np.float64]:
        """Rows and columns in the image, shape (2, count, columns), of these rows of the result."""
        rows = np.arange(low, low + count, dtype=np.float64)
        right = np.clip(np.searchsorted(self._y, rows, side="right"), 1, len(self._y) - 1)
        left = right - 1
        share = ((rows - self._y[left]) / (self._y[right] - self._y[left]))[:, None]
        at = np.empty((2, count, len(self._columns)))
        for axis, off in enumerate(self._off):
            of_nodes = (1 - share) * off[left] + share * off[right]
            for number, line in enumerate(of_nodes):
                at[axis, number] = np.interp(self._columns, self._x, line)
        at[0] += rows[:, None]
        at[1] += self._columns
        return at
