"""Stages 1 to 6 in the report."""

from __future__ import annotations

import pytest
from helpers.report_stages import block, calls

from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.report.facts import RunFacts
from ccip_batch.report.stages import restore
from ccip_batch.report.stages.parts import Stage
from ccip_batch.stages.flagtargetsdata import FlagResult


def named(stage: Stage, title: str) -> dict[str, str]:
    """A table of names and values."""
    return {name.text: value.text for name, value in block(stage, title).rows}


@pytest.mark.parametrize("task", ["mstransform", "initweights"])
def test_parameters_of_stage_3_are_those_that_casa_was_called_with(facts: RunFacts, task: str) -> None:
    shown = restore.transform(facts).parameters[task]
    call = calls(facts.nodes["restore"], task)[0]
    assert shown and shown.items() <= call.items()
    assert call.keys() - shown.keys() <= {"vis", "outputvis", "field", "spw"}


def test_measurement_sets_are_those_of_the_results(facts: RunFacts) -> None:
    stage, split = restore.importdata(facts), restore.transform(facts)
    summary = facts.nodes["restore"].stage("importdata", MsSummary)
    assert summary
    about = named(stage, "Measurement set")
    assert about["name"] == facts.job.inputs.vis.name and about["antennas"] == str(len(summary.antennas))
    assert named(split, "Measurement set")["name"] == f"{facts.job.root}_split.ms"
    spws = block(stage, "Spectral windows")
    assert [row[0].text for row in spws.rows] == [str(spw.id) for spw in summary.spws]
    assert [row[2].sort for row in spws.rows] == pytest.approx([spw.mean_frequency_hz / 1e9 for spw in summary.spws])
    assert all(stage.level == "good" and stage.when for stage in (stage, split))


def test_prediction_is_that_of_the_job(facts: RunFacts) -> None:
    stage = restore.continuum(facts)
    assert stage.parameters == {"tclean, prediction": facts.job.prediction()}
    about = named(stage, "Continuum target")
    assert about["masks"] == "tier-1, tier-2 (from the resources, stage 4)"
    assert about["search radius"] == "2800 arcsec" and stage.verdict == f"{about['fields']} fields"


def test_all_resources_found(facts: RunFacts) -> None:
    stage = restore.restorepims(facts)
    assert (stage.level, stage.verdict, stage.warnings) == ("good", "all resources found", [])
    assert {(row[2].text, row[2].level) for row in block(stage, "Resources").rows} == {("✓ found", 0)}
    assert named(stage, "Restored")["largest MODEL_DATA"].endswith(" Jy")


def test_missing_resources(failed: RunFacts) -> None:
    stage = restore.restorepims(failed)
    failure = failed.nodes["restore"].failure
    assert failure and (stage.level, stage.verdict) == ("bad", failure.cause)
    bad = {row[0].text: row[2].level for row in block(stage, "Resources").rows if row[2].text == "✗ missing"}
    assert bad == {"tier-1 mask": 6, "self-calibration table": 6}
    assert len(stage.warnings) == 2
    flags = restore.flags(failed)
    assert (flags.level, flags.verdict) == ("waiting", "not reached: restore failed earlier")


def test_flags_before_and_after(facts: RunFacts) -> None:
    stage = restore.flags(facts)
    result = facts.nodes["restore"].found(FlagResult)
    assert result
    (_, before, by_commands, after), *more = block(stage, "Flags").rows
    assert not more and before.sort and after.sort
    assert by_commands.sort == pytest.approx(after.sort - before.sort)
    flagged = sum(n for spws in result.after.flagged.values() for n in spws.values())
    total = sum(n for spws in result.after.total.values() for n in spws.values())
    assert after.sort == pytest.approx(100 * flagged / total)
    by_spw = {row[0].text: row[2].sort for row in block(stage, "Flagged by spw").rows}
    assert by_spw["9"] == 100.0 and len(by_spw) == 16


def test_targets_of_the_cube(facts: RunFacts) -> None:
    stage = restore.cube(facts)
    assert (stage.level, stage.verdict) == ("attention", "3 of 4 planes")
    assert "spw 9 is completely flagged and is not imaged" in stage.warnings
    rows = block(stage, "Targets").rows
    assert [row[-1].text for row in rows] == ["empty: completely flagged", "imaged", "imaged", "imaged"]
    assert [row[-1].level for row in rows] == [4, 0, 0, 0]
    assert {row[3].text for row in rows} == {"tier-1, tier-2, pb"}
    assert named(stage, "All planes")["masks"] == "tier-1 (iter1), tier-2 (iter2), pb (iter3)"
    for n in range(4):
        assert stage.parameters[f"tclean, iter{n}"] == facts.job.iteration(n)
