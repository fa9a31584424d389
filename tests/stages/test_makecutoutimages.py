from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from helpers.casa_cases import stage_result

BOXES = pytest.mark.parametrize("box", [100, 25, 10])


@BOXES
def test_the_cutouts_are_the_same_from_the_whole_images(cutout_cases: dict[str, Any], box: int) -> None:
    case = cutout_cases[f"box of {box} pixels"]
    for kind, planes in case["figures"].items():
        for plane in planes:
            assert plane["masks"] == 0 and plane["largest"] <= (2e-7 if kind == "image.pbcor.rms" else 0.0), kind
    assert case["reference"][0] == case["reference"][1]


def leaves(value: Any) -> list[Any]:
    """What is in nested JSON, in order."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [leaf for one in inner for leaf in leaves(one)]
    return [value]


def numbers(value: Any) -> list[float]:
    """The numbers among them."""
    return [leaf for leaf in leaves(value) if isinstance(leaf, int | float)]


@BOXES
def test_figures_are_those_of_the_cutout(cutout_cases: dict[str, Any], box: int) -> None:
    new, old = cutout_cases[f"box of {box} pixels"]["said"]
    assert numbers(new) == pytest.approx(numbers(old), rel=1e-6)


def test_figures_of_the_rms_are_those_of_the_fits_file(finished: Path) -> None:
    found = stage_result(finished, "image_spw17", "makecutoutimages")
    path = next(finished.glob("planes/spw17/*.IQU.iter3.image.pbcor.tt0.rms.subim.fits"))
    for stokes, plane in zip("IQU", fits.getdata(path)[:, 0], strict=True):
        good = plane[np.isfinite(plane)].astype(float)
        figures = found["statistics"][stokes]
        assert (figures["rms_max"], figures["rms_median"]) == pytest.approx((good.max(), np.median(good)))
        assert figures["rms_low_fraction"] == pytest.approx(np.mean((good >= 0) & (good <= 800e-6)))
        assert figures["masked_fraction"] == pytest.approx(1 - good.size / plane.size)
        assert figures["image"]["peak_over_madrms"] == pytest.approx(
            figures["image"]["peak"] / figures["image"]["madrms"]
        )
