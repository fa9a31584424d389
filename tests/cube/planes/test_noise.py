from __future__ import annotations

import math

import numpy as np
import pytest

from ccip_batch.cube.planes.noise import madrms, scatter


def test_noise_is_measured_and_sources_hardly_change_it() -> None:
    values = np.random.default_rng(1).normal(3.0, 0.2, 100_000)
    assert madrms(values) == pytest.approx(0.2, rel=0.01)
    values[:2000] += 50.0
    assert madrms(values) == pytest.approx(0.2, rel=0.05)


def test_to_the_digits_of_the_tables() -> None:
    assert madrms(np.array([1.0, 2.0, 3.0, 4.0, 100.0])) == 1.4826


def test_without_values_there_is_none() -> None:
    assert math.isnan(madrms(np.array([])))
    assert math.isnan(scatter(np.full((4, 4), np.nan, np.float32)))


def test_blanks_count_nowhere_in_an_image_and_a_large_one_is_sampled() -> None:
    image = np.random.default_rng(2).normal(0.0, 1e-3, (60, 50)).astype(np.float32)
    image[:10] = np.nan
    assert scatter(image) == madrms(image[10:].ravel())
    large = np.tile(np.array([[0.0, 1.0], [1.0, 0.0]], np.float32), (1000, 1000))
    large[::2, ::2] = np.random.default_rng(3).normal(0, 0.1, (1000, 1000))
    assert scatter(large) == pytest.approx(0.1, rel=0.01)  # every second row and column of four million pixels
