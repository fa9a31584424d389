"""Previews: how images become small, and that files give back what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS

from ccip_batch.errors import DataError
from ccip_batch.imaging.previews import Previews, factor, furthest, mean, reduced_header


def test_no_side_is_longer_than_asked() -> None:
    for shape in ((512, 512), (6200, 6200), (641, 100), (1, 640)):
        by = factor(shape, 640)
        assert -(-max(shape) // by) <= 640
    assert factor((640, 640), 640) == 1


def test_mean_leaves_invalid_pixels_out() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(7, 11)).astype(np.float32)
    valid = random.random((7, 11)) > 0.3
    valid[0:3, 3:6] = False
    small = mean(values, valid, 3)
    assert small.shape == (3, 4)
    for y in range(3):
        for x in range(4):
            block = np.s_[3 * y : 3 * y + 3, 3 * x : 3 * x + 3]
            inside = values[block][valid[block]]
            assert small[y, x] == pytest.approx(inside.mean(), nan_ok=True) if inside.size else np.isnan(small[y, x])


def test_furthest_keeps_single_pixels() -> None:
    values = np.zeros((8, 8), np.float32)
    values[1, 6], values[5, 2] = 3.0, -4.0
    np.testing.assert_array_equal(furthest(values, 4), [[0, 3], [-4, 0]])


def test_header_names_the_same_sky() -> None:
    header = {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CRVAL1": 203.4, "CRVAL2": 16.7, "CRPIX1": 257.0,
              "CRPIX2": 250.0, "CDELT1": -6 / 3600, "CDELT2": 6 / 3600, "CUNIT1": "deg", "CUNIT2": "deg"}  # fmt: skip
    small = reduced_header(header, 4)
    assert small.pop("reduced") == 4
    # the middle of the preview's pixel (10, 20) is that of the block of 4 x 4 pixels from (40, 80) on
    expected = WCS(header).wcs_pix2world([[41.5, 81.5]], 0)
    np.testing.assert_allclose(WCS(small).wcs_pix2world([[10, 20]], 0), expected, atol=1e-10)


def test_file_gives_back_arrays_masks_and_headers(tmp_path: Path) -> None:
    mask = np.random.default_rng(2).random((1, 13, 9)) > 0.5
    image = np.array([[[1.5, np.nan]]], np.float16)
    Previews({"image": image, "mask": mask}, {"image": {"reduced": 2}}).save(tmp_path / "previews.npz")
    back = Previews.load(tmp_path / "previews.npz")
    np.testing.assert_array_equal(back.arrays["image"], image)
    np.testing.assert_array_equal(back.arrays["mask"], mask)
    assert back.headers == {"image": {"reduced": 2}}
    assert [path.name for path in tmp_path.iterdir()] == ["previews.npz"]


def test_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "previews.npz"
    path.write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(DataError, match="damaged"):
        Previews.load(path)
