from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def test_the_measurement_set_is_described_as_it_was_simulated(finished: Path, stage_cases: dict[str, Any]) -> None:
    truth = json.loads((finished.parent / "truth.json").read_text())
    found = stage_cases["importdata"]["good"]
    targets = {field["id"]: field for field in found["fields"] if field["target"]}
    assert {(field["id"], field["name"]) for field in truth["fields"]} == {(n, f["name"]) for n, f in targets.items()}
    for field in truth["fields"]:
        assert targets[field["id"]]["ra_rad"] == pytest.approx(field["ra_rad"])
        assert targets[field["id"]]["dec_rad"] == pytest.approx(field["dec_rad"])
    assert [field["name"] for field in found["fields"] if not field["target"]] == ["J1347+1217"]
    assert found["target_scans"] == sorted({field["scan"] for field in truth["fields"]})
    assert found["antennas"] == truth["antennas"]
    for spw in found["spws"]:
        assert spw["mean_frequency_hz"] == pytest.approx(truth["spw_freq_hz"][str(spw["id"])])
        assert spw["bandwidth_hz"] == pytest.approx(128e6)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("missing spw", "no spw 18"),
        ("no measurement set", "not a measurement set"),
        ("no target", "OBSERVE_TARGET"),
    ],
)
def test_what_cannot_be_imaged_is_refused(stage_cases: dict[str, Any], case: str, words: str) -> None:
    kind, text = stage_cases["importdata"][case]
    assert kind == "DataError" and words in text
