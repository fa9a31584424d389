from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def case(stage_cases: dict[str, Any]) -> dict[str, Any]:
    """Fields 2 and 3 of spws 10 and 17."""
    found: dict[str, Any] = stage_cases["transformimagedata"]
    return found


def test_the_data_are_those_of_the_pims(case: dict[str, Any]) -> None:
    assert case["same rows"] and case["same data"]
    assert "CORRECTED_DATA" not in case["columns"] and "MODEL_DATA" not in case["columns"]


def test_ids_stay_what_they_were(case: dict[str, Any]) -> None:
    assert case["descriptions"] == [10, 17]
    assert [field["id"] for field in case["summary"]["fields"]] == [2, 3]
    assert len(case["summary"]["spws"]) == 18


def test_rows_are_in_the_order_of_the_flag_versions(case: dict[str, Any]) -> None:
    assert case["sorted"]


def test_weights_are_those_of_noise_theory(case: dict[str, Any]) -> None:
    assert case["weights"] == [pytest.approx(2 * case["width_hz"] * 0.45, rel=1e-6)]  # integrations of 0.45 s


def test_a_measurement_set_that_is_not_there(case: dict[str, Any]) -> None:
    kind, text = case["not there"]
    assert kind == "CasaError" and "mstransform" in text
