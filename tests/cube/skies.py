"""Planes of a known sky, written as the products of a square degree are: names, headers, rms images, blank borders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from ccip_batch.cube.planes.spw_ranges import as_ranges

NAME = "VLASS2.1.cc.T10t02.J005000-023000.06.2048.v1"
CENTRE = (12.501525, -2.5)
CELL = 0.6 / 3600
"""Degrees."""
FREQUENCIES = {spw: 2028e6 + 128e6 * (spw - 2) for spw in range(2, 18)}
"""Hz, by spw: those of the archive's planes."""
LIGHT = 299792458.0


@dataclass(frozen=True)
class Source:
    """A point source; x and y are pixels of the nominal grid, from 0."""

    x: float
    y: float
    flux: float = 1.0
    """Jy at any frequency."""
    fraction: float = 0.0
    rm: float = 0.0
    angle: float = 0.0
    """Radians at wavelength zero."""
    v: float = 0.0

    def stokes(self, frequency: float) -> dict[str, float]:
        polarised, turn = self.flux * self.fraction, 2 * (self.angle + self.rm * (LIGHT / frequency) ** 2)
        return {
            "I": self.flux, "Q": polarised * math.cos(turn), "U": polarised * math.sin(turn), "V": self.flux * self.v
        }  # fmt: skip


@dataclass
class Sky:
    """What the planes show, and how."""

    sources: Sequence[Source] = ()
    noise: float = 0.0
    """Jy/beam, correlated over the plane's beam."""
    size: int = 96
    border: int = 4
    """Blank pixels along each edge."""
    seed: int = 1
    correct: bool = True
    """Shift planes by a position correction that falls with frequency, and tell so in the history."""
    beam_pixels: float = 6.0
    """Minor axis of the beam at 2 GHz, cells."""
    header: dict[str, Any] = field(default_factory=dict)
    """Keywords to set in every plane."""


def beam_at(frequency: float, sky: Sky) -> tuple[float, float, float]:
    """A beam that shrinks with frequency and turns a little: degrees."""
    minor = sky.beam_pixels * CELL * 2e9 / frequency
    return 1.25 * minor, minor, 20 + 30 * (frequency / 3e9 - 1)


def write_plane(
    folder: Path, spw: int | str, sky: Sky, *, frequency: float | None = None, rejected: bool = False,
    name: str = NAME, centre: tuple[float, float] = CENTRE, beam: tuple[float, float, float] | None = None,
    rms: bool = True,
) -> Path:  # fmt: skip
    """Write IQU and V of a plane with their rms images; returns the IQU file. CRPIX is 49 for any size."""
    frequency = frequency or FREQUENCIES[int(spw)]
    beam = beam or beam_at(frequency, sky)
    rng = np.random.default_rng([sky.seed, int(frequency / 1e6)])
    moved = (0.06 * (3e9 / frequency) ** 2 / 3600, -0.17 * (3e9 / frequency) ** 2 / 3600) if sky.correct else (0.0, 0.0)
    crval = (centre[0] + moved[0] / math.cos(math.radians(centre[1])), centre[1] + moved[1])
    header = _header(sky, spw, frequency, beam, crval, centre, rejected)
    nominal, own = (sky_wcs(c) for c in (centre, crval))
    images = {stokes: _noise(rng, sky, beam) for stokes in "IQUV"}
    for source in sky.sources:
        place = own.all_world2pix(*nominal.all_pix2world(source.x, source.y, 0), 0)
        shape = _gaussian(sky.size, float(place[0]), float(place[1]), beam)
        for stokes, flux in source.stokes(frequency).items():
            images[stokes] += flux * shape
    for image in images.values():
        if sky.border:
            blank = np.ones_like(image, dtype=bool)
            blank[sky.border : -sky.border, sky.border : -sky.border] = False
            image[blank] = np.nan
    for kind in ("V", "IQU"):
        path = folder / f"{name}.spw{spw}.{kind}.iter3.image.pbcor.tt0.subim.fits"
        data = np.array([[images[stokes]] for stokes in kind], dtype=np.float32)
        header["CRVAL4"] = 4.0 if kind == "V" else 1.0
        header["VLASSPL"] = kind
        fits.writeto(path, data, header, overwrite=True)
        if rms:
            level = np.where(np.isnan(data), np.nan, sky.noise or 1e-3).astype(np.float32)
            fits.writeto(Path(str(path).replace(".tt0.subim", ".tt0.rms.subim")), level, header, overwrite=True)
    return path


