"""Neighbouring squares in one image: their planes of each spectral window, weighted by their noise.

Planes are resampled by the coordinates of both (`resample`, cubic splines). The package reproject would do that, too;
it was tried, and would bring 18 packages into the container image.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy import ndimage

from ccip_batch.cube.beams import GaussianBeam, common_beam, kernel
from ccip_batch.cube.convolve import Grid, Shift, Transfer
from ccip_batch.cube.mosaic_grid import Window, common_grid, window_of
from ccip_batch.cube.planes.noise import scatter
from ccip_batch.cube.planes.plane import Plane, find_planes
from ccip_batch.cube.planes.search import NoPlanesError, selected_groups
from ccip_batch.cube.resample import resample
from ccip_batch.cube.write import CubeFile, add_history, base_header, free_space, set_beam, set_frequency
from ccip_batch.errors import DataError, ResourceError

KINDS = {"image": "", "rms": ".rms", "weight": ".weight"}
"""The files of a mosaic, and what their names have: those of planes, so that cubes can be made of mosaics."""
_LONGEST = 60
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._+-]{{0,{_LONGEST - 1}}}")
"""What a mosaic may be called: a part of the names of its files, and the value of a keyword."""
_SAME_FREQUENCY = 1e-6
"""Planes of one spw whose frequencies differ by less than this share are of one frequency."""
_STRIP = 256
"""Rows that are divided and written at a time."""
_OF_A_SQUARE = (
    "OBSRA", "OBSDEC", "OBSERVER", "PROPCODE", "VLASSEP", "VLASSITY", "VLASSPC", "VLASSPT", "VLASSTN", "VLASSVR",
    "VLASSWP",
)  # fmt: skip
"""Keywords that are left out where squares differ in them."""


@dataclass(frozen=True)
class MosaicOptions:
    """How mosaics are made."""

    name: str = "mosaic"
    """Files are named after it as those of planes are after their imagename."""
    common_beam: bool = False
    """One beam for all spectral windows; otherwise the smallest common beam of the squares in each."""
    spws: Sequence[str] | None = None
    """Only these groups, such as `["2", "3_4"]`."""
    overwrite: bool = False
    """Replace mosaics that are there."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DataError(
                f"Mosaics cannot be named {self.name!r}: a name has letters from A to Z, digits and any of . _ + -, "
                f"begins with a letter or a digit, and is {_LONGEST} characters long at most. Choose another with "
                "--name."
            )


@dataclass(frozen=True)
class _Mosaic:
    """One group and kind of plane: what is to be made."""

    group: str
    kind: str
    """`IQU` or `V`."""
    planes: list[Plane]
    beam: GaussianBeam
    paths: dict[str, Path]
    """By key of KINDS."""


def make_mosaics(
    folders: Sequence[Path], out: Path, options: MosaicOptions | None = None, say: Callable[[str], None] | None = None
) -> list[Path]:
    """Write a mosaic of each spectral window of several squares into folder `out`; returns the files.

    folders: run folders or folders of planes, a square each. say: is told what is done and what is left out.

    A pixel is the mean of the squares that have it, weighted by 1 / rms^2 from their rms images; where a plane has
    none, from its scatter. Rejected planes are left out, and so are pixels so near to a blank one that the convolution
    mixed it in. All mosaics are on one grid, tangent at the centre of the squares, without position corrections; each
    plane is put where its corrected position says. Sums are in files, so that one plane of one square and Stokes
    parameter is in memory at a time. Raises DataError if planes do not fit together, if a square touches no other, or
    if mosaics exist; ResourceError if there is no space on the disk.
    """
    options, say = options or MosaicOptions(), say or (lambda line: None)
    planes = {kind: _squares(folders, kind, options, say) for kind in ("IQU", "V")}
    if not planes["IQU"]:
        raise DataError("Every plane of every square is rejected (VLASSRJ = T): there is nothing to make a mosaic of.")
    grid = common_grid(planes["IQU"])
    mosaics = list(_plan(planes, out, options))
    _check_out(out, mosaics, grid, overwrite=options.overwrite)
    for number, mosaic in enumerate(mosaics, 1):
        squares = ", ".join(plane.imagename for plane in mosaic.planes)
        say(f"{number}/{len(mosaics)}: spw {mosaic.group} {mosaic.kind}, {mosaic.beam}: {squares}")
        _make(mosaic, grid, options.name)
    return [path for mosaic in mosaics for path in mosaic.paths.values()]


