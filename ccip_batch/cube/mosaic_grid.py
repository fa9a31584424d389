"""The pixels of a mosaic: one grid for all squares, and the part of it that each plane covers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ccip_batch.cube.convolve import Grid
from ccip_batch.cube.planes.plane import Plane, celestial
from ccip_batch.errors import DataError

_ALONG = 9
"""Points along each edge of a plane at which its outline is taken."""
_MOST_APART = 10.0
"""Degrees from the centre, beyond which squares are no mosaic."""


@dataclass(frozen=True)
class Window:
    """The part of a grid that a plane covers."""

    grid: Grid
    """Its pixels."""
    place: tuple[slice, slice]
    """Its rows and columns in the whole grid."""


def common_grid(planes: Sequence[Plane]) -> Grid:
    """The grid that holds all planes, tangent at the middle of their centres, with the cells of the first.

    Raises DataError if cells differ, or if a square is far from the others or touches none.
    """
    for plane in planes:
        for key in ("CDELT1", "CDELT2", "CTYPE1", "CTYPE2", "RADESYS"):
            one, other = planes[0].header.get(key), plane.header.get(key)
            same = math.isclose(one, other, rel_tol=1e-6) if key.startswith("CDELT") else one == other
            if not same:
                raise DataError(
                    f"{key} is {other!r} in {plane.path.name} and {one!r} in {planes[0].path.name}: "
                    "squares of one mosaic have the same cells, projection and frame."
                )
    ra, dec = _middle(planes)
    grid = _grid(planes[0].header, (ra, dec), (1.0, 1.0), (1, 1))
    outlines = np.array([_extent(plane, grid) for plane in planes])  # (planes, low or high, x or y)
    _check_touch(planes, outlines)
    low, high = np.floor(outlines[:, 0].min(axis=0)), np.ceil(outlines[:, 1].max(axis=0))
    columns, rows = (int(size) for size in high - low + 1)
    return _grid(planes[0].header, (ra, dec), (1.0 - low[0], 1.0 - low[1]), (rows, columns))


def window_of(plane: Plane, grid: Grid) -> Window:
    """The part of the grid that a plane covers."""
    low, high = _extent(plane, grid)
    x, y = (
        slice(max(0, math.floor(low[axis])), min(grid.shape[1 - axis], math.ceil(high[axis]) + 1)) for axis in (0, 1)
    )
    part = _grid(
        plane.header,
        grid.crval,
        (grid.crpix[0] - x.start, grid.crpix[1] - y.start),
        (y.stop - y.start, x.stop - x.start),
    )
    return Window(part, (y, x))


def _grid(header: fits.Header, crval: tuple[float, float], crpix: tuple[float, float], shape: tuple[int, int]) -> Grid:
    """A grid with the projection, frame and cells of a header."""
    own = header.copy()
    for axis in (1, 2):
        own[f"CRVAL{axis}"], own[f"CRPIX{axis}"] = crval[axis - 1], crpix[axis - 1]
    own["LATPOLE"] = crval[1]
    return Grid(shape, crval, crpix, (float(own["CDELT1"]), float(own["CDELT2"])), celestial(own))


def _middle(planes: Sequence[Plane]) -> tuple[float, float]:
    """The direction (degrees) in the middle of the planes' own, which is right on both sides of 0 h and near a pole."""
    # Pixels in the middle, and not the point between four: so a square that is alone keeps its pixels.
    centres = np.array(
        [plane.wcs.all_pix2world(plane.shape[1] // 2, plane.shape[0] // 2, 0) for plane in planes], dtype=float
    )
    ra, dec = np.radians(centres.T)
    ways = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    x, y, z = ways.mean(axis=1)
    middle = np.array([x, y, z]) / max(math.hypot(x, y, z), 1e-9)
    apart = np.degrees(np.arccos(np.clip(middle @ ways, -1, 1)))
    if apart.max() > _MOST_APART:
        far = planes[int(np.argmax(apart))]
        raise DataError(
            f"{far.imagename} is {apart.max():.1f} degrees from the middle of the squares; "
            f"a mosaic reaches {_MOST_APART:g} degrees at most. Make several."
        )
    return math.degrees(math.atan2(y, x)) % 360, math.degrees(math.atan2(z, math.hypot(x, y)))


def _extent(plane: Plane, grid: Grid) -> NDArray[np.float64]:
    """The least and the largest column and row (from 0) of the grid that a plane reaches: [[x, y], [x, y]]."""
    rows, columns = plane.shape
    x, y = (np.linspace(-0.5, size - 0.5, _ALONG) for size in (columns, rows))
    ends = np.full(_ALONG, -0.5)
    edge_x = np.concatenate([x, x, ends, ends + columns])
    edge_y = np.concatenate([ends, ends + rows, y, y])
    places = np.array(grid.wcs.all_world2pix(*plane.wcs.all_pix2world(edge_x, edge_y, 0), 0))
    return np.array([places.min(axis=1), places.max(axis=1)])


def _check_touch(planes: Sequence[Plane], outlines: NDArray[np.float64]) -> None:
    """Raises DataError if not every square is reached from the first one by squares that overlap."""
    names = np.array([plane.imagename for plane in planes])
    squares = {
        name: (outlines[names == name, 0].min(axis=0), outlines[names == name, 1].max(axis=0))
        for name in dict.fromkeys(names.tolist())
    }
    left = list(squares)
    reached = [left.pop(0)]
    for name in reached:  # which grows meanwhile
        low, high = squares[name]
        near = [one for one in left if (squares[one][0] < high).all() and (squares[one][1] > low).all()]
        reached += near
        left = [one for one in left if one not in near]
    if left:
        raise DataError(
            f"{', '.join(left)}: does not touch {', '.join(reached)}. Give the squares between, or leave it out."
        )
