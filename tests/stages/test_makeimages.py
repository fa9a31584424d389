"""Imaging a plane of 128 pixels for real: in one go, and interrupted in the middle of an iteration."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def cases(stage_cases: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = stage_cases["makeimages"]
    return found


def test_four_iterations_each_with_its_mask(cases: dict[str, Any]) -> None:
    made = cases["whole"]["made"]
    masks = [(one["iteration"], one["cleanmask"]) for one in made["iterations"]]
    assert masks == [(0, "none"), (1, "tier1.mask"), (2, "tier2.mask"), (3, "pb")]
    assert cases["whole"]["seen"] == [[n, f"plane.iter{n}"] for n in range(4)]
    assert cases["whole"]["saves"] == 4
    assert made["imagename"] == "plane.iter3" and made["shape"] == [128, 128, 4, 1]
    assert made["beam"]["major_arcsec"] >= made["beam"]["minor_arcsec"] > 7.0
    first, *others = made["iterations"]
    assert first["iterations"] == 0 and all(one["iterations"] > 0 for one in others)


def test_cleaning_lowers_the_residual(cases: dict[str, Any]) -> None:
    peaks = cases["whole"]["made"]["iterations"][1]["convergence"]["I"]["peak_residual_jy"]
    assert len(peaks) > 1 and peaks[-1] < peaks[0] / 2


def test_only_the_last_iteration_leaves_its_images(cases: dict[str, Any]) -> None:
    kinds = ("image.tt0", "mask", "model.tt0", "pb.tt0", "psf.tt0", "residual.tt0", "sumwt.tt0", "weight.tt0")
    masks = {f"plane.iter{n}.cleanmask" for n in (1, 2)}
    assert set(cases["whole"]["hashes"]) == {f"plane.iter3.{kind}" for kind in kinds} | masks


def test_an_interruption_changes_no_bit(cases: dict[str, Any]) -> None:
    begun, ended = cases["parts"]
    assert begun["seen"] == [[0, "plane.iter0"]] and begun["saves"] == 2  # so iter1 was cut between two major cycles
    assert [number for number, _ in ended["seen"]] == [1, 2, 3]
    assert ended["hashes"] == cases["whole"]["hashes"]
    assert ended["made"] == cases["whole"]["made"]


def test_an_empty_mask_is_refused(cases: dict[str, Any]) -> None:
    kind, text = cases["empty mask"]
    assert kind == "DataError" and "empty.mask is empty" in text