def _squares(folders: Sequence[Path], kind: str, options: MosaicOptions, say: Callable[[str], None]) -> list[Plane]:
    """The kept planes of all squares."""
    kept: list[Plane] = []
    wanted: set[str] = set()
    seen: dict[str, Path] = {}
    for folder in folders:
        try:
            found = find_planes(folder, kind, warn=say)
        except NoPlanesError:
            if kind == "IQU":
                raise
            say(f"{folder}: no V planes")
            continue
        name = found[0].imagename
        if name in seen:
            raise DataError(f"{seen[name]} and {folder} hold the same image, {name}; give each square once.")
        seen[name] = folder
        there = {plane.group for plane in found}
        chosen = there if options.spws is None else set(selected_groups(options.spws, there))
        wanted |= chosen
        for plane in found:
            if plane.group not in chosen:
                continue
            if plane.rejected:
                say(f"left out: {name} spw {plane.group}: rejected (VLASSRJ = T)")
            else:
                kept.append(plane)
    missing = set() if options.spws is None else wanted - {plane.group for plane in kept}
    if missing and kind == "IQU":
        raise DataError(f"No square has a kept plane of spw {', '.join(sorted(missing))}.")
    return kept


def _plan(planes: dict[str, list[Plane]], out: Path, options: MosaicOptions) -> Iterator[_Mosaic]:
    """What is to be made, in order of frequency. Raises DataError if planes of a group differ in frequency."""
    everything = [plane.beam for several in planes.values() for plane in several]
    for group in dict.fromkeys(plane.group for plane in sorted(planes["IQU"], key=lambda plane: plane.frequency)):
        of_group = {kind: [plane for plane in several if plane.group == group] for kind, several in planes.items()}
        first = of_group["IQU"][0]
        for plane in of_group["IQU"]:
            if not math.isclose(plane.frequency, first.frequency, rel_tol=_SAME_FREQUENCY):
                raise DataError(
                    f"spw {group} is at {first.frequency / 1e6:g} MHz in {first.path.name} and at "
                    f"{plane.frequency / 1e6:g} MHz in {plane.path.name}; such planes have no mosaic."
                )
        # I, Q, U and V have the same beam, so that they can be compared.
        own = [plane.beam for several in of_group.values() for plane in several]
        beam = common_beam(everything if options.common_beam else own)
        for kind, several in of_group.items():
            if several:
                stem = f"{options.name}.spw{group}.{kind}.iter3.image.pbcor.tt0"
                yield _Mosaic(
                    group, kind, several, beam, {key: out / f"{stem}{word}.subim.fits" for key, word in KINDS.items()}
                )


