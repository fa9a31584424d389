from __future__ import annotations

from typing import Any

import pytest


def test_times_the_primary_beam_it_is_the_image(stage_cases: dict[str, Any]) -> None:
    away = stage_cases["corrected"]["away"]  # largest difference over the image's peak
    assert len(away) == 8  # image and residual, I, Q, U, V
    assert max(away.values()) < 2e-7


def test_statistics_are_of_the_corrected_image(stage_cases: dict[str, Any], finished: Any) -> None:
    found = stage_cases["corrected"]["pbcor"]
    assert (found["image"], found["residual"]) == ("plane.image.pbcor.tt0", "plane.image.residual.pbcor.tt0")
    assert found["statistics"]["I"]["max"] == pytest.approx(0.15 * (3.948 / 3) ** -0.7, rel=0.05)  # source A
    assert found["statistics"]["Q"]["max"] < found["statistics"]["I"]["max"] / 5


@pytest.mark.parametrize("box", [100, 25, 10])
def test_only_the_cutout_and_its_margin_are_corrected(cutout_cases: dict[str, Any], box: int) -> None:
    case = cutout_cases[f"box of {box} pixels"]
    for kind in ("image.pbcor", "image.residual.pbcor"):
        for plane in case["figures"][kind]:
            assert plane["masks"] == 0 and plane["values"] == 0, (kind, plane)
    assert case["left"] == []  # nothing of the margin stays in the folder
    pixels = case["figures"]["image.pbcor"][0]["valid"]
    assert case["said"][0][0]["statistics"]["I"]["pixels"] == pixels
