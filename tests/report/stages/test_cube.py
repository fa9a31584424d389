"""Stages 11 and 12 in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.report_runs import altered
from helpers.report_stages import block, column

from ccip_batch.report.facts import RunFacts, gather
from ccip_batch.report.stages import cube, exported
from ccip_batch.run.run import Run


def test_all_planes_are_judged_or_say_why_not(facts: RunFacts) -> None:
    stage = cube.analyzestokescubes(facts)
    table = block(stage, "Plane rejection after imaging")
    assert {row[0].text: (row[1].text, row[2].text) for row in table.rows} == {
        "10": ("kept", "as expected"),
        "12,13": ("kept", "as expected"),
        "17": ("kept", "as expected"),
        "9": ("not imaged", "empty: completely flagged"),
    }
    assert {cell.level for row in table.rows for cell in row} == {0}
    assert column(table, "expected major (arcsec)")[-1].text == "–"


def test_what_became_of_planes(finished: Path, tmp_path: Path) -> None:
    def change(result: Any) -> None:
        result["judgements"][0].update(kept=False, reason="its beam is too large")
        result["failed"] = ["3"]
        result["stokes"]["note"] = "a note"

    run = altered(finished, tmp_path / "run", "analyze", "analyzestokescubes", change)
    stage = cube.analyzestokescubes(gather(Run.read(run)))
    rows = {row[0].text: row for row in block(stage, "Plane rejection after imaging").rows}
    assert (rows["10"][1].text, rows["10"][1].level, rows["10"][2].text) == ("rejected", 5, "its beam is too large")
    assert (rows["3"][1].text, rows["3"][1].level) == ("failed", 6)
    assert stage.level == "attention"
    assert "rejected, and left out of the fits: spw 10" in stage.warnings and "a note" in stage.warnings


def test_residuals_are_those_from_the_power_law(facts: RunFacts) -> None:
    stage = cube.analyzestokescubes(facts)
    assert facts.analysis
    for place in facts.analysis.stokes.places:
        (table,) = [one for one in stage.blocks if one.title.lower().startswith(place.name.lower())]
        law = place.power_law
        assert law and f"{law.flux_jy * 1e3:.4g} mJy/beam at 3 GHz" in table.note
        assert "mean of 3 x 3 pixels" in table.note
        for row, plane in zip(table.rows, place.planes, strict=True):
            cells = dict(zip(table.columns, row, strict=True))
            model = 1e3 * law.flux_jy * (plane.frequency_hz / 3e9) ** law.alpha
            pixel = 1e3 * (plane.pixel["I"] or 0)
            assert cells["model I"].sort == pytest.approx(model)
            assert cells["residual"].sort == pytest.approx(pixel - model)
            assert cells["residual (%)"].sort == pytest.approx(100 * (pixel - model) / model)
            assert cells["I / rms"].sort == pytest.approx((plane.mean["I"] or 0) / plane.rms_median["I"])


def test_deviations_and_weak_planes_are_shaded(finished: Path, tmp_path: Path) -> None:
    def change(result: Any) -> None:
        for plane, factor, over_rms in zip(result["stokes"]["places"][0]["planes"], (1.02, 0.88, 1.5), (11, 6, 2),
                                           strict=True):  # fmt: skip
            law = result["stokes"]["places"][0]["power_law"]
            plane["pixel"]["I"] = factor * law["flux_jy"] * (plane["frequency_hz"] / 3e9) ** law["alpha"]
            plane["mean"]["I"] = over_rms * plane["rms_median"]["I"]

    run = altered(finished, tmp_path / "run", "analyze", "analyzestokescubes", change)
    table = cube.analyzestokescubes(gather(Run.read(run))).blocks[1]
    assert [cell.level for cell in column(table, "residual (%)")] == [0, 4, 6]
    assert [cell.level for cell in column(table, "I / rms")] == [0, 4, 6]


def test_files_of_the_planes(facts: RunFacts) -> None:
    stage = cube.exportvlassdata(facts)
    assert (stage.level, stage.verdict) == ("good", "18 FITS files of 3 planes")
    assert stage.when.endswith(" in 5 nodes")
    for plane in facts.planes[1:]:
        for name, size, _ in exported(plane):
            assert (plane.export.folder.out / name).stat().st_size == size
    assert [row[0].text for row in block(stage, "Measurement sets of the planes").rows] == ["10", "12,13", "17"]


def test_a_run_that_is_not_published(stopped: RunFacts) -> None:
    assert cube.exportvlassdata(stopped).level == "waiting"
    stage = cube.analyzestokescubes(stopped)
    assert (stage.level, stage.verdict, stage.blocks) == ("waiting", "not yet", ())