def _check_out(out: Path, mosaics: Sequence[_Mosaic], grid: Grid, *, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; name a folder for the mosaics with --out.")
    out.mkdir(parents=True, exist_ok=True)
    there = [path.name for mosaic in mosaics for path in mosaic.paths.values() if path.exists()]
    if there and not overwrite:
        raise DataError(f"{out} already has {', '.join(there)}; choose another folder, or give --overwrite.")
    pixels = grid.shape[0] * grid.shape[1]
    size = 4 * pixels * (2 + len(KINDS) * sum(len(mosaic.kind) for mosaic in mosaics))
    if free_space(out) < size:
        raise ResourceError(f"The mosaics take {size / 1e9:.1f} GB, {out} has {free_space(out) / 1e9:.1f} GB left.")


def _make(mosaic: _Mosaic, grid: Grid, name: str) -> None:
    """Write the files of a mosaic."""
    windows = [window_of(plane, grid) for plane in mosaic.planes]
    with ExitStack() as stack:
        files = {
            key: stack.enter_context(CubeFile(path, _header(mosaic, grid, name, key)))
            for key, path in mosaic.paths.items()
        }
        for stokes in mosaic.kind:
            with _sums(mosaic.paths["image"].parent, grid.shape) as (total, weights):
                for plane, window in zip(mosaic.planes, windows, strict=True):
                    _add(plane, stokes, mosaic.beam, window, (total, weights))
                for low in range(0, grid.shape[0], _STRIP):
                    _append(total[low : low + _STRIP], weights[low : low + _STRIP], files)
        for file in files.values():
            file.finish()
        for file in files.values():  # once there is nothing more to be written
            file.put()


@contextmanager
def _sums(folder: Path, shape: tuple[int, int]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Two images of zeros in files without a name: the weighted sum, and the sum of the weights."""
    with TemporaryFile(dir=folder) as one, TemporaryFile(dir=folder) as two:
        yield np.memmap(one, np.float32, "w+", shape=shape), np.memmap(two, np.float32, "w+", shape=shape)


def _add(
    plane: Plane, stokes: str, beam: GaussianBeam, window: Window,
    sums: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:  # fmt: skip
    """Add a plane to the sums: of value times weight, and of weights."""
    image = plane.read(stokes)
    before = scatter(image)
    move = Shift(0.0, 0.0, math.inf, plane.wcs)
    moved = Transfer(plane.beam, beam, plane.shape, window.grid, move, "exact").apply(image)
    del image
    changed = scatter(moved) / before if before > 0 else 1.0
    rms = _noise(plane, stokes, window, before) * np.float32(changed)
    good = _away_from_blanks(np.isfinite(moved), _reach(plane.beam, beam, window.grid)) & (rms > 0)
    weight = np.zeros_like(moved)
    np.divide(1, rms * rms, out=weight, where=good)
    moved[~good] = 0
    total, weights = sums
    total[window.place] += weight * moved
    weights[window.place] += weight


def _noise(plane: Plane, stokes: str, window: Window, otherwise: float) -> NDArray[np.float32]:
    """The plane's rms image in the window; a constant if there is none."""
    if plane.rms is None:
        return np.full(window.grid.shape, otherwise if otherwise > 0 else 1.0, np.float32)
    return resample(plane.rms.read(stokes), plane.rms.wcs, window.grid.wcs, window.grid.shape, "linear")


def _reach(old: GaussianBeam, new: GaussianBeam, grid: Grid) -> int:
    """Within how many pixels the convolution (two standard deviations) and the splines (2) mix blanks in."""
    moments = kernel(old, new)
    largest = float(np.linalg.eigvalsh(moments)[1]) if moments is not None else 0.0
    return 2 + math.ceil(2 * math.sqrt(max(largest, 0.0)) / abs(grid.cdelt[1]))


def _away_from_blanks(valid: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    near = ndimage.minimum_filter(valid.astype(np.uint8), 2 * reach + 1, mode="constant", cval=0)
    away: NDArray[np.bool_] = near.astype(bool)
    return away


def _append(total: NDArray[np.float32], weights: NDArray[np.float32], files: dict[str, CubeFile]) -> None:
    """The next rows of the image, of its rms and of its weights."""
    with np.errstate(divide="ignore", invalid="ignore"):
        files["image"].append(np.where(weights > 0, total / weights, np.float32(np.nan)))
        files["rms"].append(np.where(weights > 0, weights**-0.5, np.float32(np.nan)))
    files["weight"].append(np.asarray(weights))


def _header(mosaic: _Mosaic, grid: Grid, name: str, key: str) -> fits.Header:
    """The header of one file of a mosaic. name: what it is called. key: of KINDS."""
    planes = mosaic.planes
    header = base_header(planes, grid, mosaic.kind[0])
    first = planes[0].header
    header["NAXIS4"] = len(mosaic.kind)
    header["VLASSPL"] = mosaic.kind
    set_beam(header, mosaic.beam)
    axis = {"CRVAL3": first["CRVAL3"], "CDELT3": first["CDELT3"], "CRPIX3": 1.0, "CUNIT3": "Hz"}
    set_frequency(header, axis, first["CRVAL3"])
    if "LATPOLE" in header:
        header["LATPOLE"] = grid.crval[1]
    for word in _OF_A_SQUARE:
        if len({plane.header.get(word) for plane in planes}) > 1:
            header.remove(word, ignore_missing=True)
    header["OBJECT"] = name
    header["NSQUARES"] = (len(planes), "Squares in the mosaic")
    if key == "weight":
        header["BUNIT"] = "beam2/Jy2"
        header["BTYPE"] = "Weight"
    add_history(
        header,
        "Mosaic of the squares below in the beam of this header, weighted by 1 / rms^2, resampled by cubic splines; "
        "position corrections applied.",
    )
    for plane in planes:
        add_history(header, f"In the mosaic: {plane.imagename}")
        add_history(header, f"of beam {plane.beam}")
    return header
