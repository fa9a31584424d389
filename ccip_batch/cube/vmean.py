"""The mean V image of a square: kept planes in their common beam, each pixel without its smallest and largest value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ccip_batch.cube.axis import SPACING
from ccip_batch.cube.beams import GaussianBeam, common_beam
from ccip_batch.cube.convolve import Grid, Transfer, nominal_grid, shift_of
from ccip_batch.cube.planes.noise import scatter
from ccip_batch.cube.planes.plane import Plane, find_planes
from ccip_batch.cube.write import CubeFile, add_history, base_header, set_beam, set_frequency
from ccip_batch.errors import DataError

_VERSION = re.compile(r"\.v\d+$")
AT_LEAST = 4
"""Where a pixel has this many values or more, the smallest and the largest are left out."""


def mean_v_of(source: Path, out: Path, *, cards: Mapping[str, Any] | None = None, overwrite: bool = False) -> Path:
    """Write the mean V image of a folder of planes into the folder `out`, under the name that the archive gives it:
    `VLASS<epoch>.cc.<tile>.<name>.<..>.<..>.V_mean_minmaxrej.subim.fits`, without the version.

    cards: more keywords for its header, as values or with comments. Raises DataError as `mean_v` and `find_planes` do.
    """
    planes = find_planes(source, "V")
    out.mkdir(parents=True, exist_ok=True)
    path = out / mean_v_name(planes[0].imagename)
    mean_v(planes, path, cards=cards, overwrite=overwrite)
    return path


def mean_v_name(imagename: str) -> str:
    """Name of the mean V image of the planes of that imagename."""
    return f"{_VERSION.sub('', imagename)}.V_mean_minmaxrej.subim.fits"


def mean_v(
    planes: list[Plane],
    out: Path,
    *,
    beam: GaussianBeam | None = None,
    cards: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    interpolation: str = "linear",
) -> None:
    """Write the mean of the kept planes' V to the file `out`: axes RA, DEC, FREQ, STOKES, Jy/beam.

    planes: V planes (`find_planes(folder, "V")`); rejected ones are left out. beam: of the image, by default the common
    beam of the kept planes. cards: more keywords for its header. overwrite: replace the file if it exists.
    interpolation: as in `convolve.Transfer`.

    A pixel's value is the plain mean of its values that are not blank, without the smallest and the largest where there
    are at least four. The header's frequency is the mean of the planes'; keywords NPLANES and NREJ and the history say
    what went in. One plane is in memory at a time, with a sum, extremes and a count. Raises DataError if no plane is
    kept, or if the file exists and `overwrite` is False.
    """
    kept = [plane for plane in planes if not plane.rejected]
    if not kept:
        raise DataError("Every V plane is rejected (VLASSRJ = T): there is no mean V image.")
    if out.exists() and not overwrite:
        raise DataError(f"{out} exists; choose another name or ask to overwrite.")
    target = beam or common_beam([plane.beam for plane in kept])
    grid = nominal_grid(kept)
    mean = _MinMaxRejectedMean(grid.shape)
    for plane in kept:
        transfer = Transfer(plane.beam, target, plane.shape, grid, shift_of(plane.wcs, grid), interpolation)
        mean.add(transfer.apply(plane.read("V")))
    image = mean.value()
    header = _header(kept, len(planes) - len(kept), grid, target, scatter(image))
    header.update(cards or {})
    with CubeFile(out, header) as file:
        file.append(image)
        file.finish()
        file.put()


class _MinMaxRejectedMean:
    """A mean over images given one by one; blank pixels (NaN) are left out."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._sum = np.zeros(shape)
        self._low = np.full(shape, np.inf, dtype=np.float32)
        self._high = np.full(shape, -np.inf, dtype=np.float32)
        self._count = np.zeros(shape, dtype=np.uint16)

    def add(self, image: NDArray[np.float32]) -> None:
        valid = np.isfinite(image)
        np.add(self._sum, image, out=self._sum, where=valid)
        np.fmin(self._low, image, out=self._low)
        np.fmax(self._high, image, out=self._high)
        self._count += valid

    def value(self) -> NDArray[np.float32]:
        reject = self._count >= AT_LEAST
        number = np.where(reject, self._count - 2, self._count)
        with np.errstate(invalid="ignore", divide="ignore"):
            total = np.where(reject, self._sum - self._low - self._high, self._sum)
            result: NDArray[np.float32] = (total / number).astype(np.float32)
        return result


def _header(kept: list[Plane], rejected: int, grid: Grid, beam: GaussianBeam, noise: float) -> fits.Header:
    """The header of the mean. kept: the planes in it, in order of frequency. rejected: number of those left out. grid,
    beam: of the image. noise: its scatter, Jy/beam."""
    header = base_header(kept, grid, "V")
    set_beam(header, beam)
    low, high = kept[0].frequency, kept[-1].frequency
    width = float(kept[0].header.get("CDELT3", SPACING))
    frequency = float(np.mean([plane.frequency for plane in kept]))
    axis: dict[str, str | float] = {"CRVAL3": frequency, "CDELT3": high - low + width, "CRPIX3": 1.0, "CUNIT3": "Hz"}
    set_frequency(header, axis, frequency)
    header["NPLANES"] = (len(kept), "Planes in the mean")
    header["NREJ"] = (rejected, "Rejected planes, not in the mean")
    header["MADRMS"] = (noise, "1.4826 x median abs. deviation of this image")
    add_history(
        header,
        "Mean of the V planes below in the beam of this header, on the nominal grid; the smallest and the largest "
        f"value left out where {AT_LEAST} or more.",
    )
    for plane in kept:
        add_history(header, f"In the mean: spw {plane.group.replace('_', ',')}, {plane.frequency / 1e6:.3f} MHz")
    return header
