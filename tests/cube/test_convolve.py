from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS
from skies import CELL, Sky, write_plane

from ccip_batch.cube.beams import GaussianBeam
from ccip_batch.cube.convolve import Grid, Shift, Transfer, nominal_grid, shift_of
from ccip_batch.cube.planes.plane import find_planes
from ccip_batch.errors import DataError

SIZE = 96
GRID = Grid((SIZE, SIZE), (0.0, 0.0), (49.0, 49.0), (-CELL, CELL), WCS(naxis=2))
SMALL, LARGE = GaussianBeam(6 * CELL, 5 * CELL, 20.0), GaussianBeam(9 * CELL, 8 * CELL, -40.0)
STILL = Shift(0.0, 0.0, 0.0)


def gaussian(beam: GaussianBeam, x: float = 48.0, y: float = 48.0) -> np.ndarray:
    """A point source of 1 Jy in a beam."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    place = np.stack([-(columns - x) * CELL, (rows - y) * CELL])
    inverse = np.linalg.inv(beam.covariance())
    image: np.ndarray = np.exp(-0.5 * np.einsum("iyx,ij,jyx->yx", place, inverse, place)).astype(np.float32)
    return image


def test_a_point_source_has_the_new_beam_and_its_flux() -> None:
    made = Transfer(SMALL, LARGE, (SIZE, SIZE), GRID, STILL, "exact").apply(gaussian(SMALL))
    assert np.abs(made - gaussian(LARGE)).max() < 1e-4


def test_the_same_beam_changes_nothing() -> None:
    image = gaussian(SMALL)
    assert np.abs(Transfer(SMALL, SMALL, (SIZE, SIZE), GRID, STILL, "linear").apply(image) - image).max() < 1e-5


def test_a_smaller_beam_is_refused() -> None:
    with pytest.raises(DataError, match="cannot be convolved to the smaller"):
        Transfer(LARGE, SMALL, (SIZE, SIZE), GRID, STILL, "linear")


@pytest.mark.parametrize(("interpolation", "loss"), [("exact", 1e-3), ("linear", 0.04)])
def test_a_shift_moves_the_source(interpolation: str, loss: float) -> None:
    """Grid pixel x is plane pixel x + 2.4: a source at 50.4 of the plane comes to 48 of the grid."""
    moved = Transfer(SMALL, LARGE, (SIZE, SIZE), GRID, Shift(2.4, -3.3, 0.0), interpolation)
    made = moved.apply(gaussian(SMALL, 50.4, 44.7))
    inside = np.s_[8:-8, 8:-8]
    assert np.abs(made[inside] - gaussian(LARGE)[inside]).max() < loss
    assert made[48, 48] == pytest.approx(1.0, abs=loss)
    assert np.isnan(made[:3]).all() and np.isnan(made[:, -2:]).all()  # the plane ends there


def test_blank_pixels_stay_blank_and_count_as_zero() -> None:
    image = gaussian(SMALL)
    image[20, 30] = np.nan
    made = Transfer(SMALL, LARGE, (SIZE, SIZE), GRID, STILL, "linear").apply(image)
    assert np.argwhere(np.isnan(made)).tolist() == [[20, 30]]
    half = Transfer(SMALL, LARGE, (SIZE, SIZE), GRID, Shift(0.5, 0.0, 0.0), "linear").apply(image)
    assert np.argwhere(np.isnan(half[:, :-1])).tolist() == [[20, 29], [20, 30]]


def test_the_grid_has_no_position_corrections_and_holds_all_planes(tmp_path: Path) -> None:
    write_plane(tmp_path, 2, Sky(size=96))
    write_plane(tmp_path, 17, Sky(size=80))
    planes = find_planes(tmp_path)
    grid = nominal_grid(planes)
    assert grid.shape == (96, 96) and grid.crpix == (49.0, 49.0)
    assert grid.crval == pytest.approx((12.501525, -2.5), abs=1e-10)
    shifts = [shift_of(plane.wcs, grid) for plane in planes]
    # 0.06 x (3 GHz / frequency)^2 arcsec in right ascension, in cells of 0.6 arcsec; east is to the left
    for plane, shift in zip(planes, shifts, strict=True):
        assert shift.dx == pytest.approx(0.1 * (3e9 / plane.frequency) ** 2, abs=1e-3)
        assert shift.dy == pytest.approx(0.17 / 0.6 * (3e9 / plane.frequency) ** 2, abs=1e-3)
        assert math.isclose(shift.spread, 0.0, abs_tol=1e-3)
