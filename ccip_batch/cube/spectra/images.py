"""A file of a plane, opened once and measured at many places."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from ccip_batch.cube.beams import GaussianBeam, kernel
from ccip_batch.cube.convolve import Grid, Shift, Transfer
from ccip_batch.cube.planes.correlation import central, correlation
from ccip_batch.cube.planes.file import Reader
from ccip_batch.cube.planes.plane import Plane
from ccip_batch.cube.spectra.estimators import Pixels, area, gaussian, in_pixels

_BEAMS_AROUND = 6
"""For another beam, a box that reaches this many beams farther to each side is convolved."""


@dataclass(frozen=True)
class Box:
    """The pixels around a position."""

    left: int
    """Its first column and row in the image, from 0."""
    low: int
    x: float
    """Column and row of the position in it."""
    y: float
    pixels: dict[str, NDArray[np.float32]]
    """By Stokes parameter, Jy/beam, blanks NaN."""
    rms: dict[str, float]
    """Of the pixel at the position, Jy/beam; NaN where the rms image tells none."""
    outer: tuple[int, int, NDArray[np.bool_]] | None
    """Where another beam was asked for: columns and rows of the convolved box before the first of these, and which of
    its pixels were not blank."""

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Which pixels are blank in none of the Stokes parameters."""
        return np.asarray(np.isfinite(np.stack(list(self.pixels.values()))).all(axis=0), dtype=np.bool_)


class Image:
    """An opened file of a plane (IQU or V) with its rms image, in its own or in another beam."""

    def __init__(self, plane: Plane, read: Reader, read_rms: Reader | None, target: GaussianBeam | None) -> None:
        """read, read_rms: of the opened files. target: the beam to convolve to; None: the plane's own."""
        self.plane, self._read, self._read_rms, self._target = plane, read, read_rms, target
        self.cdelt = float(plane.header["CDELT1"]), float(plane.header["CDELT2"])
        self._own = in_pixels(plane.beam, self.cdelt)
        self.beam = in_pixels(target, self.cdelt) if target else self._own
        self._transfer = lru_cache(maxsize=8)(self._make_transfer)

    @classmethod
    @contextmanager
    def opened(cls, plane: Plane, target: GaussianBeam | None) -> Iterator[Image]:
        """The image of a plane while its files are open."""
        with ExitStack() as stack:
            read = stack.enter_context(plane.file.opened())
            read_rms = stack.enter_context(plane.rms.file.opened()) if plane.rms else None
            yield cls(plane, read, read_rms, target)

    @property
    def fwhm(self) -> float:
        """Of the beam's major axis, pixels."""
        return math.sqrt(8 * math.log(2) * float(np.linalg.eigvalsh(self.beam)[1]))

    @cached_property
    def noise(self) -> tuple[float, Pixels]:
        """What the convolution does to the rms of a pixel, and the second moments of the noise's autocorrelation after
        it, square pixels."""
        stokes = self.plane.stokes[-1]  # hardly any sources
        own = correlation(self._read(stokes, *central(self.plane.shape)), self._own) * self._own
        if self._target is None:
            return 1.0, own
        moments = kernel(self.plane.beam, self._target)
        assert moments is not None  # or the transfer would have raised
        scale = np.diag([1 / self.cdelt[0], 1 / self.cdelt[1]])
        after = own + 2 * scale @ moments @ scale
        return area(self.beam) / area(self._own) * math.sqrt(area(own) / area(after)), after

    def boxes(self, places: Sequence[tuple[int, float, float]], reach: int) -> dict[int, Box]:
        """The boxes around places (a number, column, row), by their numbers. reach: pixels to each side."""
        places = sorted(places, key=lambda place: place[2])
        rms = self._noise_levels(places)
        more = 0
        if self._target:
            more = math.ceil(_BEAMS_AROUND * self._target.major_deg / abs(self.cdelt[1]))
        pixels: dict[int, dict[str, NDArray[np.float32]]] = {number: {} for number, _, _ in places}
        masks: dict[int, NDArray[np.bool_]] = {}
        for stokes in self.plane.stokes:
            for number, x, y in places:
                part = self._read(stokes, *(_span(at, reach + more) for at in (y, x)))
                if self._target:
                    valid = np.isfinite(part)
                    masks[number] = masks[number] & valid if number in masks else valid
                    part = self._transfer(part.shape).apply(part)[_inner(y, more, reach), _inner(x, more, reach)]
                pixels[number][stokes] = part
        boxes = {}
        for number, x, y in places:
            outer = None
            if self._target:
                outer = (_inner(x, more, reach).start, _inner(y, more, reach).start, masks[number])
            left, low = _span(x, reach).start, _span(y, reach).start
            boxes[number] = Box(left, low, x - left, y - low, pixels[number], rms[number], outer)
        return boxes

    def source(self, box: Box, x: float, y: float) -> Pixels:
        """What a point source of 1 Jy at column x, row y of a box looks like there."""
        if box.outer is None:
            return gaussian(box.valid.shape, x, y, self.beam)
        left, low, valid = box.outer
        before = np.where(valid, gaussian(valid.shape, x + left, y + low, self._own), np.nan)
        after = self._transfer(valid.shape).apply(before.astype(np.float32))
        rows, columns = box.valid.shape
        return after[low : low + rows, left : left + columns].astype(np.float64)

    def _make_transfer(self, shape: tuple[int, int]) -> Transfer:
        assert self._target is not None
        grid = Grid(shape, (0.0, 0.0), (1.0, 1.0), self.cdelt, WCS(naxis=2))
        return Transfer(self.plane.beam, self._target, shape, grid, Shift(0.0, 0.0, 0.0), "linear")

    def _noise_levels(self, places: Sequence[tuple[int, float, float]]) -> dict[int, dict[str, float]]:
        levels = {number: dict.fromkeys(self.plane.stokes, math.nan) for number, _, _ in places}
        if self._read_rms is None or self.plane.rms is None or not places:
            return levels
        numbers, x, y = zip(*places, strict=True)
        world = self.plane.wcs.all_pix2world(np.array(x), np.array(y), 0)
        rms_x, rms_y, inside = places_in(self.plane.rms, *world)
        for stokes in self.plane.stokes:
            for number, column, row, there in zip(numbers, rms_x, rms_y, inside, strict=True):
                if there:
                    value = self._read_rms(stokes, *(slice(round(at), round(at) + 1) for at in (row, column)))
                    # imdev's cubic interpolation can give zero and less, which is not a noise level.
                    levels[number][stokes] = float(value[0, 0]) if value.size and value[0, 0] > 0 else math.nan
        return levels


def places_in(
    plane: Plane, ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Columns and rows (from 0) of positions (ICRS, degrees) in a plane, and which of them are inside it."""
    x, y = plane.wcs.all_world2pix(ra, dec, 0)
    rows, columns = plane.shape
    # NaN, on the other side of the sky, is outside too.
    return x, y, (x >= -0.5) & (x < columns - 0.5) & (y >= -0.5) & (y < rows - 0.5)


def _span(at: float, reach: int) -> slice:
    """Pixels to each side of a place, along an axis; the image may end earlier."""
    return slice(max(0, math.floor(at) - reach), math.floor(at) + reach + 2)


def _inner(at: float, more: int, reach: int) -> slice:
    """The pixels of `_span(at, reach)`, counted in those of `_span(at, reach + more)`."""
    outer, inner = _span(at, reach + more), _span(at, reach)
    return slice(inner.start - outer.start, inner.stop - outer.start)
