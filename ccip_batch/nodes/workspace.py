"""What a node works with: its job, its folder, its parents' results, and CASA, started when first used."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from ccip_batch import processes
from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.casa.session import Casa
from ccip_batch.casa.speed import SelfChecks
from ccip_batch.errors import DataError, RunFolderError
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.records import write_whole
from ccip_batch.run.fingerprint import of_path, stamps
from ccip_batch.run.folder import NodeFolder
from ccip_batch.run.results import NodeResult, StageRecord, StageResult
from ccip_batch.run.run import Run
from ccip_batch.stages.editimlist import CubeTargets, PlaneTarget
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import KINDS

P = ParamSpec("P")
T = TypeVar("T")

_MOST_THREADS = 2
"""Of OpenMP: the tests hold that two give the same bits as one, and more have not been tried."""


class Workspace:
    """What a node works with: its job, its folder, its parents' results, and CASA, started when first used."""

    def __init__(self, run: Run, node: Node, fingerprint: str) -> None:
        self.run = run
        self.node = node
        self.folder: NodeFolder = run.node(node)
        self.job: ResolvedJob = run.job
        self.out = self.folder.out_now
        self.fingerprint = fingerprint
        if fingerprint != run.fingerprint(node):
            raise RunFolderError(f"the job has changed since {node.name} was started; run it again.")
        self._inputs = {
            name: path for name in KINDS[node.kind].inputs if (path := getattr(self.job.inputs, name)) is not None
        }
        self._stamps = {name: stamps(path) for name, path in self._inputs.items()}
        self._casa: Casa | None = None

    @property
    def casa(self) -> Casa:
        """The CASA session of this process."""
        if self._casa is None:
            self._casa = Casa(
                self.folder.casa_log,
                self.folder.casa_commands,
                title=f"node {self.node.name}",
                threads=min(processes.cores(), _MOST_THREADS),
                self_checks=self.job.execution.casa_self_checks,
            )
        return self._casa

    @property
    def self_checks(self) -> SelfChecks | None:
        """Whether casacore's are off; None if CASA was not needed."""
        return self._casa.self_checks if self._casa else None

    @property
    def group(self) -> SpwGroup:
        """The node's spw group."""
        assert self.node.group is not None
        return self.node.group

    def parent(self, name: str) -> NodeResult:
        """The result of another node. Raises DataError if it is not done."""
        result = self.run.result(name)
        if result is None:
            raise DataError(f"node {name} is not done, but {self.node.name} needs its result; run it first.")
        return result

    def parent_out(self, name: str) -> str:
        """Where another node left its output, relative to the work folder so that histories hold no machine's paths.

        Raises DataError if something there that this node reads is not as it was made; the other node is then marked,
        so that the next run repeats it. Its result stays: other nodes may be reading it.
        """
        folder = self.run.node(name)
        for output in self.parent(name).outputs:
            if self.node.reads(self.run.graph[name], output.name) and not output.is_whole_in(folder.out):
                folder.damaged.touch()
                raise DataError(
                    f"{folder.out / output.name} is damaged, or was changed after {name} had made it. Run again: "
                    f"{name} is repeated (after file transfer, remove nodes/{name}/result.json of the run folder "
                    "first)."
                )
        return os.path.relpath(folder.out)

    def check_inputs(self) -> None:
        """Raise DataError if an input is not what it was when the run was started, or has changed since this node was.

        Large files are compared by size, time of change, and samples.
        """
        known = self.run.inputs
        for name, path in self._inputs.items():
            try:
                same = stamps(path) == self._stamps[name] and known.get(name) in (None, of_path(path))
            except FileNotFoundError:
                same = False
            if not same:
                raise DataError(
                    f"inputs.{name}: {path} has changed while the run was at work, so what {self.node.name} made of it "
                    "is not kept. Leave the inputs alone and run again."
                )

    def stage(self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a stage and record its result, times and CPU seconds."""
        write_whole(self.folder.progress, json.dumps({"stage": name, "since": time.time()}))
        started, clock, cpu = time.time(), time.monotonic(), _cpu_s()
        casa_cpu = self._casa.cpu if self._casa else 0.0
        result = function(*args, **kwargs)
        if isinstance(result, StageResult) and result.stage != name:
            raise TypeError(f"{type(result).__name__} is the result of stage {result.stage}, not of {name}")
        record = StageRecord(
            name=name,
            started=started,
            elapsed_s=time.monotonic() - clock,
            cpu_s=_cpu_s() - cpu,
            casa_cpu_s=(self._casa.cpu if self._casa else 0.0) - casa_cpu,
            result=json.loads(result.model_dump_json()) if hasattr(result, "model_dump_json") else None,
        )
        number = len(list(self.folder.stages.glob("*.json")))
        record.save(self.folder.stages / f"{number:02d}_{name}.json")
        return result


def _cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def selection(fields: Sequence[int], scans: Sequence[int], antennas: int, intent: str) -> dict[str, str]:
    """tclean's selection of fields, scans, antennas (all of them, with each other) and intents (empty: the default)."""
    selected = {
        "field": ",".join(map(str, fields)),
        "scan": ",".join(map(str, scans)),
        "antenna": ",".join(map(str, range(antennas))) + "&",
    }
    return {**selected, "intent": intent} if intent else selected


def plane_target(work: Workspace) -> tuple[PlaneTarget, CubeTargets, MsSummary]:
    """The node's plane, all planes, and the measurement set of stage 3."""
    restored = work.parent("restore")
    targets = restored.of(CubeTargets)
    plane = next(plane for plane in targets.planes if plane.spw == work.group.selection)
    return plane, targets, MsSummary.model_validate(restored.stage("transformimagedata"))
