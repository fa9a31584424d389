"""Flux at positions in one plane: the value, the peak, the sum in an aperture, or a fitted Gaussian."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
from astropy import units
from astropy.units import UnitBase
from numpy.typing import NDArray

from ccip_batch.cube.beams import GaussianBeam, kernel
from ccip_batch.cube.planes.plane import Plane
from ccip_batch.cube.spectra import estimators
from ccip_batch.cube.spectra.catalogue import Position
from ccip_batch.cube.spectra.estimators import Pixels
from ccip_batch.cube.spectra.gaussian_fit import fit_gaussian, peak_near, sky_axes
from ccip_batch.cube.spectra.images import Box, Image, places_in
from ccip_batch.errors import DataError

MEASURES = ("value", "peak", "aperture", "gaussian")
_FITTED = 5.0
"""A Gaussian's shape is fitted where Stokes I is this many times its error; elsewhere it is the beam's."""
_RADIUS = 1.5
"""Full widths of the beam around a position in which a Gaussian is fitted."""
_PIXELS_AT_ONCE = 8_000_000
"""Of the boxes of a Stokes parameter that are in memory."""


@dataclass(frozen=True)
class Photometry:
    """How flux is measured."""

    measure: str = "value"
    """`value`: at the position, in Jy/beam. `peak`: at the peak of Stokes I within a beam of the position, in Jy/beam.
    `aperture`: the sum within a radius, in Jy. `gaussian`: the integral of a Gaussian that is fitted to Stokes I and
    scaled to Q, U and V, in Jy."""
    aperture: float | None = None
    """Radius, arcsec."""
    limit: float = 3.0
    """A value of fewer errors than this is no detection, and the limit is as many errors."""
    in_common_beam: bool = False
    """Convolve to the smallest common beam of the kept planes first."""
    beam: GaussianBeam | None = None
    """Convolve to this beam first."""

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise DataError(f"Flux is measured as {', '.join(MEASURES)}, not {self.measure!r}.")
        if (self.measure == "aperture") != (self.aperture is not None):
            raise DataError("An aperture needs its radius in arcsec, and only the measure `aperture` has one.")
        if self.aperture is not None and not 0 < self.aperture < math.inf:
            raise DataError(f"An aperture of {self.aperture:g} arcsec is none; give a radius above zero.")
        if not 0 < self.limit < math.inf:
            raise DataError(f"A limit of {self.limit:g} times the error is none; give a number above zero.")

    @property
    def unit(self) -> UnitBase:
        """Of what is measured."""
        return units.Jy / units.beam if self.measure in ("value", "peak") else units.Jy

    def columns(self) -> dict[str, UnitBase | None]:
        """What is told of Stokes I beside the flux, and the units."""
        if self.measure == "peak":
            return {"ra_peak": units.deg, "dec_peak": units.deg}
        if self.measure == "gaussian":
            return {
                "I_peak": units.Jy / units.beam, "I_peak_err": units.Jy / units.beam, "ra_fit": units.deg,
                "dec_fit": units.deg, "major": units.arcsec, "minor": units.arcsec, "pa": units.deg,
            }  # fmt: skip
        return {}


@dataclass(frozen=True)
class _Aim:
    """Where a source is measured: how far from the position, and which shape it has."""

    dx: float = 0.0
    """Degrees, along the columns and the rows of the image."""
    dy: float = 0.0
    moments: Pixels | None = None
    """Second moments, square degrees along columns and rows; None: those of the beam."""

    @classmethod
    def from_pixels(cls, dx: float, dy: float, moments: Pixels | None, cdelt: tuple[float, float]) -> _Aim:
        """From offsets and moments in the pixels of an image."""
        scale = np.diag(cdelt)
        return cls(dx * cdelt[0], dy * cdelt[1], None if moments is None else scale @ moments @ scale)

    def in_pixels(self, cdelt: tuple[float, float]) -> tuple[float, float, Pixels | None]:
        """Offsets and moments in the pixels of an image."""
        scale = np.diag([1 / cdelt[0], 1 / cdelt[1]])
        return self.dx / cdelt[0], self.dy / cdelt[1], None if self.moments is None else scale @ self.moments @ scale


def too_broad(plane: Plane, target: GaussianBeam | None) -> bool:
    """Whether a rejected plane cannot be convolved to the beam `target`, which is that of the kept planes."""
    return target is not None and plane.rejected and kernel(plane.beam, target) is None


def measure(
    plane: Plane, v_plane: Plane | None, positions: Sequence[Position], how: Photometry, target: GaussianBeam | None
) -> dict[str, NDArray[np.float64]]:
    """Flux and error of I, Q, U, V at each position, `inside` (0 or 1), and `Photometry.columns`; NaN for what there is
    not, also for a plane that is `too_broad`. Each file is opened once. target: the beam to convolve to; None: the
    plane's own."""
    ra, dec = (np.array([getattr(position, key) for position in positions]) for key in ("ra", "dec"))
    names = ["inside", *(f"{stokes}{more}" for stokes in "IQUV" for more in ("", "_err")), *how.columns()]
    found = {name: np.full(len(positions), np.nan) for name in names}
    with ExitStack() as stack:
        images = [stack.enter_context(Image.opened(one, target)) for one in (plane, v_plane) if one]
        places = [places_in(image.plane, ra, dec) for image in images]
        found["inside"] = np.any([inside for _, _, inside in places], axis=0).astype(float)
        if too_broad(plane, target):
            return found
        for members in _parts(len(positions), max(_reach(image, how) for image in images)):
            aims: dict[int, _Aim] = {}
            for image, (x, y, inside) in zip(images, places, strict=True):
                mine = [(number, float(x[number]), float(y[number])) for number in members if inside[number]]
                for number, box in image.boxes(mine, _reach(image, how)).items():
                    if "I" in box.pixels:
                        aims[number], told = _aim(image, box, how)
                    else:
                        told = {}
                    aim = aims.get(number, _Aim() if how.measure in ("value", "aperture") else None)
                    if aim is not None:
                        told = _fluxes(image, box, aim, how) | told
                    for name, value in told.items():
                        found[name][number] = value
    return found


