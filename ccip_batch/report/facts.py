"""What a run's results say, gathered once for all parts of the report. Reads results, failures and previews only."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ccip_batch.errors import DataError
from ccip_batch.imaging import previews
from ccip_batch.imaging.plane_rejection import Judgement
from ccip_batch.job.config import ResolvedJob
from ccip_batch.run.failures import NodeFailure, repeat_command
from ccip_batch.run.folder import NodeFolder, RunFolder
from ccip_batch.run.pool import PoolRecord, read_pool_records
from ccip_batch.run.results import NodeResult, StageRecord, StageResult
from ccip_batch.run.run import Run
from ccip_batch.run.state import NodeStatus, read_status
from ccip_batch.stages.analyzeplanes import CubeAnalysis
from ccip_batch.stages.editimlist import CubeTargets, PlaneTarget
from ccip_batch.stages.exportvlassdata import NativeExport
from ccip_batch.stages.makecutoutimages import CutoutResult
from ccip_batch.stages.makeimages import PlaneImages
from ccip_batch.stages.makermsimages import RmsResult
from ccip_batch.stages.pbcor import PbcorResult
from ccip_batch.workflow.estimates import memory_bytes
from ccip_batch.workflow.graph import Node

T = TypeVar("T", bound=BaseModel)
R = TypeVar("R", bound=StageResult)

STATES = (
    "failed", "rejected", "kept", "imaged", "under way", "waiting", "blocked", "rejected before imaging", "empty",
)  # fmt: skip
"""The states of a plane. `imaged`: done, but not yet compared with the others."""


@dataclass(frozen=True)
class NodeFacts:
    """A node and what it has left so far."""

    node: Node
    folder: NodeFolder
    status: NodeStatus
    result: NodeResult | None
    failure: NodeFailure | None
    records: Sequence[StageRecord]
    """One for each stage that it has finished."""
    requested_memory: int
    """Bytes."""
    state: str
    """As in `NodeStatus`, or `blocked` if it waits for a node that failed."""
    blocked_by: str = ""

    def found(self, kind: type[R]) -> R | None:
        """The result of the stage that gives this type; None without one, or if another version wrote it."""
        return self.stage(kind.stage, kind)

    def stage(self, name: str, kind: type[T]) -> T | None:
        """The same of a type that says no stage, or that several stages give."""
        record = self.record(name)
        try:
            return kind.model_validate(record.result) if record else None
        except ValidationError:
            return None

    def record(self, name: str) -> StageRecord | None:
        """The record of a stage; None if the node has not finished it."""
        return next((record for record in self.records if record.name == name), None)

    @property
    def command(self) -> str:
        """The command that repeats the node; in a sandbox, where nobody knows the run folder, RUN stands for that."""
        run = self.folder.path.parent.parent
        return repeat_command(Path("RUN") if RunFolder(run).part.exists() else run, self.node.name)

    @property
    def started(self) -> float | None:
        """When it started, seconds since 1970; for a running node, when its first stage did. None if it has not."""
        ended = self.failure or self.result
        if ended:
            return ended.started
        if self.records:
            return self.records[0].started
        since = self.status.elapsed_s if self.state == "running" else None
        return None if since is None else time.time() - since


@dataclass(frozen=True)
class PlaneFacts:
    """A plane: one spw group."""

    spw: str
    """As CASA selects it: `'3,4'`."""
    label: str
    """As in file names: `spw03_04`."""
    image: NodeFacts
    export: NodeFacts
    target: PlaneTarget | None
    judgement: Judgement | None
    state: str
    reason: str

    @property
    def frequency_ghz(self) -> float | None:
        """Reference frequency."""
        return self.target.reffreq_ghz if self.target else None

    @cached_property
    def images(self) -> PlaneImages | None:
        """The result of stage 7."""
        return self.image.found(PlaneImages)

    @cached_property
    def pbcor(self) -> PbcorResult | None:
        """The result of stage 8."""
        return self.image.found(PbcorResult)

    @cached_property
    def rms(self) -> RmsResult | None:
        """The result of stage 9."""
        return self.image.found(RmsResult)

    @cached_property
    def cutouts(self) -> CutoutResult | None:
        """The result of stage 10."""
        return self.image.found(CutoutResult)

    @cached_property
    def native(self) -> NativeExport | None:
        """The result of the part of stage 12 that needs no other plane."""
        return self.image.found(NativeExport)

    def previews(self, *kinds: str) -> previews.Previews | None:
        """Its previews; None if there are none that can be read.

        kinds: read only these, which is quicker than all of them.
        """
        for folder in (self.image.folder.out, self.image.folder.out_now):
            if (folder / previews.NAME).is_file():
                try:
                    return previews.Previews.load(folder / previews.NAME, kinds or None)
                except DataError:
                    return None
        return None


@dataclass(frozen=True)
class RunFacts:
    """A run."""

    run: RunFolder
    job: ResolvedJob
    nodes: dict[str, NodeFacts]
    planes: Sequence[PlaneFacts]
    """In ascending order of frequency, as far as that is known."""
    targets: CubeTargets | None
    analysis: CubeAnalysis | None
    engine_seconds: float | None
    """How long the engine was at work in all its runs, seconds; None if none of them has ended."""

    @property
    def failed(self) -> list[NodeFacts]:
        """The nodes that failed."""
        return [facts for facts in self.nodes.values() if facts.failure]

    def count(self, state: str) -> int:
        """How many planes are in a state."""
        return sum(1 for plane in self.planes if plane.state == state)

    @property
    def state(self) -> str:
        """`done`, `failed`, `under way`, or `stopped` if nothing runs and nothing has failed."""
        states = {facts.state for facts in self.nodes.values()}
        if "running" in states:
            return "under way"
        if self.failed:
            return "failed"
        return "done" if states == {"done"} else "stopped"

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all nodes that have ended."""
        return sum(facts.status.cpu_s or 0.0 for facts in self.nodes.values())

    @property
    def wall_s(self) -> float:
        """Wall time, seconds: that of the engine, or from the start of the first node to the end of the last."""
        if self.engine_seconds is not None and self.state != "under way":
            return self.engine_seconds
        ends = [end.ended for facts in self.nodes.values() if (end := facts.failure or facts.result)]
        begins = [facts.started for facts in self.nodes.values() if facts.started is not None]
        if self.state == "under way":
            ends.append(time.time())
        return max(ends) - min(begins) if ends and begins else 0.0


