from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.casa_cases import stage_result

from ccip_batch.casa.images import Statistics


def test_a_plane_a_part_of_it_and_every_nth_pixel(session_cases: dict[str, Any], finished: Any) -> None:
    case = session_cases["images"]
    assert case["shape"] == [256, 256, 4, 1] and case["whole"][0] == [256, 256]
    assert case["whole"][1] == stage_result(finished, "image_spw17", "pbcor")["statistics"]["Q"]["pixels"]
    assert case["box"] and case["step"]
    assert case["text"] == "40,60,79,149"


def test_the_beam_of_an_image(session_cases: dict[str, Any], finished: Any) -> None:
    case = session_cases["images"]
    assert case["beam"] == stage_result(finished, "image_spw17", "makeimages")["beam"]
    kind, text = case["no beam"]
    assert kind == "CasaError" and text.startswith("bare.psf has no beam")


def test_statistics_of_the_finite_pixels() -> None:
    found = Statistics.of(np.array([1.0, 2.0, np.nan, 3.0, 10.0, np.inf], np.float32))
    assert (found.pixels, found.min, found.max, found.mean, found.median) == (4, 1.0, 10.0, 4.0, 2.5)
    assert found.sigma == pytest.approx(np.std([1, 2, 3, 10], ddof=1)) and found.madrms == pytest.approx(1.4826)


def test_statistics_of_one_pixel_and_of_none() -> None:
    assert Statistics.of(np.array([5.0])).sigma == 0.0
    nothing = Statistics.of(np.array([np.nan]))
    assert nothing.pixels == 0 and nothing.max is None and nothing.madrms is None
