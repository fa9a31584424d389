"""Stretches of pictures."""

from __future__ import annotations

import numpy as np
import pytest

from ccip_batch.report.pictures import noise


def test_noise_is_that_of_the_pixels_with_a_value() -> None:
    image = np.zeros((200, 200), np.float32)
    image[60:140, 60:140] = np.random.default_rng(1).normal(scale=0.5, size=(80, 80))
    image[0] = np.nan
    assert noise(image) == pytest.approx(0.5, rel=0.05)
    assert 0 < noise(np.zeros((4, 4))) < 1e-3
