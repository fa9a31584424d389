"""A plane taken to another beam and onto another grid, as stage 12 does for the common-beam set.

The Gaussian that turns one beam into the other and the interpolation by the shift are both products in the Fourier
domain, so a plane costs one transform and one back, in single precision. As in CASA, blank pixels count as zero in the
convolution, stay blank, and blank every pixel that is interpolated from them. Where a shift is not enough, near a pole,
the convolved plane is resampled by the coordinates of both (`resample`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy import fft

from ccip_batch.cube.beams import GaussianBeam, kernel
from ccip_batch.cube.planes.plane import Plane, celestial
from ccip_batch.cube.resample import resample
from ccip_batch.errors import DataError

_REACH = 6.0
"""A kernel is zero beyond this many of its standard deviations (1.5e-8 of its centre)."""
_STILL = 1e-6
"""A shift smaller than this, in pixels, is rounding and counts as zero."""
_STRAIGHT = 0.05
"""A shift that changes by more than this many pixels over the image is not one."""


@dataclass(frozen=True)
class Grid:
    """The pixels of a cube: shape (rows, columns) and celestial WCS."""

    shape: tuple[int, int]
    crval: tuple[float, float]
    """Degrees."""
    crpix: tuple[float, float]
    cdelt: tuple[float, float]
    """Degrees."""
    wcs: WCS


def nominal_grid(planes: list[Plane]) -> Grid:
    """The grid without position corrections that holds every pixel of all planes, with the first plane's centre."""
    first = planes[0].header
    header = first.copy()
    header["CRVAL1"], header["CRVAL2"] = planes[0].nominal
    low, high = [0, 0], [0, 0]
    for axis in (1, 2):
        # Pixels that a plane has below and from its reference pixel on.
        low[axis - 1] = max(round(plane.header[f"CRPIX{axis}"]) for plane in planes)
        high[axis - 1] = max(plane.header[f"NAXIS{axis}"] - round(plane.header[f"CRPIX{axis}"]) for plane in planes)
        header[f"CRPIX{axis}"] = first[f"CRPIX{axis}"] - round(first[f"CRPIX{axis}"]) + low[axis - 1]
    return Grid(
        (low[1] + high[1], low[0] + high[0]),
        (header["CRVAL1"], header["CRVAL2"]),
        (header["CRPIX1"], header["CRPIX2"]),
        (header["CDELT1"], header["CDELT2"]),
        celestial(header),
    )


@dataclass(frozen=True)
class Shift:
    """Where a plane's pixels lie: grid pixel (x, y) is plane pixel (x + dx, y + dy)."""

    dx: float
    dy: float
    spread: float
    """How far the shift in the corners differs from that in the middle, pixels."""
    wcs: WCS | None = None
    """The plane's own, where its pixels lie elsewhere than the shift tells."""


def shift_of(wcs: WCS, grid: Grid) -> Shift:
    """The shift that a position correction makes, in the middle of the grid.

    A correction is an offset of the reference position, and a change of right ascension turns the plane: by some 1e-6
    radians at middle declinations, where it is a shift to a hundredth of a pixel, and by much more near a pole.
    """
    rows, columns = grid.shape
    x = np.array([grid.crpix[0] - 1, 0, 0, columns - 1, columns - 1])
    y = np.array([grid.crpix[1] - 1, 0, rows - 1, 0, rows - 1])
    px, py = wcs.all_world2pix(*grid.wcs.all_pix2world(x, y, 0), 0)
    dx, dy = px - x, py - y
    spread = float(np.max(np.hypot(dx - dx[0], dy - dy[0])))
    return Shift(float(dx[0]), float(dy[0]), spread, None if spread <= _STRAIGHT else wcs)


