"""Time and resources."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ccip_batch.report.facts import RunFacts, gather
from ccip_batch.report.timing import MARGIN, ROUND, NodeUse, advice, node_uses
from ccip_batch.run.pool import PoolRecord, write_pool_records
from ccip_batch.run.run import Run
from ccip_batch.workflow.estimates import memory_bytes


def test_uses_are_those_of_the_results(facts: RunFacts) -> None:
    uses = {use.facts.node.name: use for use in node_uses(facts)}
    assert uses.keys() == facts.nodes.keys()
    for name, use in uses.items():
        result = facts.nodes[name].result
        assert result and (use.wall_s, use.cpu_s) == (result.usage.wall_s, result.usage.cpu_s)
        assert use.casa_cpu_s == pytest.approx(sum(record.casa_cpu_s for record in result.stages))


def test_what_nodes_read_and_write(facts: RunFacts) -> None:
    uses = {use.facts.node.name: use for use in node_uses(facts)}
    vis = facts.job.inputs.vis
    assert uses["restore"].reads == sum(path.stat().st_size for path in vis.rglob("*") if path.is_file())
    given = [uses[name].reads for name in ("image_spw10", "image_spw12_13", "image_spw17")]
    assert None not in given and uses["restore"].writes == sum(size or 0 for size in given)
    out = facts.nodes["export_spw10"].folder.out
    assert uses["export_spw10"].writes == sum(path.stat().st_size for path in out.glob("*.fits"))
    native = facts.nodes["image_spw10"].folder.out
    assert uses["image_spw10"].writes == sum(path.stat().st_size for path in native.glob("*.fits"))
    assert uses["analyze"].reads is None


def test_requested_is_for_the_cores_that_a_node_had(run: Path, tmp_path: Path) -> None:
    """A pool's logs say what it was asked for; else it is the estimate. Two cores of `restore` take more than one."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("*.npz", "*.fits", "report"), symlinks=True)
    before = Run.read(copy)
    restore = before.graph["restore"]
    result = before.result(restore)
    assert result is not None
    for cores in (1, 2):
        usage = result.usage.model_copy(update={"cores": cores})
        result.model_copy(update={"usage": usage}).sealed().save(before.node(restore).result)
        assert uses_of(copy)["restore"].requested == memory_bytes(before.job, restore, cores)
    assert memory_bytes(before.job, restore, 2) > memory_bytes(before.job, restore, 1)
    record = PoolRecord(
        state="done", host="node7", submissions=1, attempts=1, evictions=0, holds=0, checkpoints=0,
        memory_used_mb=900, memory_asked_mb=2048, bytes_received=None, bytes_sent=None,
    )  # fmt: skip
    write_pool_records(before.folder, {"restore": record})
    assert uses_of(copy)["restore"].requested == 2048 * 2**20


def uses_of(run: Path) -> dict[str, NodeUse]:
    return {use.facts.node.name: use for use in node_uses(gather(Run.read(run)))}


def test_a_failed_node_has_used_something_too(failed: RunFacts) -> None:
    (use,) = node_uses(failed)
    assert use.facts.node.name == "restore" and use.wall_s > 0
    assert advice([use]) == []


def test_advice_leaves_a_margin(facts: RunFacts) -> None:
    uses = node_uses(facts)
    found = {one.kind: one for one in advice(uses)}
    assert list(found) == ["restore", "image", "analyze", "export", "publish"]
    assert found["image"].nodes == 4
    for kind, one in found.items():
        alike = [use for use in uses if use.facts.node.kind == kind]
        assert one.peak == max(use.peak for use in alike) and one.longest_s == max(use.wall_s for use in alike)
        assert one.memory % ROUND == 0 and 0 <= one.memory - MARGIN * one.peak < ROUND
