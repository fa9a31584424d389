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
    assert len(cases["whole"]["saves"]) == 3  # told of: not the last one
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


@pytest.mark.parametrize(
    ("save", "seen"),
    [("iter0", [1, 2, 3]), ("cut", [1, 2, 3]), ("iter1", [2, 3]), ("iter2", [3]), ("iter3", [])],
)
def test_an_interruption_changes_no_bit(cases: dict[str, Any], save: str, seen: list[int]) -> None:
    """From each kind of save: after an iteration, and (`cut`) between two major cycles of iter1."""
    begun, ended = cases["parts"][save]
    assert [number for number, _ in begun["seen"]] == [n for n in range(4) if n not in seen]
    assert [number for number, _ in ended["seen"]] == seen
    assert ended["hashes"] == cases["whole"]["hashes"]
    assert ended["made"] == cases["whole"]["made"]
    assert ended["said"] == ""


def test_a_damaged_save_is_passed_over(cases: dict[str, Any]) -> None:
    _, ended = cases["parts"]["half a model"]
    assert [number for number, _ in ended["seen"]] == [0, 1, 2, 3]
    assert ended["hashes"] == cases["whole"]["hashes"]


def test_a_residual_with_other_bits_is_told(cases: dict[str, Any]) -> None:
    _, ended = cases["parts"]["other residual"]
    assert "The residual has other bits" in ended["said"]
    assert [number for number, _ in ended["seen"]] == [3]


def test_a_checkpoint_is_small(cases: dict[str, Any]) -> None:
    """Bytes a pixel; 60 to 86 if the images were saved. Most of it is 10 kB of tables, whatever the size."""
    assert all(0 < size < 2 for size in cases["whole"]["saves"]), cases["whole"]["saves"]


def test_an_empty_mask_is_refused(cases: dict[str, Any]) -> None:
    kind, text = cases["empty mask"]
    assert kind == "DataError" and "empty.mask is empty" in text