def sky_wcs(crval: tuple[float, float]) -> WCS:
    """Of a plane with this reference position, degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---SIN", "DEC--SIN"], crval, [49, 49]
    wcs.wcs.cdelt = [-CELL, CELL]
    return wcs


def _gaussian(size: int, x: float, y: float, beam: tuple[float, float, float]) -> Any:
    rows, columns = np.mgrid[:size, :size]
    east, north = -(columns - x) * CELL, (rows - y) * CELL
    angle = math.radians(beam[2])
    along = (east * math.sin(angle) + north * math.cos(angle)) / beam[0]
    across = (east * math.cos(angle) - north * math.sin(angle)) / beam[1]
    return np.exp(-4 * math.log(2) * (along**2 + across**2))


def _noise(rng: np.random.Generator, sky: Sky, beam: tuple[float, float, float]) -> Any:
    white = rng.standard_normal((sky.size, sky.size))
    if not sky.noise:
        return np.zeros_like(white)
    kernel = _gaussian(sky.size, sky.size // 2, sky.size // 2, beam)
    shaped = np.fft.irfft2(np.fft.rfft2(white) * np.fft.rfft2(kernel), white.shape)
    return sky.noise * shaped / math.sqrt(float(np.sum(kernel**2)))


def _header(
    sky: Sky, spw: int | str, frequency: float, beam: tuple[float, float, float],
    crval: tuple[float, float], centre: tuple[float, float], rejected: bool,
) -> fits.Header:  # fmt: skip
    header = fits.Header()
    cards: dict[str, Any] = {
        "BMAJ": beam[0], "BMIN": beam[1], "BPA": beam[2], "BTYPE": "Intensity", "OBJECT": "J005000-023000",
        "BUNIT": "Jy/beam", "EQUINOX": 2000.0, "RADESYS": "ICRS", "LONPOLE": 180.0, "LATPOLE": centre[1],
        "CTYPE1": "RA---SIN", "CRVAL1": crval[0], "CDELT1": -CELL, "CRPIX1": 49.0, "CUNIT1": "deg",
        "CTYPE2": "DEC--SIN", "CRVAL2": crval[1], "CDELT2": CELL, "CRPIX2": 49.0, "CUNIT2": "deg",
        "CTYPE3": "FREQ", "CRVAL3": frequency, "CDELT3": 1.28e8, "CRPIX3": 1.0, "CUNIT3": "Hz",
        "CTYPE4": "STOKES", "CRVAL4": 1.0, "CDELT4": 1.0, "CRPIX4": 1.0, "CUNIT4": "",
        "SPECSYS": "LSRK", "TELESCOP": "EVLA", "DATE-OBS": "2020-08-05T10:13:08.85+00:00",
        "DATE-END": "2020-08-05T10:53:43.8+00:00", "TIMESYS": "UTC", "VLASSTN": "T10t02", "VLASSEP": "2.1",
        "VLASSSPW": as_ranges(map(int, str(spw).split("_"))),
        "VLASSRJ": rejected,
    }  # fmt: skip
    for key, value in (cards | sky.header).items():
        header[key] = value
    if sky.correct:
        header["HISTORY"] = f"Uncorrected CRVAL1 = {centre[0]:.12E} deg"
        header["HISTORY"] = f"Uncorrected CRVAL2 = {centre[1]:.12E} deg"
        header["HISTORY"] = "Position correction (0.06/cos(CRVAL2), -0.17) arcsec applied"
    return header


def write_planes(folder: Path, sources: Sequence[Source]) -> Path:
    """Planes of spw 2, 3, 9, 10 and 17 in a new folder; 3 is rejected."""
    folder.mkdir()
    for spw in (2, 3, 9, 10, 17):
        write_plane(folder, spw, Sky(sources, noise=2e-3), rejected=spw == 3)
    return folder


def cut(path: Path, rows: slice, columns: slice) -> None:
    """Leave these pixels of a file alone, as archives and `imsubimage` cut: at the same places on the sky."""
    with fits.open(path) as hdus:
        data, header = hdus[0].data[..., rows, columns].copy(), hdus[0].header
    header["CRPIX1"] -= columns.start
    header["CRPIX2"] -= rows.start
    fits.writeto(path, data, header, overwrite=True)


def slant(path: Path) -> None:
    """Make an rms image grow from pixel to pixel, so that a value tells where it was read."""
    with fits.open(path, mode="update") as hdus:
        rows, columns = np.indices(hdus[0].data.shape[-2:])
        hdus[0].data *= (1 + 0.01 * columns + rows).astype(np.float32)
