"""A plane's FITS file, also compressed (`.fits.gz`, `.fits.fz`) or in scaled integers: its header and its pixels."""

from __future__ import annotations

import gzip
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ccip_batch.cube.planes.header import PlaneHeader, read_header
from ccip_batch.errors import DataError

_GZIP = b"\x1f\x8b"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\3\4": "zip", b"\x1f\x9d": "compress"}
"""How files begin that are compressed otherwise."""
_WHOLE = slice(None)
_BLOCK = 2880
Reader = Callable[..., NDArray[np.float32]]
"""Reads pixels of one Stokes parameter, as `PlaneFile.read` does."""


@dataclass(frozen=True)
class PlaneFile:
    """A file with one image: an image or rms image of a plane."""

    path: Path
    hdu: int
    """Which HDU has the image: 0, or 1 in a file of fpack."""
    header: PlaneHeader

    @classmethod
    def open(cls, path: Path, polarisation: str) -> PlaneFile:
        """Read the header. polarisation: `IQU` or `V`, as the file is named. Raises DataError if it is no plane."""
        try:
            _check_packing(path)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what is odd is judged here
                with fits.open(path, memmap=False, lazy_load_hdus=True) as hdus:
                    number, image = next((n, hdu) for n, hdu in enumerate(hdus) if _has_image(hdu))
                    raw = image.header.copy()
                    for card in raw.cards:
                        _ = card.value  # astropy reads a card, and finds it damaged, when it is asked for
                    info = image.fileinfo()
                    packed = isinstance(image, fits.CompImageHDU)
                    span = info["datSpan"] if packed else image.size  # the last block of an image may lack its padding
                    whole = _is_whole(path, int(info["datLoc"]) + int(span))
                    beams = hdus["BEAMS"].data if raw.get("CASAMBM") and "BEAMS" in hdus else None
        except StopIteration:
            raise DataError(f"{path.name}: there is no image in the file. Copy the file again.") from None
        except PermissionError as error:
            raise DataError(f"{path.name}: the file may not be read ({error.strerror}). Change its mode.") from error
        except (MemoryError, DataError):
            raise
        except Exception as error:  # a damaged file raises many kinds
            if _is_cut_gzip(path):
                raise DataError(f"{path.name}: the file is cut short. Copy it again.") from error
            raise DataError(f"{path.name}: not a FITS file ({error}). Copy the file again.") from error
        if not whole:
            raise DataError(f"{path.name}: the file is cut short. Copy it again.")
        return cls(path, number, read_header(path.name, raw, polarisation, beams))

    def read(self, stokes: str, rows: slice = _WHOLE, columns: slice = _WHOLE) -> NDArray[np.float32]:
        """Pixels of one Stokes parameter, all or a part: (rows, columns), Jy/beam, blanks NaN. Raises DataError."""
        with self.opened() as read:
            return read(stokes, rows, columns)

    @contextmanager
    def opened(self) -> Iterator[Reader]:
        """Open the file once for many reads: gives a function that reads as `read` does.

        Of a file of gzip, which can only be read from its beginning, the last Stokes parameter is kept in memory when
        a part of it was asked for.
        """
        with ExitStack() as stack:
            with self._told():
                # Not mapped into memory: astropy does not map scaled integers, and a section reads no more than needed.
                hdus = stack.enter_context(fits.open(self.path, memmap=False, lazy_load_hdus=True))
                section = hdus[self.hdu].section
            kept: dict[str, NDArray[np.float32]] = {}

            def read(stokes: str, rows: slice = _WHOLE, columns: slice = _WHOLE) -> NDArray[np.float32]:
                with self._told():
                    if not self._gzip or (rows, columns) == (_WHOLE, _WHOLE):
                        return self._scaled(section[self.header.stokes.index(stokes), 0, rows, columns])
                    if stokes not in kept:
                        kept.clear()
                        kept[stokes] = self._scaled(section[self.header.stokes.index(stokes), 0, _WHOLE, _WHOLE])
                    return kept[stokes][rows, columns].copy()

            yield read

    @cached_property
    def _gzip(self) -> bool:
        with self.path.open("rb") as stream:
            return stream.read(2) == _GZIP

    def _scaled(self, section: NDArray[Any]) -> NDArray[np.float32]:
        pixels = np.array(section, dtype=np.float32)
        if self.header.scale != 1:
            pixels *= np.float32(self.header.scale)
        return pixels

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what goes wrong while the pixels are read as a DataError."""
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # a damaged file raises many kinds
            raise DataError(f"{self.path.name}: the pixels cannot be read ({error}). Copy the file again.") from error


def _check_packing(path: Path) -> None:
    """Raise DataError for a file of another program than gzip and fpack, whatever its name says."""
    with path.open("rb") as stream:
        begin = stream.read(5)
    for mark, program in _OTHERS.items():
        if begin.startswith(mark):
            raise DataError(f"{path.name}: the file is compressed with {program}. Unpack it, or take gzip or fpack.")


def _has_image(hdu: Any) -> bool:
    return bool(hdu.is_image and hdu.header.get("NAXIS", 0) > 0)


def _is_whole(path: Path, size: int) -> bool:
    """Whether the file goes on to byte `size`, of what is in it if it is compressed with gzip."""
    with path.open("rb") as stream:
        if stream.read(2) != _GZIP:
            return path.stat().st_size >= size
        stream.seek(-4, 2)
        (end,) = struct.unpack("<I", stream.read())
    return bool(end == (-(-size // _BLOCK) * _BLOCK) % 2**32) or _unpacked_size(path) >= size


def _unpacked_size(path: Path) -> int:
    """Bytes in a gzip file, by reading it; for one whose last four bytes do not tell, as of several parts."""
    return _unpacked(path)[0]


def _is_cut_gzip(path: Path) -> bool:
    """Whether a file is of gzip, and ends before its end mark."""
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP and _unpacked(path)[1]


def _unpacked(path: Path) -> tuple[int, bool]:
    """How many bytes a gzip file gives, and whether it ends too early."""
    size = 0
    try:
        with gzip.open(path) as stream:
            while block := stream.read(1 << 24):
                size += len(block)
    except EOFError:
        return size, True
    except (OSError, zlib.error):
        pass
    return size, False
