"""What the analysis of all planes needs of the pixels of one: the values inside the tier-2 mask.

An image node writes them, so that `analyze` gets the numbers without having the images.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ccip_batch.casa.images import STOKES, read_plane
from ccip_batch.casa.session import Casa
from ccip_batch.errors import DataError

BOX = 3
"""Side, in pixels, of the box whose mean the tables show."""


@dataclass(frozen=True)
class Samples:
    """Pixels of the cutout inside the tier-2 mask (the iter2 cleanmask), n of them, in row order."""

    shape: tuple[int, int]
    """Of the cutout, (y, x)."""
    y: npt.NDArray[np.int32]
    x: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    """(4, n): I, Q, U, V, Jy/beam, corrected for the primary beam; nan where there is no value."""
    means: npt.NDArray[np.float32]
    """(4, n): mean of the valid pixels of the 3 x 3 box around each pixel."""
    rms: npt.NDArray[np.float32]
    """(n): mean of the Stokes I rms in the 3 x 3 box, Jy/beam."""
    inside_iter3: npt.NDArray[np.bool_]
    """(n): whether the pixel is in the mask of iter3."""

    def save(self, path: Path) -> None:
        """Write as a compressed npz file, which appears under its name when it is whole."""
        partial = path.with_name(f".{path.name}.part")
        with partial.open("wb") as out:
            np.savez_compressed(
                out,
                shape=np.asarray(self.shape, dtype=np.int32),
                y=self.y,
                x=self.x,
                values=self.values,
                means=self.means,
                rms=self.rms,
                inside_iter3=np.packbits(self.inside_iter3),
            )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Read what `save` wrote. Raises DataError if it is damaged."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
                y = held["y"]
                return cls(
                    shape=(int(held["shape"][0]), int(held["shape"][1])),
                    y=y,
                    x=held["x"],
                    values=held["values"],
                    means=held["means"],
                    rms=held["rms"],
                    inside_iter3=np.unpackbits(held["inside_iter3"], count=y.size).astype(bool),
                )
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{path} is damaged: {error}. Remove its node's folder and run again.") from error


def take_samples(casa: Casa, image: str, rms: str, cleanmask: str, iter3_mask: str, blc: tuple[int, int]) -> Samples:
    """Sample a plane.

    image, rms: the corrected cutout and its rms image. cleanmask, iter3_mask: the iter2 cleanmask and the mask of
    iter3, both of the whole image. blc: the pixel (x, y) of the whole image at which the cutouts begin.
    """
    tier2, _ = read_plane(casa, cleanmask)
    iter3, _ = read_plane(casa, iter3_mask)
    noise, has_noise = read_plane(casa, rms)
    height, width = noise.shape
    window = np.s_[blc[1] : blc[1] + height, blc[0] : blc[0] + width]
    y, x = np.nonzero(tier2[window] > 0)
    values = np.empty((len(STOKES), y.size), np.float32)
    means = np.empty_like(values)
    for index in range(len(STOKES)):
        plane, valid = read_plane(casa, image, index)
        plane[~valid] = np.nan
        values[index] = plane[y, x]
        means[index] = _box_means(plane, y, x)
    noise[~has_noise] = np.nan
    return Samples(
        shape=(height, width),
        y=y.astype(np.int32),
        x=x.astype(np.int32),
        values=values,
        means=means,
        rms=_box_means(noise, y, x),
        inside_iter3=iter3[window][y, x] > 0,
    )


def _box_means(
    plane: npt.NDArray[np.float32], y: npt.NDArray[np.intp], x: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    half = BOX // 2
    padded = np.pad(plane.astype(np.float64), half, constant_values=np.nan)
    box = np.stack([padded[y + dy, x + dx] for dy in range(BOX) for dx in range(BOX)])
    count = np.isfinite(box).sum(axis=0)
    total = np.nansum(box, axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
