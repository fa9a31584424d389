"""What is gathered of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.report_runs import altered

from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.errors import RunFolderError
from ccip_batch.job.resources_archive import Resources
from ccip_batch.report.facts import RunFacts, gather
from ccip_batch.run.results import StageResult
from ccip_batch.run.run import Run
from ccip_batch.stages.makeimages import PlaneImages


@pytest.mark.parametrize("kind", StageResult.__subclasses__(), ids=lambda kind: str(kind.__name__))
def test_every_result_is_found_by_its_type(facts: RunFacts, kind: Any) -> None:
    nodes = [node for node in facts.nodes.values() if node.found(kind)]
    assert len({node.node.kind for node in nodes}) == 1
    assert len(nodes) == (3 if nodes[0].node.kind == "image" else 1)
    for node in nodes:
        record, found = node.record(kind.stage), node.found(kind)
        assert record and found and found.model_dump(mode="json") == record.result


def test_a_type_of_several_stages_is_found_by_name_too(facts: RunFacts) -> None:
    restore = facts.nodes["restore"]
    whole, split = restore.stage("importdata", MsSummary), restore.stage("transformimagedata", MsSummary)
    assert whole and split and split.name == whole.name.replace(".ms", "_split.ms")
    assert split.rows < whole.rows


def test_a_result_of_another_version_is_not_found(facts: RunFacts) -> None:
    image = facts.nodes["image_spw10"]
    records = [record.model_copy(update={"result": {"beam": 7}}) for record in image.records]
    assert replace(image, records=records).found(PlaneImages) is None


def test_planes_are_in_order_of_frequency(facts: RunFacts) -> None:
    frequencies = [plane.frequency_ghz for plane in facts.planes]
    assert None not in frequencies and frequencies == sorted(frequencies, key=lambda ghz: ghz or 0)
    assert [plane.spw for plane in facts.planes] == ["9", "10", "12,13", "17"]


def test_a_finished_run(facts: RunFacts) -> None:
    assert facts.state == "done" and not facts.failed
    assert (facts.count("kept"), facts.count("empty")) == (3, 1)
    assert facts.cpu_s > 0
    assert facts.engine_seconds is not None and facts.wall_s == facts.engine_seconds


def test_a_failed_restore_blocks_all_that_follows(failed: RunFacts) -> None:
    assert failed.state == "failed"
    assert {name for name, node in failed.nodes.items() if node.state == "blocked"} == failed.nodes.keys() - {"restore"}
    assert all(node.blocked_by == "restore" for name, node in failed.nodes.items() if name != "restore")
    assert {plane.reason for plane in failed.planes} == {"waiting for restore, which failed"}
    resources = failed.nodes["restore"].stage("resources", Resources)  # it ended this stage, and has no result
    assert failed.nodes["restore"].result is None and resources and len(resources.complaints()) == 2


def test_a_failed_plane_blocks_only_its_export(stopped: RunFacts) -> None:
    assert {plane.spw: plane.state for plane in stopped.planes} == {
        "9": "empty",
        "10": "failed",
        "12,13": "imaged",
        "17": "waiting",
    }
    assert {name for name, node in stopped.nodes.items() if node.state == "blocked"} == {"export_spw10"}
    assert [node.node.name for node in stopped.failed] == ["image_spw10"]


def test_a_rejected_plane_says_why(finished: Path, tmp_path: Path) -> None:
    def reject(result: Any) -> None:
        result["judgements"][0].update(kept=False, reason="its beam is too large")

    run = altered(finished, tmp_path / "run", "analyze", "analyzestokescubes", reject)
    planes = {plane.spw: (plane.state, plane.reason) for plane in gather(Run.read(run)).planes}
    assert planes["10"] == ("rejected", "its beam is too large") and planes["17"] == ("kept", "")


def test_previews_of_some_kinds(facts: RunFacts) -> None:
    empty, plane = facts.planes[:2]
    assert empty.previews() is None
    everything, some = plane.previews(), plane.previews("pb")
    assert everything and {"image", "pb", "psf"} <= everything.arrays.keys()
    assert some and some.arrays.keys() == {"pb"}


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError):
        gather(Run.read(tmp_path))