def gather(run: Run) -> RunFacts:
    """Gather what the nodes of a run have left so far."""
    job = run.job
    nodes = _nodes(run, {row.node: row for row in read_status(run)})
    targets = nodes["restore"].found(CubeTargets)
    analysis = nodes["analyze"].found(CubeAnalysis)
    planes = []
    for group in job.groups:
        image, export = nodes[f"image_{group.name}"], nodes[f"export_{group.name}"]
        target = next((one for one in targets.planes if one.spw == group.selection), None) if targets else None
        judged = analysis.judgements if analysis else []
        judgement = next((one for one in judged if one.spw == group.selection), None)
        state, reason = _plane_state(image, export, target, judgement)
        planes.append(PlaneFacts(group.selection, group.name, image, export, target, judgement, state, reason))
    planes.sort(key=lambda plane: plane.frequency_ghz or 0.0)
    return RunFacts(run.folder, job, nodes, planes, targets, analysis, _engine_seconds(run.folder))


def _nodes(run: Run, rows: dict[str, NodeStatus]) -> dict[str, NodeFacts]:
    nodes: dict[str, NodeFacts] = {}
    pool = read_pool_records(run.folder)
    for node in run.graph.nodes:  # parents come first
        folder = run.node(node)
        result, failure = run.result(node), run.failure(node)
        state, blocked_by = rows[node.name].state, ""
        if state == "waiting":
            stopping = [
                parent
                for parent in node.parents
                if parent not in node.may_fail and nodes[parent].state in ("failed", "blocked")
            ]
            if stopping:
                state, blocked_by = "blocked", nodes[stopping[0]].blocked_by or stopping[0]
        nodes[node.name] = NodeFacts(
            node=node,
            folder=folder,
            status=rows[node.name],
            result=result,
            failure=failure,
            records=result.stages if result else _records(folder),
            requested_memory=_requested_memory(run, node, result or failure, pool.get(node.name)),
            state=state,
            blocked_by=blocked_by,
        )
    return nodes


def _requested_memory(run: Run, node: Node, end: NodeResult | NodeFailure | None, pool: PoolRecord | None) -> int:
    """Bytes: what the pool was asked for, or the estimate that the local engine plans with."""
    if pool is not None and pool.memory_asked_mb is not None:
        return pool.memory_asked_mb * 2**20
    return memory_bytes(run.job, node, end.usage.cores if end else 1)


def _records(folder: NodeFolder) -> list[StageRecord]:
    """The records of a node that is not done: one for each stage it has finished."""
    records = []
    for path in sorted(folder.stages.glob("*.json")) if folder.stages.is_dir() else ():
        try:
            records.append(StageRecord.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            continue  # being written
    return records


def _plane_state(
    image: NodeFacts, export: NodeFacts, target: PlaneTarget | None, judgement: Judgement | None
) -> tuple[str, str]:
    for facts in (image, export):
        if facts.failure:
            return "failed", f"{facts.node.name}: {facts.failure.cause}"
    if target and target.state != "imaged":
        return target.state, target.reason
    if image.state == "running":
        return "under way", f"in {image.status.stage}" if image.status.stage else ""
    if image.state == "blocked":
        return "blocked", f"waiting for {image.blocked_by}, which failed"
    if image.result is None:
        return "waiting", ""
    if judgement:
        return ("kept" if judgement.kept else "rejected"), judgement.reason or (target.reason if target else "")
    return "imaged", "not yet compared with the other planes"


def _engine_seconds(run: RunFolder) -> float | None:
    try:
        lines = [json.loads(line) for line in run.history.read_text(encoding="utf-8").splitlines() if line.strip()]
        return sum(float(line["ended"]) - float(line["started"]) for line in lines) if lines else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
