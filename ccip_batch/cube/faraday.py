"""Maps of the Faraday depth peak of Q and U cubes: rotation measure, polarised intensity and angle, with their errors.

All pixels are searched at few Faraday depths with one matrix product; only those that may reach the wanted S/N get a
whole spectrum and the peak fit of RM-Tools, which takes some 0.3 ms a pixel. Rows are read strip by strip, a strip a
core, so that memory does not depend on the number of rows, and is some 150 MB a core beside what RM-Tools takes.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ccip_batch import processes
from ccip_batch.cube.cubes import CubeResult
from ccip_batch.cube.faraday_headers import MAPS, map_header
from ccip_batch.cube.polarisation import FEWEST, wavelength_squared
from ccip_batch.cube.write import CubeFile, free_space
from ccip_batch.errors import DataError, ResourceError

STEP = 5.0
"""rad/m2 between the Faraday depths of a spectrum: a fiftieth of the width of the VLASS band's response."""
_FIRST_CUT = 0.95
"""Share of the wanted S/N from which on a pixel is fitted; between the depths of the search, 1% of a peak is missed."""
_ACROSS = 8
"""Depths of the search across the width of the response."""
_STRIP_PIXELS = 1 << 17
_PREVIEW_SIDE = 1000
_BIAS_FROM = 5.0
"""S/N from which on RM-Tools corrects polarised intensity for its bias, unless pixels below are wanted too."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class FaradayOptions:
    """How the maps are made."""

    snr: float = 7.0
    """Pixels whose peak is below this signal-to-noise ratio are blank."""
    limit: float = 500.0
    """Largest |Faraday depth| that is searched, rad/m2."""
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """Processes."""
    overwrite: bool = False
    """Replace maps that are there."""


@dataclass(frozen=True)
class FaradayMaps:
    """What faraday_maps wrote."""

    paths: dict[str, Path]
    """By name of the map (`faraday_headers.MAPS`)."""
    pixels: int
    """Pixels with a value."""
    previews: dict[str, NDArray[np.float32]]
    """RM (rad/m2) and P (Jy/beam), at most a thousand pixels a side: those of the brightest pixel in each block."""


def require_rm_tools() -> None:
    """Raises DataError, with what to install, if RM-Tools cannot be imported."""
    try:
        import RMutils.util_RM  # noqa: F401
    except ImportError as error:
        raise DataError(
            f"Maps of Faraday depth peaks need RM-Tools, which this Python does not have ({error}). "
            "Install it with: pip install 'ccip-batch[rm]'"
        ) from error


def require_channels(count: int, where: str) -> None:
    """Raises DataError if there are too few channels with noise. where: what has so many."""
    if count < FEWEST:
        raise DataError(
            f"{where} has {count} channel(s) with noise: Faraday depths need at least {FEWEST}. Take more planes."
        )


def map_paths(out: Path, imagename: str) -> dict[str, Path]:
    """The files of the maps in a folder, by name of the map."""
    return {name: out / f"{imagename}.{name}.map.fits" for name in MAPS}


def check_maps(out: Path, imagename: str, options: FaradayOptions) -> None:
    """Before anything is made: raises DataError without RM-Tools, or if maps exist that may not be replaced."""
    require_rm_tools()
    there = [path.name for path in map_paths(out, imagename).values() if path.exists()]
    if there and not options.overwrite:
        raise DataError(f"{out} already has {', '.join(there)}; choose another folder, or give --overwrite.")


def faraday_maps(
    cubes: CubeResult, options: FaradayOptions | None = None, progress: Callable[[str], None] | None = None
) -> FaradayMaps:
    """Write `<imagename>.<map>.map.fits` for each of `faraday_headers.MAPS` beside the cubes: two axes, on their sky.

    Channels are weighted by 1 / noise^2, with the noise in the cubes. A pixel that is blank in some channels is taken
    from the others, with the noise and the response that these have; it needs three. Raises DataError without RM-Tools,
    if maps exist, or with less than three channels; ResourceError if there is no space on the disk.
    """
    options = options or FaradayOptions()
    name = cubes.cubes["Q"].name.removesuffix(".Q.cube.fits")
    out = cubes.cubes["Q"].parent
    check_maps(out, name, options)
    search = _search(cubes, options)
    header = fits.getheader(cubes.cubes["Q"])
    shape = int(header["NAXIS2"]), int(header["NAXIS1"])
    size = 4 * len(MAPS) * shape[0] * shape[1]
    if free_space(out) < size:
        raise ResourceError(f"The maps take {size / 1e9:.1f} GB, {out} has {free_space(out) / 1e9:.1f} GB left.")
    paths = map_paths(out, name)
    with ExitStack() as stack:
        files = {
            key: stack.enter_context(CubeFile(path, map_header(header, key, search.facts())))
            for key, path in paths.items()
        }
        pixels, previews = _write_strips(search, shape, files, options.workers, progress or (lambda line: None))
        for file in files.values():
            file.finish()
        for file in files.values():  # once there is nothing more to be written
            file.put()
    return FaradayMaps(paths, pixels, previews)


def _write_strips(
    search: _Search, shape: tuple[int, int], files: dict[str, CubeFile], workers: int, say: Callable[[str], None]
) -> tuple[int, dict[str, NDArray[np.float32]]]:
    """Search all rows and append them to the maps; the number of pixels with a value, and the previews."""
    rows, columns = shape
    block = math.ceil(max(shape) / _PREVIEW_SIDE)
    height = block * max(1, _STRIP_PIXELS // (columns * block))  # so that no block is in two strips
    previews = {
        key: np.full((math.ceil(rows / block), math.ceil(columns / block)), np.nan, np.float32) for key in ("RM", "P")
    }
    strips = [(low, min(low + height, rows)) for low in range(0, rows, height)]
    pixels, told = 0, 0
    for (low, high), found in zip(strips, _side_by_side(search.rows, strips, workers), strict=True):
        for number, (key, file) in enumerate(files.items()):
            strip = np.full((high - low, columns), np.nan, np.float32)
            strip[found.y, found.x] = found.values[number]
            file.append(strip)
            if key in previews:
                order = np.argsort(found.values[list(files).index("P")])  # the brightest is written last
                place = (low + found.y[order]) // block, found.x[order] // block
                previews[key][place] = found.values[number][order]
        pixels += len(found.x)
        if 10 * high // rows > told:
            told = 10 * high // rows
            say(f"Faraday depth: {high} of {rows} rows, {pixels} pixels with a peak")
    return pixels, previews


def _side_by_side(
    task: Callable[[tuple[int, int]], _Found], strips: Sequence[tuple[int, int]], workers: int
) -> Iterator[_Found]:
    """The results in their order, from several processes where there is more than one strip."""
    workers = min(workers, len(strips))
    if workers < 2:
        yield from map(task, strips)
        return
    # Not forked: libraries with threads of their own, as RM-Tools has, may hang in a fork.
    with (
        _variables(_ONE_THREAD | {processes.PARENT_VARIABLE: str(os.getpid())}),
        ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=processes.die_with_parent
        ) as pool,
    ):
        yield from pool.map(task, strips)


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Variables of the environment for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass(frozen=True)
class _Found:
    """The pixels of a strip that have a value."""

    y: NDArray[np.intp]
    """From the first row of the strip."""
    x: NDArray[np.intp]
    values: NDArray[np.float32]
    """Shape (maps, pixels), in the order of MAPS."""


def _search(cubes: CubeResult, options: FaradayOptions) -> _Search:
    noise = np.atleast_1d(np.loadtxt(cubes.noise))
    good = np.isfinite(noise) & (noise > 0)
    require_channels(int(np.count_nonzero(good)), cubes.noise.name)
    frequency = np.array([channel.frequency for channel in cubes.channels])
    steps = math.ceil(options.limit / STEP)
    return _Search(
        (cubes.cubes["Q"], cubes.cubes["U"]),
        wavelength_squared(frequency),
        np.where(good, 1 / np.where(good, noise, 1) ** 2, 0.0),
        STEP * np.arange(-steps, steps + 1, dtype=np.float64),
        options.snr,
    )


@dataclass(frozen=True)
class _Search:
    """Finds and measures the peaks of strips of rows."""

    cubes: tuple[Path, Path]
    """Q and U."""
    squared: NDArray[np.float64]
    """Wavelength squared of the channels, m2."""
    weights: NDArray[np.float64]
    """1 / noise^2 of the channels; 0 for those that are blank."""
    depths: NDArray[np.float64]
    """rad/m2."""
    snr: float

    @property
    def reference(self) -> float:
        """The wavelength squared (m2) at which the spectra have their angles: the weighted mean of the channels."""
        return float(np.average(self.squared, weights=self.weights))

    def width(self, used: NDArray[np.bool_]) -> float:
        """Full width at half maximum (rad/m2) of the response of some channels, as RM-Tools has it."""
        return 3.8 / float(np.ptp(self.squared[used]))

    def facts(self) -> dict[str, float]:
        """What the headers of the maps tell."""
        used = self.weights > 0
        return {
            "channels": int(np.count_nonzero(used)),
            "reference": self.reference,
            "width": self.width(used),
            "noise": float(1 / np.sqrt(self.weights.sum())),
            "limit": float(self.depths[-1]),
            "step": STEP,
            "snr": self.snr,
        }

    def rows(self, strip: tuple[int, int]) -> _Found:
        """The peaks of rows `strip[0]` to `strip[1]` - 1."""
        q, u = (_read(path, strip) for path in self.cubes)
        used = np.isfinite(q) & np.isfinite(u) & (self.weights > 0)[:, None, None]
        polarised = np.where(used, q + 1j * u, 0).reshape(len(q), -1)
        used = used.reshape(len(q), -1)
        at = self._candidates(polarised, used)
        phases = self._phases(self.depths)
        values = [self._measure(phases @ polarised[:, pixel], used[:, pixel]) for pixel in at]
        keep = np.array([value is not None for value in values], dtype=bool)
        y, x = np.unravel_index(at[keep], q.shape[1:])
        table = np.array([value for value in values if value is not None], dtype=np.float32)
        return _Found(y, x, table.reshape(-1, len(MAPS)).T)

    def _candidates(self, polarised: NDArray[Any], used: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Pixels whose spectrum, at a few depths, comes near the wanted S/N."""
        every = max(1, int(self.width(self.weights > 0) / _ACROSS / STEP))
        phases = self._phases(np.append(self.depths[::every], self.depths[-1]))
        sums = np.ascontiguousarray(phases.astype(np.complex64)) @ polarised.astype(np.complex64)
        highest = np.max(sums.real**2 + sums.imag**2, axis=0)
        total = self.weights.astype(np.float32) @ used.astype(np.float32)  # 1 / variance of a pixel's spectrum
        reaches = highest >= (_FIRST_CUT * self.snr) ** 2 * total
        return np.flatnonzero(reaches & (used.sum(axis=0) >= FEWEST))

    def _phases(self, depths: NDArray[np.float64]) -> NDArray[np.complex128]:
        """What turns channels into the sum of a spectrum, shape (depths, channels); weights are in it."""
        turned: NDArray[np.complex128] = self.weights * np.exp(-2j * np.outer(depths, self.squared - self.reference))
        return turned

    def _measure(self, sums: NDArray[Any], used: NDArray[np.bool_]) -> list[float] | None:
        """The values of all maps at one pixel; None if its peak is too low, or at an end of the depths.

        sums: of its weighted channels at all depths. used: which channels it has.
        """
        from RMutils.util_RM import measure_FDF_parms

        total = float(self.weights[used].sum())
        with np.errstate(all="ignore"):
            found = measure_FDF_parms(
                sums / total,
                self.depths,
                self.width(used),
                dFDF=total**-0.5,
                lamSqArr_m2=self.squared[used],
                lam0Sq=self.reference,
                snrDoBiasCorrect=min(_BIAS_FROM, self.snr),
            )
        values = [float(found[one.rm_tools]) for one in MAPS.values()]
        return values if found["snrPIfit"] >= self.snr and np.isfinite(values).all() else None


def _read(path: Path, strip: tuple[int, int]) -> NDArray[np.float32]:
    """Some rows of a cube, all channels: (channels, rows, columns)."""
    with fits.open(path) as hdus:
        return np.asarray(hdus[0].section[0, :, strip[0] : strip[1], :], dtype=np.float32)
