"""FITS cubes written plane by plane, so that no cube is ever in memory: header first, checksums last."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ccip_batch.cube.beams import GaussianBeam
from ccip_batch.cube.convolve import Grid
from ccip_batch.cube.planes.header import STOKES_NUMBERS
from ccip_batch.cube.planes.plane import Plane
from ccip_batch.cube.planes.spw_ranges import as_ranges

_BLOCK = 2880
_SAME = (
    "BTYPE", "OBJECT", "BUNIT", "EQUINOX", "RADESYS", "LONPOLE", "LATPOLE", "SPECSYS", "VELREF", "TELESCOP", "INSTRUME",
    "OBSERVER", "TIMESYS", "OBSRA", "OBSDEC", "OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z", "PROPCODE", "VLASSEP", "VLASSITY",
    "VLASSPC", "VLASSPT", "VLASSTN", "VLASSVR", "VLASSWP",
)  # fmt: skip
"""Keywords of a plane that hold for a product of several planes as well."""
_OBJECT = re.compile(r"\.(J\d{6}[+-]\d{6})\.")
"""The square's name in an imagename."""


def base_header(planes: Sequence[Plane], grid: Grid, stokes: str) -> fits.Header:
    """The header that products of several planes share: sky and Stokes axes, observation, what went in.

    The frequency axis (axis 3) and the beam are the caller's. Dates are the earliest start and the latest end.
    """
    first = planes[0].header
    header = fits.Header()
    header["SIMPLE"] = True
    header["BITPIX"] = -32
    header["NAXIS"] = 4
    rows, columns = grid.shape
    for axis, length in enumerate((columns, rows, 1, 1), 1):
        header[f"NAXIS{axis}"] = length
    header["EXTEND"] = True
    for key in _SAME:
        if key in first and first[key] != "":
            put(header, key, first[key], first.comments[key])
    if not header.get("OBJECT", "").strip() and (named := _OBJECT.search(planes[0].imagename)):
        put(header, "OBJECT", named[1], "From the name of the image")
    if header.get("SPECSYS") == "LSRK" and "VELREF" not in header:
        put(header, "VELREF", 1, "1 LSR, 2 HEL, 3 OBS, +256 Radio")
    for axis in (1, 2):
        header[f"CTYPE{axis}"] = first[f"CTYPE{axis}"]
        header[f"CRVAL{axis}"] = grid.crval[axis - 1]
        header[f"CDELT{axis}"] = grid.cdelt[axis - 1]
        header[f"CRPIX{axis}"] = grid.crpix[axis - 1]
        header[f"CUNIT{axis}"] = first[f"CUNIT{axis}"]
    header["CTYPE3"] = "FREQ"  # keeps the axes in order; the caller fills the values in
    header["CTYPE4"] = "STOKES"
    header["CRVAL4"] = float(STOKES_NUMBERS[stokes])
    header["CDELT4"] = 1.0
    header["CRPIX4"] = 1.0
    header["CUNIT4"] = ""
    for key, choose in (("DATE-OBS", min), ("DATE-END", max)):
        dates = [_plain_date(str(plane.header[key])) for plane in planes if key in plane.header]
        if dates:
            header[key] = (choose(dates), first.comments[key] if key in first else "")
    header["VLASSPL"] = (stokes, "VLASS Stokes/polarization parameter")
    header["VLASSRJ"] = (any(plane.rejected for plane in planes), "A rejected plane is in here")
    header["VLASSSPW"] = (as_ranges(spw for plane in planes for spw in plane.spws), "Spectral windows used")
    header["DATE"] = (datetime.datetime.now(datetime.UTC).replace(tzinfo=None).isoformat(timespec="seconds"), "UTC")
    header["ORIGIN"] = f"ccip_batch {importlib.metadata.version('ccip_batch')}" if _installed() else "ccip_batch"
    return header


def put(header: fits.Header, key: str, value: str | float | bool, comment: str) -> None:
    """Set a keyword with as many words of its comment as its card has room for."""
    room = 80 - len(fits.Card(key, value).image.rstrip()) - len(" / ")
    header[key] = (value, textwrap.shorten(comment, room, placeholder="") if room > 0 else "")


def add_history(header: fits.Header, text: str) -> None:
    """Add lines of history, folded at words; letters that FITS does not have are written as escapes."""
    text = text.encode("ascii", "backslashreplace").decode()
    for line in textwrap.wrap(text, 72, break_on_hyphens=False):
        header["HISTORY"] = line


def set_beam(header: fits.Header, beam: GaussianBeam) -> None:
    """BMAJ, BMIN, BPA (deg)."""
    header.set("BMAJ", beam.major_deg, after="EXTEND")
    header.set("BMIN", beam.minor_deg, after="BMAJ")
    header.set("BPA", beam.pa_deg, after="BMIN")


