"""Exported planes in a folder: find them by name, read their headers, refuse what does not belong together."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from numpy.typing import NDArray

from ccip_batch.cube.beams import GaussianBeam
from ccip_batch.errors import DataError

STOKES = {"IQU": "IQU", "V": "V"}
"""The two kinds of plane file, by the component of their name, and the Stokes parameters in them."""
STOKES_NUMBERS = {"I": 1, "Q": 2, "U": 3, "V": 4}
"""What stands for each Stokes parameter on the STOKES axis of a FITS file (FITS standard, table 29)."""
_NAME = re.compile(
    r"(?P<image>.+)\.spw(?P<group>\d+(?:_\d+)*)\.(?P<pol>IQU|V)\.iter3\.image\.pbcor\.tt0(?P<rms>\.rms)?"
    r"\.subim(?P<com>\.com)?\.fits"
)
_UNCORRECTED = re.compile(r"Uncorrected CRVAL([12]) = ([-+.0-9eE]+)")
_CORRECTION = 10 / 3600
"""No position correction is as large as this, degrees (0.25 arcsec x tan(zenith distance) x (3 GHz / frequency)^2)."""
_AXES = ("RA---SIN", "DEC--SIN", "FREQ", "STOKES")


@dataclass(frozen=True)
class Plane:
    """A plane's FITS file and what its header says."""

    path: Path
    rms_path: Path | None
    """The plane's rms image, if it is there."""
    imagename: str
    group: str
    """Spectral windows, joined by `_`: `2`, `3_4`."""
    header: fits.Header

    @property
    def frequency(self) -> float:
        """CRVAL3, Hz."""
        return float(self.header["CRVAL3"])

    @property
    def beam(self) -> GaussianBeam:
        """The beam of the plane's header."""
        return GaussianBeam(*(float(self.header[key]) for key in ("BMAJ", "BMIN", "BPA")))

    @property
    def rejected(self) -> bool:
        """VLASSRJ; a file without it (older archive products) counts as kept."""
        return bool(self.header.get("VLASSRJ", False))

    @property
    def spws(self) -> list[int]:
        """The spectral windows of the group."""
        return [int(spw) for spw in self.group.split("_")]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.header["NAXIS2"]), int(self.header["NAXIS1"])

    @property
    def stokes(self) -> str:
        """The Stokes parameters in the file, in its order."""
        return STOKES[str(self.header["VLASSPL"])]

    @cached_property
    def wcs(self) -> WCS:
        """Celestial WCS with the corrected position, which is where the sky is."""
        return celestial(self.header)

    @cached_property
    def nominal(self) -> tuple[float, float]:
        """CRVAL1 and CRVAL2 (deg) before the position correction.

        From the header's history; where that was stripped, a corrected header (it has ZD) still has OBSRA and OBSDEC,
        the phase centre, which CRVAL was. A header that was never corrected gives its CRVAL.
        """
        found = {1: float(self.header["CRVAL1"]), 2: float(self.header["CRVAL2"])}
        told = _UNCORRECTED.findall(" ".join(str(line) for line in self.header.get("HISTORY", [])))
        for axis, value in told:
            found[int(axis)] = float(value)
        if not told and "ZD" in self.header:
            centre = [self.header.get(key) for key in ("OBSRA", "OBSDEC")]
            if all(isinstance(value, float) for value in centre) and _apart(found[1], found[2], *centre) < _CORRECTION:
                found = {1: centre[0], 2: centre[1]}
        return found[1], found[2]

    def read(self, stokes: str) -> NDArray[np.float32]:
        """The pixels of one Stokes parameter: (rows, columns), Jy/beam, blanks NaN. Raises DataError if it fails."""
        return _read(self.path, self.stokes.index(stokes))

    def read_rms(self, stokes: str) -> NDArray[np.float32] | None:
        """The rms image of one Stokes parameter; None if the plane has no rms image."""
        return None if self.rms_path is None else _read(self.rms_path, self.stokes.index(stokes))


def celestial(header: fits.Header) -> WCS:
    """The two celestial axes of a plane's header."""
    small = fits.Header()
    for key in ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT"):
        for axis in (1, 2):
            small[f"{key}{axis}"] = header[f"{key}{axis}"]
    for key in ("RADESYS", "EQUINOX", "LONPOLE", "LATPOLE"):
        if key in header:
            small[key] = header[key]
    return WCS(small)


def _apart(ra: float, dec: float, other_ra: float, other_dec: float) -> float:
    """Distance of two near positions, degrees."""
    ra_offset = (other_ra - ra + 180) % 360 - 180
    return math.hypot(ra_offset * math.cos(math.radians(dec)), other_dec - dec)


def _read(path: Path, index: int) -> NDArray[np.float32]:
    try:
        with fits.open(path, memmap=True) as hdus:
            return np.array(hdus[0].section[index, 0], dtype=np.float32)
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"{path.name}: the pixels cannot be read ({error}). Copy the file again.") from error


def product_folder(source: Path) -> Path:
    """Where planes are: `products/` of a run folder, else the folder itself. Raises DataError if it is not a folder."""
    if not source.is_dir():
        raise DataError(f"{source} is not a folder. Name a run folder, or a folder with planes (*.subim.fits).")
    return source / "products" if (source / "products").is_dir() else source


