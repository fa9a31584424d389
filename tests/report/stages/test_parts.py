"""What stages are made of."""

from __future__ import annotations

from dataclasses import replace

from ccip_batch.report.facts import RunFacts
from ccip_batch.report.stages import describe
from ccip_batch.report.stages.parts import Stage, of_node, of_planes, shaded, table, text
from ccip_batch.report.tables import number


def test_a_table_has_a_row_for_each_of_what_it_is_given() -> None:
    found = table("Squares", (("n", text), ("n²", lambda n: number(n * n))), [2, 3], "a note")
    assert (found.title, list(found.columns), found.note) == ("Squares", ["n", "n²"], "a note")
    assert [[cell.text for cell in row] for row in found.rows] == [["2", "4"], ["3", "9"]]


def test_columns_are_shaded_each_by_itself() -> None:
    rows = [(1.0, 5.0), (1.1, 5.1), (0.9, 4.9), (1.0, 5.05), (9.0, 5.0)]
    columns = (("name", lambda _: text("word")), ("a", lambda row: number(row[0])), ("b", lambda row: number(row[1])))
    found = shaded(table("Values", columns, rows))
    assert [[cell.level for cell in row] for row in found.rows] == [[0, 0, 0]] * 4 + [[0, 6, 0]]
    assert not shaded(table("Nothing", columns, [])).rows


def test_a_stage_of_a_node(facts: RunFacts, failed: RunFacts, stopped: RunFacts) -> None:
    stage = Stage("importdata", "Stage 1", "read", "attention")
    done = of_node(stage, facts.nodes["restore"], "importdata")
    assert (done.level, done.verdict) == ("attention", "read") and done.when.endswith(" CPU s")
    lost = of_node(stage, failed.nodes["restore"], "importdata")
    assert (lost.level, lost.verdict) == ("waiting", "not reached: restore failed earlier")
    failure = failed.nodes["restore"].failure
    assert failure
    here = replace(failed.nodes["restore"], failure=failure.model_copy(update={"stage": "importdata"}))
    assert (of_node(stage, here, "importdata").level, of_node(stage, here, "importdata").verdict) == (
        "bad",
        failure.cause,
    )
    waiting = stopped.nodes["analyze"]
    assert of_node(stage, waiting, "analyzestokescubes").verdict == "not yet"
    status = waiting.status.model_copy(update={"stage": "analyzestokescubes"})
    running = replace(waiting, state="running", status=status)
    assert of_node(stage, running, "analyzestokescubes").verdict == "under way"


def test_a_stage_of_planes(facts: RunFacts, stopped: RunFacts) -> None:
    stage = Stage("pbcor", "Stage 8", "divided")
    done = of_planes(stage, facts, "pbcor")
    assert (done.level, done.verdict) == ("good", "divided")
    assert done.when.endswith(" over 3 planes") and len(done.nodes) == 4
    failed = of_planes(stage, stopped, "pbcor")
    assert (failed.level, failed.verdict) == ("waiting", "1 of 3 planes; failed earlier: spw 10")
    planes = [plane for plane in stopped.planes if plane.state != "failed"]
    assert of_planes(stage, replace(stopped, planes=planes), "pbcor").verdict == "1 of 2 planes so far"
    failure = stopped.nodes["image_spw10"].failure
    assert failure
    here = [
        replace(plane, image=replace(plane.image, failure=failure.model_copy(update={"stage": "pbcor"})))
        if plane.spw == "10"
        else plane
        for plane in stopped.planes
    ]
    assert of_planes(stage, replace(stopped, planes=here), "pbcor").level == "bad"


def test_all_stages_are_described_in_any_run(facts: RunFacts, failed: RunFacts, stopped: RunFacts) -> None:
    for run, waiting in ((facts, 0), (stopped, 6), (failed, 11)):
        stages = describe(run)
        assert [stage.title.split(",")[0] for stage in stages] == [f"Stage {n}" for n in range(1, 13)]
        assert [stage.level for stage in stages].count("waiting") == waiting
