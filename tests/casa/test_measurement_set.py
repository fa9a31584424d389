from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccip_batch.casa.measurement_set import MsSummary, is_target


def test_the_summary_of_a_group_is_that_of_the_simulation(session_cases: dict[str, Any], finished: Path) -> None:
    truth = json.loads((finished.parent / "truth.json").read_text())
    found = MsSummary.model_validate(session_cases["measurement set"]["summary"])
    assert (found.name, found.telescope, found.observer) == ("spw12_13.ms", "EVLA", "VLASS")
    assert found.antennas == truth["antennas"]
    baselines = len(found.antennas) * (len(found.antennas) - 1) // 2
    assert found.rows == baselines * truth["nint"] * len(truth["fields"]) * 2  # of two spws
    assert [(field.id, field.name, field.target) for field in found.fields] == [
        (field["id"], field["name"], True) for field in truth["fields"]
    ]
    assert found.spw(13).channels == truth["nchan"]
    assert found.spw(13).channel_width_hz == pytest.approx(128e6 / truth["nchan"])
    with pytest.raises(KeyError):
        found.spw(18)


def test_times_are_the_edges_of_the_first_and_last_integration(session_cases: dict[str, Any]) -> None:
    case = session_cases["measurement set"]
    assert [case["summary"]["start_mjd"], case["summary"]["end_mjd"]] == pytest.approx(case["span"], abs=1e-10)


@pytest.mark.parametrize(("case", "words"), [("rows of field 99", "has only 5 fields"), ("no rows", "no rows")])
def test_what_is_damaged_is_refused(session_cases: dict[str, Any], case: str, words: str) -> None:
    kind, text = session_cases["measurement set"][case]
    assert kind == "DataError" and words in text


def test_rows_are_read_in_chunks(session_cases: dict[str, Any]) -> None:
    assert session_cases["measurement set"]["chunks"] == [[], [[0, 5]], [[0, 200_000]], [[0, 200_000], [200_000, 1]]]


def test_rows_with_many_values_are_read_in_smaller_chunks(session_cases: dict[str, Any]) -> None:
    chunks = session_cases["measurement set"]["chunks of the survey"]
    assert sum(number for _, number in chunks) == 316_000
    assert len(chunks) > 1 and max(number for _, number in chunks) * 4 * 64 * 16 < 150e6  # bytes of complex numbers


@pytest.mark.parametrize(
    ("mode", "target"),
    [
        ("OBSERVE_TARGET#UNSPECIFIED", True),
        ("OBSERVE_TARGET#ON_SOURCE", True),
        ("OBSERVE_TARGET.ON_SOURCE", True),
        ("CALIBRATE_PHASE#ON_SOURCE, OBSERVE_TARGET#ON_SOURCE", True),
        ("CALIBRATE_PHASE#ON_SOURCE", False),
        ("", False),
    ],
)
def test_what_is_the_target(mode: str, target: bool) -> None:
    assert is_target(mode) is target