class Transfer:
    """Takes a plane's Stokes images from its beam and place to the cube's; made once a plane, used for each Stokes.

    interpolation: `linear` does what CASA's regridding does for the archive's common-beam set. It lowers a point source
    by up to 0.5 f (1 - f) x 8 ln 2 / (beam / cell)^2 for a shift of f pixels in each axis. `exact` shifts by a phase,
    which loses nothing, but rings by some 1e-2 of the noise next to blank pixels; where a shift is not enough, it takes
    cubic splines.
    """

    def __init__(
        self, old: GaussianBeam, new: GaussianBeam, shape: tuple[int, int], grid: Grid, shift: Shift, interpolation: str
    ) -> None:
        """old, new: the plane's beam and the cube's. shape: rows and columns of the plane. grid: the cube's.
        shift: where the plane's pixels lie on it. interpolation: `linear` or `exact`.

        Raises DataError if the old beam does not fit into the new one.
        """
        moments = kernel(old, new)
        if moments is None:
            raise DataError(f"A beam of {old} cannot be convolved to the smaller {new}.")
        scale = np.diag([1 / grid.cdelt[0], 1 / grid.cdelt[1]])  # CDELT1 < 0: columns count westwards
        moments = scale @ moments @ scale
        self._grid, self._shape = grid, shape
        self._wcs, self._interpolation = shift.wcs, interpolation
        self._ratio = new.area / old.area
        self._x, self._y = (0, 0.0), (0, 0.0)
        if shift.wcs is None:
            self._x, self._y = _split(shift.dx), _split(shift.dy)
        margin = math.ceil(_REACH * math.sqrt(float(np.linalg.eigvalsh(moments)[1]))) + 2
        self._padded = tuple(fft.next_fast_len(size + margin, real=True) for size in shape)
        v = fft.fftfreq(self._padded[0]).astype(np.float32)[:, None]
        u = fft.rfftfreq(self._padded[1]).astype(np.float32)[None, :]
        two_pi = np.float32(2 * math.pi)
        exponent = np.float32(moments[0, 0]) * u * u + np.float32(moments[1, 1]) * v * v
        exponent += np.float32(2 * moments[0, 1]) * u * v
        exponent *= np.float32(-2 * math.pi**2)
        np.exp(exponent, out=exponent)
        exponent *= np.float32(self._ratio)
        taps = []
        for frequency, (_, fraction) in ((u, self._x), (v, self._y)):
            if interpolation == "linear":
                taps.append(np.float32(1 - fraction) + np.float32(fraction) * np.exp(1j * two_pi * frequency))
            else:
                taps.append(np.exp(1j * two_pi * np.float32(fraction) * frequency))
        self._transfer: NDArray[np.complex64] = (exponent * taps[0].astype(np.complex64)) * taps[1].astype(np.complex64)

    def apply(self, image: NDArray[np.float32], workers: int = 1) -> NDArray[np.float32]:
        """An image (rows, columns) in Jy/beam with blanks NaN -> the same in the new beam on the grid, blanks NaN."""
        valid = np.isfinite(image)
        spectrum = fft.rfft2(np.where(valid, image, np.float32(0)), self._padded, workers=workers)
        spectrum *= self._transfer
        moved = fft.irfft2(spectrum, self._padded, workers=workers, overwrite_x=True)
        del spectrum
        if self._wcs is not None:
            own = moved[: self._shape[0], : self._shape[1]]
            own[~valid] = np.nan
            return resample(own, self._wcs, self._grid.wcs, self._grid.shape, self._interpolation)
        out = np.full(self._grid.shape, np.nan, dtype=np.float32)
        # The transform gives the value at plane pixel (i + fraction); it is good where both neighbours are.
        good = _and_next(_and_next(valid, 0, self._y[1]), 1, self._x[1])
        target_y, source_y = _overlap(self._grid.shape[0], self._shape[0], self._y[0])
        target_x, source_x = _overlap(self._grid.shape[1], self._shape[1], self._x[0])
        window = out[target_y, target_x]
        np.copyto(window, moved[source_y, source_x], where=good[source_y, source_x])
        return out


def _split(shift: float) -> tuple[int, float]:
    whole = round(shift)
    if abs(shift - whole) < _STILL:
        return whole, 0.0
    return math.floor(shift), shift - math.floor(shift)


def _and_next(valid: NDArray[np.bool_], axis: int, fraction: float) -> NDArray[np.bool_]:
    if fraction == 0:
        return valid
    good = np.zeros_like(valid)
    here = (slice(None), slice(0, -1)) if axis else (slice(0, -1), slice(None))
    after = (slice(None), slice(1, None)) if axis else (slice(1, None), slice(None))
    good[here] = valid[here] & valid[after]
    return good


def _overlap(target: int, source: int, offset: int) -> tuple[slice, slice]:
    """Slices of target pixels t and source pixels t + offset that both have."""
    low, high = max(0, -offset), min(target, source - offset)
    high = max(high, low)
    return slice(low, high), slice(low + offset, high + offset)
