"""A plane's FITS file, also compressed (`.fits.gz`, `.fits.fz`) or in scaled integers: its header and its pixels."""

from __future__ import annotations

import gzip
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ccip_batch.cube.plane_header import PlaneHeader, read_header
from ccip_batch.errors import DataError

_GZIP = b"\x1f\x8b"
_WHOLE = slice(None)
_BLOCK = 2880


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
        except MemoryError:
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
        try:
            # Not mapped into memory: astropy does not map scaled integers, and a section reads no more than it needs.
            with fits.open(self.path, memmap=False, lazy_load_hdus=True) as hdus:
                section = hdus[self.hdu].section[self.header.stokes.index(stokes), 0, rows, columns]
                pixels = np.array(section, dtype=np.float32)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file raises many kinds
            raise DataError(f"{self.path.name}: the pixels cannot be read ({error}). Copy the file again.") from error
        if self.header.scale != 1:
            pixels *= np.float32(self.header.scale)
        return pixels


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
