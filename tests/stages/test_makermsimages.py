from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def test_the_rms_is_the_scatter_in_boxes_of_an_arc_minute(stage_cases: dict[str, Any]) -> None:
    """At the pixels of the grid, where nothing is interpolated; Stokes V, from 9 x 9 pixels of 7 arcsec."""
    found, expected = np.array(stage_cases["corrected"]["noise"]).T
    assert len(found) > 100
    # CASA has more digits of 1.4826. A box at an edge of the mask may hold other pixels than these.
    assert np.mean(np.abs(found / expected - 1) < 1e-5) > 0.6
    assert np.median(found / expected) == pytest.approx(1, abs=3e-6)


def test_statistics_are_of_the_rms_image(stage_cases: dict[str, Any]) -> None:
    found = stage_cases["corrected"]["rms"]
    assert found["image"] == "plane.image.pbcor.tt0.rms"
    assert list(found["negative_pixels"].values()) == stage_cases["corrected"]["negative"]
    assert found["statistics"]["V"]["median"] == pytest.approx(stage_cases["corrected"]["median"])
    assert found["statistics"]["V"]["min"] > 0


@pytest.mark.parametrize("box", [100, 25, 10])
def test_the_margin_is_enough(cutout_cases: dict[str, Any], box: int) -> None:
    case = cutout_cases[f"box of {box} pixels"]
    for plane in case["figures"]["image.pbcor.rms"]:
        assert plane["masks"] == 0 and plane["largest"] <= 2e-7  # the last bit of a float, or the one before
    rms = case["figures"]["image.pbcor.rms"][0]
    assert 0.2 * rms["pixels"] < rms["valid"] < rms["pixels"]  # so there was a mask to be the same
