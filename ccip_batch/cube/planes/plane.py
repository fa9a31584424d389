"""Exported planes in a folder: find them by name, read their headers, refuse what does not belong together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from ccip_batch.cube.beams import GaussianBeam
from ccip_batch.cube.planes.file import PlaneFile
from ccip_batch.cube.planes.header import separation
from ccip_batch.cube.planes.search import Found, search
from ccip_batch.errors import DataError


@dataclass(frozen=True)
class Plane:
    """A plane's FITS file and what its header says."""

    file: PlaneFile
    rms: Plane | None
    """The plane's rms image, if it is there."""
    imagename: str
    group: str
    """Spectral windows, joined by `_`: `2`, `3_4`."""
    common: bool
    """Whether it is a common-beam file (`.com`)."""

    @property
    def path(self) -> Path:
        """The file of the image."""
        return self.file.path

    @property
    def header(self) -> fits.Header:
        """The header in one form, whoever wrote it (`PlaneHeader.cards`)."""
        return self.file.header.cards

    @property
    def frequency(self) -> float:
        """Of the plane's centre, Hz."""
        return float(self.header["CRVAL3"])

    @property
    def beam(self) -> GaussianBeam:
        """The beam of the plane's header."""
        return GaussianBeam(*(float(self.header[key]) for key in ("BMAJ", "BMIN", "BPA")))

    @property
    def rejected(self) -> bool:
        """VLASSRJ; a file without it (older archive products) counts as kept."""
        return bool(self.file.header.rejected)

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
        return self.file.header.stokes

    @cached_property
    def wcs(self) -> WCS:
        """Celestial WCS with the corrected position, which is where the sky is."""
        return celestial(self.header)

    @property
    def nominal(self) -> tuple[float, float]:
        """CRVAL1 and CRVAL2 (deg) before the position correction."""
        return self.file.header.nominal

    def read(self, stokes: str) -> NDArray[np.float32]:
        """The pixels of one Stokes parameter: (rows, columns), Jy/beam, blanks NaN. Raises DataError if it fails."""
        return self.file.read(stokes)

    @cached_property
    def rms_window(self) -> tuple[slice, slice] | None:
        """Rows and columns of the rms image that are on this plane; None without an rms image, or if none are."""
        if self.rms is None:
            return None
        rows, columns = self.shape
        world = self.wcs.all_pix2world([0, 0, columns - 1, columns - 1], [0, rows - 1, 0, rows - 1], 0)
        window = []
        for places, size in zip(reversed(self.rms.wcs.all_world2pix(*world, 0)), self.rms.shape, strict=True):
            if not np.isfinite(places).all():
                return None
            window.append(slice(max(0, round(min(places))), min(size, round(max(places)) + 1)))
        return (window[0], window[1]) if all(part.start < part.stop for part in window) else None

    def read_rms(self, stokes: str) -> NDArray[np.float32] | None:
        """One Stokes parameter of the rms image, where it is on this plane; None if there is no such part."""
        return None if self.rms is None or self.rms_window is None else self.rms.read(stokes)[self.rms_window]


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


def product_folder(source: Path) -> Path:
    """Where planes are: `products/` of a run folder, else the folder itself. Raises DataError if it is not a folder."""
    if not source.is_dir():
        raise DataError(f"{source} is not a folder. Name a run folder, or a folder with planes (*.subim.fits).")
    return source / "products" if (source / "products").is_dir() else source


def find_planes(
    source: Path,
    polarisation: str = "IQU",
    spws: Sequence[str] | None = None,
    warn: Callable[[str], None] | None = None,
) -> list[Plane]:
    """The planes in a run folder or a folder of FITS planes, in order of frequency, rejected ones too.

    polarisation: `IQU` or `V`, which kind of file. spws: only these groups (`["2", "3_4"]`). warn: is told what looks
    like a plane and is not taken, and what planes do not say. Common-beam files are taken where the planes themselves
    are not there. Raises DataError if there are no planes, if the folder holds more than one image, if a file is not
    such a plane, or if planes do not fit together.
    """
    say = warn or (lambda line: None)
    folder = product_folder(source)
    # A run's products always have the common-beam set too: that is not worth a word.
    found, left = search(folder, polarisation, spws, tell_common=folder == source)
    for line in left:
        say(line)
    planes = [_open(one, polarisation) for one in found]
    planes.sort(key=lambda plane: plane.frequency)
    _check_together(planes)
    unmarked = [plane.group for plane in planes if plane.file.header.rejected is None]
    if unmarked:
        say(f"No VLASSRJ in the planes of spw {', '.join(unmarked)}: taken as kept.")
    return planes


def _open(found: Found, polarisation: str) -> Plane:
    names = found.image.image, found.image.group, found.image.common
    rms = Plane(PlaneFile.open(found.rms.path, polarisation), None, *names) if found.rms else None
    return Plane(PlaneFile.open(found.image.path, polarisation), rms, *names)


def _check_together(planes: list[Plane]) -> None:
    first = planes[0]
    for plane in planes[1:]:
        for axis in (1, 2):
            cell, other = first.header[f"CDELT{axis}"], plane.header[f"CDELT{axis}"]
            if not np.isclose(cell, other, rtol=1e-6, atol=0):
                raise DataError(
                    f"{plane.path.name}: its cells of {other * 3600:g} arcsec along axis {axis} differ from the "
                    f"{cell * 3600:g} arcsec of {first.path.name}; planes of one cube have the same cells. Regrid one "
                    "of them (CASA: imregrid)."
                )
        apart = separation(*first.nominal, *plane.nominal)
        if apart > 2 * abs(first.header["CDELT2"]):
            raise DataError(
                f"{plane.path.name} is centred {apart * 3600:.2f} arcsec from {first.path.name}: planes of different "
                "squares, or with a position correction that their history does not tell. Keep one square in a folder."
            )
    for one, two in itertools.pairwise(planes):
        if math.isclose(one.frequency, two.frequency, rel_tol=1e-9):
            raise DataError(
                f"{one.path.name} and {two.path.name} have the same frequency, {one.frequency / 1e6:g} MHz."
            )
    frames = {frame: plane for plane in planes if (frame := str(plane.header.get("SPECSYS", "")).strip().upper())}
    if len(frames) > 1:
        said = ", ".join(f"SPECSYS = {frame!r} in {plane.path.name}" for frame, plane in frames.items())
        raise DataError(f"Frequencies in different frames: {said}. Export the planes in one frame.")
    claimed: dict[int, Plane] = {}
    for plane in planes:
        for spw in plane.spws:
            if spw in claimed:
                raise DataError(
                    f"spw {spw} is in {claimed[spw].path.name} and in {plane.path.name}; choose groups with spws."
                )
            claimed[spw] = plane