def find_planes(source: Path, polarisation: str = "IQU", spws: Sequence[str] | None = None) -> list[Plane]:
    """The planes in a run folder or a folder of FITS planes, in order of frequency, rejected ones too.

    polarisation: `IQU` or `V`, which kind of file. spws: only these groups (`["2", "3_4"]`). Common-beam files are left
    out: they carry the beam of all planes. Raises DataError if there are no planes, if the folder holds more than
    one image, if a file is not such a plane, or if planes do not fit together.
    """
    folder = product_folder(source)
    named = [(match, path) for path in sorted(folder.iterdir()) if (match := _NAME.fullmatch(path.name))]
    mine = [(match, path) for match, path in named if match["pol"] == polarisation and not match["com"]]
    rms = {path.name: path for match, path in mine if match["rms"]}
    images = [(match, path) for match, path in mine if not match["rms"]]
    if spws is not None:
        images = _selected(images, spws, folder)
    if not images:
        hint = " There are common-beam files (.com.fits), but the planes themselves are needed." if named else ""
        raise DataError(
            f"{folder} holds no plane named "
            f"<imagename>.spw<group>.{polarisation}.iter3.image.pbcor.tt0.subim.fits.{hint}"
        )
    names = sorted({match["image"] for match, _ in images})
    if len(names) > 1:
        raise DataError(
            f"{folder} holds planes of {len(names)} images: {', '.join(names)}. Give each image a folder of its own."
        )
    planes = [
        Plane(path, rms.get(path.name.replace(".tt0.subim", ".tt0.rms.subim")), match["image"], match["group"], header)
        for match, path in images
        for header in [_header(path, polarisation)]
    ]
    planes.sort(key=lambda plane: plane.frequency)
    _check_together(planes)
    return planes


def selected_groups(spws: Sequence[str]) -> list[str]:
    """Groups as a user writes them (`3,4`), as file names have them (`3_4`)."""
    return [spw.replace(",", "_").replace(" ", "") for spw in spws]


def _selected(images: list[tuple[re.Match[str], Path]], spws: Sequence[str], folder: Path) -> list[Any]:
    wanted = selected_groups(spws)
    missing = [spw for spw in wanted if spw not in {match["group"] for match, _ in images}]
    if missing:
        there = "; ".join(sorted({str(match["group"]).replace("_", ",") for match, _ in images}))
        raise DataError(
            f"{folder} holds no plane of spw {'; '.join(spw.replace('_', ',') for spw in missing)}. "
            f"It has spw {there}. Give each group by itself."
        )
    return [(match, path) for match, path in images if match["group"] in wanted]


def _header(path: Path, polarisation: str) -> fits.Header:
    """A plane's header, after making sure that it is a plane's."""
    try:
        with fits.open(path, memmap=True, lazy_load_hdus=True) as hdus:
            header = hdus[0].header.copy()
            for card in header.cards:
                _ = card.value  # astropy reads a card, and finds it damaged, when it is asked for
            whole = path.stat().st_size >= hdus[0].fileinfo()["datLoc"] + hdus[0].size
    except (OSError, ValueError, TypeError, IndexError, KeyError, fits.VerifyError, AstropyWarning) as error:
        raise DataError(f"{path.name}: not a FITS file ({error}). Copy the file again.") from error
    if not whole:
        raise DataError(f"{path.name}: the file is cut short. Copy it again.")
    keys = [f"{key}{axis}" for axis in (1, 2) for key in ("CRVAL", "CRPIX", "CDELT", "CUNIT")]
    for key in (*keys, "CRVAL3", "BMAJ", "BMIN", "BPA"):
        value = header.get(key)
        good = isinstance(value, str) if key.startswith("CUNIT") else isinstance(value, int | float)
        if not good or (isinstance(value, float) and not np.isfinite(value)):
            raise DataError(f"{path.name}: header keyword {key} is missing or not a number; export the plane again.")
    if [str(header.get(f"CTYPE{axis}", "")).strip() for axis in range(1, 5)] != list(_AXES):
        raise DataError(f"{path.name}: the axes must be {', '.join(_AXES)}.")
    if header.get("NAXIS") != 4 or header["NAXIS3"] != 1 or header["NAXIS4"] != len(STOKES[polarisation]):
        raise DataError(
            f"{path.name}: a {polarisation} plane has one frequency and {len(STOKES[polarisation])} Stokes parameters."
        )
    if not header["CRVAL3"] > 0:
        raise DataError(f"{path.name}: CRVAL3 = {header['CRVAL3']} is not a frequency.")
    header["VLASSPL"] = polarisation
    return header


def _check_together(planes: list[Plane]) -> None:
    first = planes[0]
    for plane in planes[1:]:
        for axis in (1, 2):
            cell, other = first.header[f"CDELT{axis}"], plane.header[f"CDELT{axis}"]
            if not np.isclose(cell, other, rtol=1e-6, atol=0):
                raise DataError(
                    f"{plane.path.name}: its cells of {abs(other) * 3600:g} arcsec differ from the "
                    f"{abs(cell) * 3600:g} arcsec of {first.path.name}; planes of one cube have the same cells."
                )
        apart = _apart(*first.nominal, *plane.nominal)
        if apart > 2 * abs(first.header["CDELT2"]):
            raise DataError(
                f"{plane.path.name} is centred {apart * 3600:.2f} arcsec from {first.path.name}: planes of different "
                "squares, or with a position correction that their history does not tell. Keep one square in a folder."
            )
    for one, two in itertools.pairwise(planes):
        if one.frequency == two.frequency:
            raise DataError(
                f"{one.path.name} and {two.path.name} have the same frequency, {one.frequency / 1e6:g} MHz."
            )
    claimed: dict[int, Plane] = {}
    for plane in planes:
        for spw in plane.spws:
            if spw in claimed:
                raise DataError(
                    f"spw {spw} is in {claimed[spw].path.name} and in {plane.path.name}; choose groups with spws."
                )
            claimed[spw] = plane