def set_frequency(header: fits.Header, values: Mapping[str, str | float], middle: float) -> None:
    """The keywords of axis 3, in their order, and RESTFRQ: the middle of the axis (Hz), as CASA's images have it."""
    after = "CTYPE3"
    for key, value in values.items():
        if key in header:
            header[key] = value
        else:
            header.set(key, value, after=after)
        after = key
    header.set("RESTFRQ", middle, "Rest Frequency (Hz)", after="CUNIT4")


def _installed() -> bool:
    try:
        importlib.metadata.version("ccip_batch")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _plain_date(text: str) -> str:
    """A date without a time zone, which FITS does not know."""
    return text.split("+")[0].rstrip("Z")


def frequency_table(frequencies: NDArray[np.float64]) -> fits.BinTableHDU:
    """The -TAB coordinates of an axis: one row that holds one array of shape (channels, 1), Hz."""
    count = len(frequencies)
    column = fits.Column(
        name="FREQ", format=f"{count}D", dim=f"(1,{count})", unit="Hz", array=frequencies.reshape(1, count, 1)
    )
    hdu = fits.BinTableHDU.from_columns([column], name="WCS-TAB", ver=1)
    hdu.header["EXTLEVEL"] = 1
    return hdu


def beam_table(beams: Sequence[GaussianBeam]) -> fits.BinTableHDU:
    """The beams of a cube's channels as CASA writes and reads them (and CARTA reads them): arcsec and degrees."""
    columns = [
        fits.Column("BMAJ", "1E", unit="arcsec", array=[beam.major_deg * 3600 for beam in beams]),
        fits.Column("BMIN", "1E", unit="arcsec", array=[beam.minor_deg * 3600 for beam in beams]),
        fits.Column("BPA", "1E", unit="deg", array=[beam.pa_deg for beam in beams]),
        fits.Column("CHAN", "1J", array=range(len(beams))),
        fits.Column("POL", "1J", array=[0] * len(beams)),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="BEAMS", ver=1)
    hdu.header["NCHAN"] = len(beams)
    hdu.header["NPOL"] = 1
    return hdu


class CubeFile:
    """A FITS file with an image whose planes are appended in order. It has its name only when it is whole.

    Nothing is left of one that was not given its name.
    """

    def __init__(self, path: Path, header: fits.Header) -> None:
        """header: of the primary HDU, complete but for checksums."""
        self.path = path
        self._partial = path.with_name(path.name + ".part")
        self._header = header
        self._header["CHECKSUM"] = ("0" * 16, "HDU checksum")
        self._header["DATASUM"] = ("0", "data unit checksum")
        self._sum = 0
        self._file = self._partial.open("w+b")
        self._file.write(self._header.tostring().encode("ascii"))
        self._start = self._file.tell()

    def append(self, plane: NDArray[np.float32]) -> None:
        """The next plane, (rows, columns)."""
        data = np.ascontiguousarray(plane, dtype=">f4")
        self._sum += int(np.sum(data.view(">u4"), dtype=np.uint64))
        self._file.write(data.data)

    def finish(self, tables: Sequence[fits.BinTableHDU] = ()) -> None:
        """Pad, write the checksums and the tables."""
        self._file.write(b"\0" * (-(self._file.tell() - self._start) % _BLOCK))
        datasum = _fold(self._sum)
        self._header["DATASUM"] = (str(datasum), "data unit checksum")
        words = np.frombuffer(self._header.tostring().encode("ascii"), dtype=">u4")
        total = _fold(datasum + int(np.sum(words, dtype=np.uint64)))
        self._header["CHECKSUM"] = (_encode(total ^ 0xFFFFFFFF), "HDU checksum")
        self._file.seek(0)
        self._file.write(self._header.tostring().encode("ascii"))
        self._file.close()
        for table in tables:
            table.add_checksum()
            with self._partial.open("ab") as out:
                out.write(_table_bytes(table))

    def put(self) -> None:
        """Give the finished file its name."""
        self._partial.replace(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()  # writes the rest, for which there may be no space
        finally:
            self._partial.unlink(missing_ok=True)


def _table_bytes(table: fits.BinTableHDU) -> bytes:
    import io

    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(buffer, checksum=True)
    return buffer.getvalue()[_BLOCK:]  # a bare primary header takes one block


def _fold(total: int) -> int:
    """A sum in ones' complement arithmetic of 32 bits, as the FITS checksum is."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _encode(value: int) -> str:
    """The 16 characters of a FITS checksum: alphanumeric, their four words add up to `value` (standard, appendix J)."""
    code = [""] * 16
    for byte in range(4):
        number = value >> (24 - 8 * byte) & 0xFF
        letters = [number // 4 + 48] * 4
        letters[0] += number % 4
        while any(not chr(letter).isalnum() for letter in letters):
            for pair in (0, 2):
                if any(not chr(letter).isalnum() for letter in letters[pair : pair + 2]):
                    letters[pair] += 1
                    letters[pair + 1] -= 1
        for place, letter in enumerate(letters):
            code[4 * place + byte] = chr(letter)
    return code[-1] + "".join(code[:-1])  # the value starts one byte before a word's end


def free_space(folder: Path) -> int:
    """Bytes that can be written into a folder."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
