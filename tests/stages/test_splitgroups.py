from __future__ import annotations

from typing import Any


def test_groups_that_are_imaged_are_moved_and_measured(stage_cases: dict[str, Any]) -> None:
    case = stage_cases["splitgroups"]
    assert case["moved"] == ["spw12_13.ms", "spw17.ms"]
    assert case["left"] == ["spw05.ms"]  # restored too, but not imaged
    assert case["bytes"] == {"12,13": 1000, "17": 1000}