def _parts(count: int, reach: int) -> Iterator[range]:
    """The numbers of the positions whose boxes are in memory together."""
    step = max(1, _PIXELS_AT_ONCE // (2 * reach + 2) ** 2)
    return (range(first, min(count, first + step)) for first in range(0, count, step))


def _reach(image: Image, how: Photometry) -> int:
    """Pixels to each side of a position that are needed."""
    if how.aperture is not None:
        return math.ceil(how.aperture / 3600 / abs(image.cdelt[1])) + 1
    return 5 + math.ceil({"value": 0.0, "peak": 1.0, "gaussian": _RADIUS + 1}[how.measure] * image.fwhm)


def _aim(image: Image, box: Box, how: Photometry) -> tuple[_Aim, dict[str, float]]:
    """Where a source is measured in all Stokes parameters, by Stokes I, and the columns that this gives."""
    if how.measure in ("value", "aperture"):
        return _Aim(), {}
    pixels, rms = box.pixels["I"], box.rms["I"] * image.noise[0]
    place = peak_near(pixels, box.x, box.y, image.fwhm)
    if place is None:
        return _Aim(), {}
    if how.measure == "peak":
        ra, dec = _sky(image, box, *place)
        aim = _Aim.from_pixels(place[0] - box.x, place[1] - box.y, None, image.cdelt)
        return aim, {"ra_peak": ra, "dec_peak": dec}
    fit = fit_gaussian(pixels, box.x, box.y, image.beam, _RADIUS * image.fwhm, image.fwhm)
    if fit is None or fit.peak < _FITTED * rms:
        return _Aim(), {}
    flux = fit.peak * estimators.area(fit.moments) / estimators.area(image.beam)
    flux_error, peak_error = (
        rms * estimators.noise_gain(weights, image.noise[1])
        for weights in (fit.of_integral / estimators.area(image.beam), fit.of_peak)
    )
    ra, dec = _sky(image, box, fit.x, fit.y)
    major, minor, angle = sky_axes(fit.moments, image.cdelt)
    told = {
        "I": flux, "I_err": flux_error, "I_peak": fit.peak, "I_peak_err": peak_error, "ra_fit": ra, "dec_fit": dec,
        "major": major * 3600, "minor": minor * 3600, "pa": angle,
    }  # fmt: skip
    return _Aim.from_pixels(fit.x - box.x, fit.y - box.y, fit.moments, image.cdelt), told


def _fluxes(image: Image, box: Box, aim: _Aim, how: Photometry) -> dict[str, float]:
    """Flux and error of each Stokes parameter in a box; nothing where it is blank."""
    dx, dy, moments = aim.in_pixels(image.cdelt)
    x, y, response = box.x + dx, box.y + dy, 1.0
    weights: Pixels | None
    if how.aperture is not None:
        radius = how.aperture / 3600 / abs(image.cdelt[1])
        weights = estimators.aperture(box.valid, x, y, radius, image.beam)
    elif how.measure == "gaussian":
        weights = estimators.scaled(box.valid, x, y, image.beam if moments is None else moments, image.beam)
    else:
        found = estimators.interpolation(box.valid, x, y, image.beam, partial(image.source, box))
        weights, response = found or (None, 1.0)
    if weights is None:
        return {}
    gain = image.noise[0] * estimators.noise_gain(weights, image.noise[1])
    told = {}
    for stokes, pixels in box.pixels.items():
        value = estimators.weighted(weights, pixels)
        # What the interpolation was corrected by is what it may be wrong by for a source of another shape.
        told[stokes], told[f"{stokes}_err"] = value, math.hypot(gain * box.rms[stokes], (1 - response) * value)
    return told


def _sky(image: Image, box: Box, x: float, y: float) -> tuple[float, float]:
    """Right ascension and declination (deg) of column x, row y of a box."""
    ra, dec = image.plane.wcs.all_pix2world(x + box.left, y + box.low, 0)
    return float(ra), float(dec)
