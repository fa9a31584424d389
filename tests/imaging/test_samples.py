from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ccip_batch.errors import DataError
from ccip_batch.imaging.samples import Samples


@pytest.fixture
def samples(imaging_cases: dict[str, Any]) -> Samples:
    """Of plane 17, whose cutout is the whole image."""
    return Samples.load(Path(imaging_cases["samples"]))


def test_they_are_those_of_the_run(imaging_cases: dict[str, Any]) -> None:
    assert all(imaging_cases["same"].values()), imaging_cases["same"]


def planes(finished: Path, kind: str) -> np.ndarray:
    """I, Q, U and V from the FITS files."""
    files = [
        next(finished.glob(f"planes/spw17/*.{stokes}.iter3.image.pbcor.tt0{kind}.fits")) for stokes in ("IQU", "V")
    ]
    found: np.ndarray = np.concatenate([fits.getdata(file)[:, 0] for file in files])
    return found


def test_values_and_means_are_those_of_the_pixels(samples: Samples, finished: Path) -> None:
    pixels, noise = planes(finished, ".subim"), planes(finished, ".rms.subim")[0]
    assert samples.shape == pixels.shape[1:] and samples.y.size > 50
    assert np.array_equal(samples.values, pixels[:, samples.y, samples.x], equal_nan=True)
    brightest = int(np.nanargmax(samples.values[0]))
    box = np.s_[
        samples.y[brightest] - 1 : samples.y[brightest] + 2, samples.x[brightest] - 1 : samples.x[brightest] + 2
    ]
    assert samples.means[:, brightest] == pytest.approx(pixels[(slice(None), *box)].mean(axis=(1, 2)), rel=1e-5)
    assert samples.rms[brightest] == pytest.approx(noise[box].mean(), rel=1e-5)
    assert samples.inside_iter3[brightest]


def test_a_file_gives_back_what_was_saved(samples: Samples, tmp_path: Path) -> None:
    samples.save(tmp_path / "again.npz")
    again = Samples.load(tmp_path / "again.npz")
    for key in ("y", "x", "values", "means", "rms", "inside_iter3"):
        assert np.array_equal(getattr(again, key), getattr(samples, key), equal_nan=key in ("values", "means", "rms"))
    assert again.shape == samples.shape and [path.name for path in tmp_path.iterdir()] == ["again.npz"]


def test_a_damaged_file_is_told(samples: Samples, tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    samples.save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="is damaged"):
        Samples.load(path)
