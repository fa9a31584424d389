"""Stages 7 to 10 in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.report_runs import altered
from helpers.report_stages import block, calls, column

from ccip_batch.casa.images import STOKES
from ccip_batch.imaging.convergence import STOP_REASONS
from ccip_batch.report.facts import RunFacts, gather
from ccip_batch.report.stages import image
from ccip_batch.run.run import Run


def test_iterations_are_those_that_casa_was_called_for(facts: RunFacts) -> None:
    table = block(image.makeimages(facts), "Iterations")
    made = [call for plane in facts.planes[1:] for call in calls(plane.image, "tclean")]
    assert [cell.sort for cell in column(table, "nterms")] == [call["nterms"] for call in made]
    kinds = ["image" if call["restoration"] else "residual" for call in made]
    names = [f"{call['imagename']}.{kind}.tt0" for call, kind in zip(made, kinds, strict=True)]
    assert [cell.text for cell in column(table, "image")] == names
    assert kinds[:4] == ["residual", "image", "image", "image"]
    assert [cell.text for cell in column(table, "clean mask")][:4] == ["none", "tier1.mask", "tier2.mask", "pb"]


def test_nterms_are_those_of_the_job(facts: RunFacts) -> None:
    job = facts.job.model_copy(update={"iteration_calls": [{**facts.job.iteration(n), "nterms": 2} for n in range(4)]})
    changed = RunFacts(**{**vars(facts), "job": job})
    assert {cell.text for cell in column(block(image.makeimages(changed), "Iterations"), "nterms")} == {"2"}


@pytest.mark.parametrize(("code", "odd"), [(1, False), (2, False), (4, True), (7, True), (8, False), (9, True)])
def test_odd_stops_are_shaded_and_warned_of(finished: Path, tmp_path: Path, code: int, odd: bool) -> None:
    def stop(result: Any) -> None:
        for one in result["iterations"]:
            one.update(stopcode=2, stop_reason=STOP_REASONS[2])
        for n in (0, 2):  # iter0 does not clean
            result["iterations"][n].update(stopcode=code, stop_reason=STOP_REASONS[code])

    run = altered(finished, tmp_path / "run", "image_spw17", "makeimages", stop)
    stage = image.makeimages(gather(Run.read(run)))
    warnings = [one for one in stage.warnings if one.startswith("spw 17")]
    assert warnings == ([f"spw 17: iter2 was stopped by: {STOP_REASONS[code]}"] if odd else [])
    assert [cell.level for cell in column(block(stage, "Iterations"), "stopped by")][-4:] == [0, 0, 4 if odd else 0, 0]
    if odd:
        assert (stage.level, stage.verdict) == ("attention", "check the stop reasons")


def test_statistics_are_in_mjy(facts: RunFacts) -> None:
    corrected = block(image.pbcor(facts), "Corrected image")
    rms = image.makermsimages(facts)
    assert corrected.columns[:3] == ["spw", "I max", "I min"] and len(corrected.columns) == 1 + 4 * 4
    for index, plane in enumerate(facts.planes[1:]):
        assert plane.pbcor and plane.rms
        for stokes in STOKES:
            maximum, median = plane.pbcor.statistics[stokes].max, plane.rms.statistics[stokes].median
            assert maximum and median
            assert column(corrected, f"{stokes} max")[index].sort == pytest.approx(1e3 * maximum)
            found = column(block(rms, "rms images"), f"{stokes} median")[index]
            assert found.sort == pytest.approx(1e3 * median)
            negative = column(block(rms, "Pixels below zero"), stokes)[index]
            assert negative.sort == plane.rms.negative_pixels[stokes]


def test_cutouts_have_a_row_for_each_plane_and_stokes(facts: RunFacts) -> None:
    stage = image.makecutoutimages(facts)
    table = block(stage, "Cutouts")
    assert stage.verdict == "the square degree and 2 arcmin of every plane"
    assert len(table.rows) == 3 * 4
    rows = iter(table.rows)
    for plane in facts.planes[1:]:
        assert plane.cutouts
        for stokes, one in plane.cutouts.statistics.items():
            row = dict(zip(table.columns, next(rows), strict=True))
            assert (row["spw"].text, row["Stokes"].text) == (plane.spw, stokes)
            assert row["rms median"].sort == pytest.approx(1e3 * one.rms_median)
            assert row["rms below 0.8 (%)"].sort == pytest.approx(100 * one.rms_low_fraction)


@pytest.mark.parametrize(("fraction", "level"), [(0.9, 0), (0.7, 3), (0.4, 4), (0.1, 5), (0.0, 6)])
def test_few_pixels_with_low_rms_are_shaded(finished: Path, tmp_path: Path, fraction: float, level: int) -> None:
    def change(result: Any) -> None:
        result["statistics"]["Q"]["rms_low_fraction"] = fraction

    run = altered(finished, tmp_path / "run", "image_spw10", "makecutoutimages", change)
    table = block(image.makecutoutimages(gather(Run.read(run))), "Cutouts")
    assert column(table, "rms below 0.8 (%)")[1].level == level


def test_a_failed_plane_is_named(stopped: RunFacts) -> None:
    stage = image.makeimages(stopped)
    assert (stage.level, stage.verdict) == ("waiting", "1 of 3 planes; failed earlier: spw 10")
    assert {cell.text for cell in column(block(stage, "Iterations"), "spw")} == {"12,13"}
