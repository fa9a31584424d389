"""Images at the places of other pixels."""

from __future__ import annotations

import numpy as np
import pytest
from skies import sky_wcs

from ccip_batch.cube.resample import resample

CENTRE = (12.5, 89.9)


def sky(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Something smooth; x and y are pixels of the image at CENTRE."""
    return np.asarray(1 + 0.5 * np.sin(x / 9) * np.cos(y / 7))


@pytest.mark.parametrize(("interpolation", "error"), [("linear", 3e-3), ("exact", 1e-5)])
def test_values_are_those_of_the_same_place(interpolation: str, error: float) -> None:
    """The result is turned by a degree, is larger, and takes several strips."""
    wcs, target, shape = sky_wcs(CENTRE), sky_wcs((13.5, 89.9003)), (300, 340)
    y, x = np.indices((260, 320), dtype=np.float32)
    made = resample(sky(x, y).astype(np.float32), wcs, target, shape, interpolation)
    rows, columns = np.indices(shape)
    px, py = wcs.all_world2pix(*target.all_pix2world(columns, rows, 0), 0)
    inside = (px >= 0) & (px <= 319) & (py >= 0) & (py <= 259)
    assert np.array_equal(np.isfinite(made), inside)
    assert 0.5 * inside.size < inside.sum() < inside.size
    inner = (px > 8) & (px < 311) & (py > 8) & (py < 251)
    assert np.abs(made - sky(px, py))[inner].max() < error


@pytest.mark.parametrize("interpolation", ["linear", "exact"])
def test_blanks_stay_blank_and_spoil_nothing(interpolation: str) -> None:
    wcs, target = sky_wcs(CENTRE), sky_wcs((12.52, 89.9))
    image = np.ones((150, 150), dtype=np.float32)
    image[100, 40:60] = np.nan
    made = resample(image, wcs, target, image.shape, interpolation)
    rows, columns = np.nonzero(np.isnan(made[5:-5, 5:-5]))
    px, py = wcs.all_world2pix(*target.all_pix2world(columns + 5, rows + 5, 0), 0)
    assert 20 < len(rows) < 60 and (np.abs(py - 100) < 1).all() and (px > 39).all() and (px < 60).all()
    if interpolation == "linear":
        assert np.nanmin(made[5:-5, 5:-5]) == pytest.approx(1.0, abs=2e-5)


def test_of_another_place_nothing_is_left() -> None:
    image = np.ones((50, 50), dtype=np.float32)
    assert np.isnan(resample(image, sky_wcs((12.5, 80.0)), sky_wcs((12.5, 80.1)), (60, 60), "linear")).all()


def test_a_single_row() -> None:
    image = np.ones((50, 50), dtype=np.float32)
    made = resample(image, sky_wcs((12.5, 89.0)), sky_wcs((12.51, 89.0)), (1, 30), "linear")
    assert made.shape == (1, 30) and np.nanmax(np.abs(made - 1)) < 1e-6
