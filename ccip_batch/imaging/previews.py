"""Small arrays of a plane's images, from which the report makes its pictures without CASA and whatever the image size.

An image node writes them as it goes: after each iteration a small one of image, residual and mask, at the end the
cutouts, so that a plane that fails or is under way can be seen as far as it came.
"""

from __future__ import annotations

import io
import json
import math
import shutil
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ccip_batch.casa.images import STOKES, Mask, Pixels, read_plane
from ccip_batch.casa.session import Casa
from ccip_batch.errors import DataError

NAME = "previews.npz"
SIDE = 640
"""Largest side of the final image and residual, in pixels of the preview."""
SMALL_SIDE = 256
"""The same of everything else."""
PSF_HALF = 48
"""Half the side of the centre of the psf, in pixels of the image."""

Array = npt.NDArray[Any]


@dataclass
class Previews:
    """The previews of one plane.

    Arrays are keyed by kind: `image`, `residual`, `rms` (mJy/beam, corrected for the primary beam), `pb`, `psf` (its
    centre, not reduced), `mask`, `tier1`, `tier2` (bool), of the cutout; `model` (mJy/pixel, the value furthest from
    0), `iter<n>.image`, `iter<n>.residual` (mJy/beam), `iter<n>.mask` of the whole image. Their shape is (Stokes, y,
    x), one Stokes for masks; float16, nan where there is no value.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    headers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By kind: celestial FITS keywords of the preview, where it has any, and `reduced`, how many image pixels a
    preview pixel has on a side."""

    def __contains__(self, kind: str) -> bool:
        return kind in self.arrays

    def save(self, path: Path) -> None:
        """Write as a compressed npz file, which appears under its name when it is whole."""
        partial = path.with_name(f".{path.name}.part")
        stored: dict[str, Any] = {}
        for kind, array in self.arrays.items():
            if array.dtype == bool:
                stored[f"{kind}:shape"] = np.asarray(array.shape, np.int32)
                stored[f"{kind}:bits"] = np.packbits(array)
            else:
                stored[kind] = array
        with partial.open("wb") as out:
            np.savez_compressed(out, headers=np.asarray(json.dumps(self.headers)), **stored)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path, kinds: Collection[str] | None = None) -> Previews:
        """Read what `save` wrote, or only these kinds. Raises DataError if it is damaged."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
                arrays: dict[str, Array] = {}
                for key in held.files:
                    kind, _, part = key.partition(":")
                    if kinds is not None and kind not in kinds:
                        continue
                    if part == "bits":
                        shape = tuple(int(n) for n in held[f"{kind}:shape"])
                        arrays[kind] = np.unpackbits(held[key], count=math.prod(shape)).astype(bool).reshape(shape)
                    elif not part and key != "headers":
                        arrays[kind] = held[key]
                return cls(arrays, json.loads(str(held["headers"])))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{path} is damaged: {error}. Remove its node's folder and run again.") from error


def factor(shape: tuple[int, ...], side: int) -> int:
    """How many pixels become one, on each axis, so that neither side of (y, x) is longer than `side`."""
    return max(1, math.ceil(max(shape) / side))


def mean(values: Pixels, valid: Mask, by: int) -> npt.NDArray[np.float32]:
    """Mean of the valid pixels of each block of by x by pixels, fewer at the edges; nan where none is valid."""
    starts = np.arange(0, values.shape[1], by)
    rows = []
    for top in range(0, values.shape[0], by):  # a row of blocks at a time: full-size images are large
        inside = valid[top : top + by]
        sums = np.where(inside, values[top : top + by], 0).sum(axis=0, dtype=np.float64)
        counts = np.add.reduceat(inside.sum(axis=0), starts)
        total = np.add.reduceat(sums, starts)
        rows.append(np.where(counts > 0, total / np.maximum(counts, 1), np.nan))
    return np.asarray(rows, np.float32)


def furthest(values: Pixels, by: int) -> npt.NDArray[np.float32]:
    """The value furthest from 0 of each block: single pixels are not lost."""
    starts = np.arange(0, values.shape[1], by)
    rows = []
    for top in range(0, values.shape[0], by):
        part = values[top : top + by]
        high = np.maximum.reduceat(part.max(axis=0), starts)
        low = np.minimum.reduceat(part.min(axis=0), starts)
        rows.append(np.where(high >= -low, high, low))
    return np.asarray(rows, np.float32)


def reduced_header(header: Mapping[str, Any], by: int) -> dict[str, Any]:
    """Celestial FITS keywords after averaging by x by pixels."""
    changed = dict(header)
    for axis in (1, 2):
        changed[f"CDELT{axis}"] = header[f"CDELT{axis}"] * by
        changed[f"CRPIX{axis}"] = (header[f"CRPIX{axis}"] - 0.5) / by + 0.5
    return {**changed, "reduced": by}


class PreviewWriter:
    """Collects the previews of a plane and saves them as they come."""

    def __init__(self, casa: Casa, path: Path, kept: Path) -> None:
        """path: where the previews are written. kept: a copy that outlives an interruption, gone on with if there."""
        self._casa = casa
        self._path = path
        self._kept = kept
        try:
            self._previews = Previews.load(kept) if kept.is_file() else Previews()
        except DataError:
            self._previews = Previews()  # pictures are not worth a failure

    def iteration(self, number: int, imagename: str) -> None:
        """Take image, residual and mask of an iteration. Called when they are whole.

        iter0 has no restored image, but it would be the residual without the residual's mask.
        """
        image, residual = f"{imagename}.image.tt0", f"{imagename}.residual.tt0"
        self._take(f"iter{number}.image", image if Path(image).is_dir() else residual, SMALL_SIDE, 1e3, masked=False)
        self._take(f"iter{number}.residual", residual, SMALL_SIDE, 1e3)
        if Path(f"{imagename}.mask").is_dir():
            self._take_mask(f"iter{number}.mask", f"{imagename}.mask")
        self._previews.save(self._path)
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        partial = self._kept.with_name(f".{self._kept.name}.part")
        shutil.copyfile(self._path, partial)
        partial.replace(self._kept)

    def final(
        self, imagename: str, cutouts: Mapping[str, str], blc: tuple[int, int], header: Mapping[str, Any]
    ) -> None:
        """Take the final images.

        cutouts: names by kind, as stage 10 made them, from pixel blc (x, y) of the whole image on. header: their
        celestial FITS keywords.
        """
        self._take("image", cutouts["image.pbcor"], SIDE, 1e3, header)
        self._take("residual", cutouts["image.residual.pbcor"], SIDE, 1e3, header)
        self._take("rms", cutouts["image.pbcor.rms"], SMALL_SIDE, 1e3, header)
        self._take("pb", cutouts["pb"], SMALL_SIDE, 1.0, header)
        self._take_psf(cutouts["psf"], header)
        self._take_model(f"{imagename}.model.tt0")
        height, width = read_plane(self._casa, cutouts["pb"])[0].shape
        window = np.s_[blc[1] : blc[1] + height, blc[0] : blc[0] + width]
        masks = {
            "tier1": imagename.replace(".iter3", ".iter1") + ".cleanmask",
            "tier2": imagename.replace(".iter3", ".iter2") + ".cleanmask",
            "mask": f"{imagename}.mask",
        }
        for kind, name in masks.items():
            if Path(name).is_dir():
                self._take_mask(kind, name, window, header)
        self._previews.save(self._path)

    def _take(
        self,
        kind: str,
        image: str,
        side: int,
        scale: float,
        header: Mapping[str, Any] | None = None,
        masked: bool = True,
    ) -> None:
        """Take the means of blocks of all Stokes planes.

        kind: the key of the preview. image: a CASA image. side: the longest the preview may have, pixels. scale: what
        values are multiplied by. header: celestial FITS keywords of the image. masked: leave out masked pixels.
        """
        planes = []
        by = 1
        for stokes in range(len(STOKES)):
            values, valid = read_plane(self._casa, image, stokes)
            if not masked:
                valid = np.isfinite(values)
            by = factor(values.shape, side)
            planes.append(mean(values, valid, by) * np.float32(scale))
        self._keep(kind, np.stack(planes), by, header)

    def _take_psf(self, image: str, header: Mapping[str, Any]) -> None:
        planes = []
        for stokes in range(len(STOKES)):
            values, _ = read_plane(self._casa, image, stokes)
            y, x = values.shape[0] // 2, values.shape[1] // 2
            half = min(PSF_HALF, y, x)
            planes.append(values[y - half : y + half + 1, x - half : x + half + 1])
        cell = {key: header[key] for key in ("CDELT1", "CDELT2", "CUNIT1", "CUNIT2")}
        self._previews.arrays["psf"] = _half(np.stack(planes))
        self._previews.headers["psf"] = {**cell, "reduced": 1}

    def _take_model(self, image: str) -> None:
        planes = []
        by = 1
        for stokes in range(len(STOKES)):
            values, _ = read_plane(self._casa, image, stokes)
            by = factor(values.shape, SMALL_SIDE)
            planes.append(furthest(values, by) * np.float32(1e3))
        self._keep("model", np.stack(planes), by, None)

    def _take_mask(
        self, kind: str, image: str, window: Any = np.s_[:, :], header: Mapping[str, Any] | None = None
    ) -> None:
        values, _ = read_plane(self._casa, image)
        part = values[window]
        by = factor(part.shape, SMALL_SIDE)
        self._previews.arrays[kind] = (furthest(part, by) > 0)[np.newaxis]
        self._previews.headers[kind] = reduced_header(header, by) if header else {"reduced": by}

    def _keep(self, kind: str, values: Array, by: int, header: Mapping[str, Any] | None) -> None:
        self._previews.arrays[kind] = _half(values)
        self._previews.headers[kind] = reduced_header(header, by) if header else {"reduced": by}


def _half(values: Array) -> npt.NDArray[np.float16]:
    """As float16: three digits are more than a picture shows. Values beyond its range are clipped."""
    limit = np.finfo(np.float16).max
    return np.clip(values, -limit, limit).astype(np.float16)
