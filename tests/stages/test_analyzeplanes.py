from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.casa_cases import stage_result

from ccip_batch.errors import CasaError
from ccip_batch.job.config import RejectAfter
from ccip_batch.stages.analyzeplanes import analyze_planes
from ccip_batch.stages.editimlist import CubeTargets


def no_casa() -> Any:
    raise CasaError("CASA was asked for.")


def test_planes_are_judged_and_the_missing_ones_told(stage_cases: dict[str, Any]) -> None:
    """Plane 10 failed; 12+13 has a beam that is off by more than a thousandth."""
    made = stage_cases["analyzeplanes"]["made"]
    assert [(one["spw"], one["kept"]) for one in made["judgements"]] == [("12,13", False), ("17", True)]
    assert made["failed"] == ["10"] and made["not_imaged"] == {"9": "empty: completely flagged"}
    sentence = stage_cases["analyzeplanes"]["sentence"]
    for part in ("1 plane kept", "1 rejected after imaging (spw 12,13)", "1 not imaged (spw 9)", "1 failed (spw 10)"):
        assert part in sentence


def test_the_common_beam_holds_rejected_planes_too(stage_cases: dict[str, Any], finished: Path) -> None:
    made = stage_cases["analyzeplanes"]["made"]
    for spw, beam in (("spw12_13", made["common_beam"]), ("spw17", made["kept_common_beam"])):
        own = stage_result(finished, f"image_{spw}", "makecutoutimages")["beam"]
        assert beam["major_arcsec"] == pytest.approx(own["major_arcsec"] * 1.00001, rel=1e-7)
        assert beam["minor_arcsec"] == pytest.approx(own["minor_arcsec"] * 1.00001, rel=1e-7)


def test_the_places_have_every_imaged_plane(stage_cases: dict[str, Any]) -> None:
    place, *_ = stage_cases["analyzeplanes"]["made"]["stokes"]["places"]
    assert [(row["spw"], row["kept"]) for row in place["planes"]] == [("12,13", False), ("17", True)]
    assert place["planes"][1]["pixel"]["I"] == pytest.approx(0.15 * (3.948 / 3) ** -0.7, rel=0.05)  # source A


def test_without_planes_casa_is_not_needed(finished: Path) -> None:
    targets = CubeTargets.model_validate(stage_result(finished, "restore", "editimlist_cube"))
    found = analyze_planes(no_casa, targets, {}, ["10", "12,13", "17"], RejectAfter())
    assert found.common_beam is None and found.kept_common_beam is None and found.stokes.places == []
    assert found.sentence() == "0 planes kept, 1 not imaged (spw 9), 3 failed (spw 10; 12,13; 17)"
