"""The local engine: nodes as processes of this machine, side by side within its cores and memory."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ccip_batch import processes
from ccip_batch.errors import ExitCode, ResourceError
from ccip_batch.nodes.supervisor import supervisor_failure
from ccip_batch.run.failures import NodeFailure
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.run import Run
from ccip_batch.workflow import estimates
from ccip_batch.workflow.estimates import memory_bytes
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.machine import machine_cores, machine_memory

POLL_S = 0.1

State = Literal["waiting", "running", "done", "failed", "blocked"]


class Observer(Protocol):
    """Who is told of the progress."""

    def changed(self, node: Node, state: State, text: str) -> None:
        """A node has started or ended; text says what became of it."""

    def tick(self) -> None:
        """Some time has passed."""


@dataclass
class _Running:
    node: Node
    process: subprocess.Popen[bytes]
    memory: int
    started: float
    before: NodeFailure | None
    """What failed at an earlier try: the clock may jump, so times do not tell it from the failure of this one."""


@dataclass
class _Engine:
    run: Run
    observer: Observer
    workers: int
    memory: int
    stopped: Callable[[], bool]
    """Whether SIGINT or SIGTERM came."""
    states: dict[str, State] = field(init=False)
    running: list[_Running] = field(default_factory=list)
    ready: set[str] = field(default_factory=set)
    """Nodes that must run and wait for a core only."""
    repeated: set[str] = field(default_factory=set)
    """Nodes that are done, but whose output was removed after the export and is needed again."""

    def __post_init__(self) -> None:
        self.states = {node.name: "waiting" for node in self.run.graph.nodes}

    def loop(self) -> ExitCode:
        try:
            while True:
                self._settle()
                self._start()
                if not self.running:
                    break
                time.sleep(POLL_S)
                if self.stopped():
                    raise KeyboardInterrupt
                self._collect()
                self.observer.tick()
        finally:
            self._stop_all()
        ok = all(state == "done" for state in self.states.values())
        return ExitCode.DONE if ok else self._failure_code()

    def _settle(self) -> None:
        """Find out which waiting nodes need not or cannot run, again if one has a node before it repeated."""
        repeated = -1
        while repeated != len(self.repeated):
            repeated = len(self.repeated)
            self._settle_once()

    def _settle_once(self) -> None:
        for node in self.run.graph.nodes:
            if self.states[node.name] != "waiting" or node.name in self.ready or not self._parents_ended(node):
                continue
            missing = [p for p in node.parents if self.states[p] != "done" and p not in node.may_fail]
            if missing:
                self.states[node.name] = "blocked"
                self.observer.changed(node, "blocked", f"needs {missing[0]}")
            elif self._may_be_skipped(node):
                self.states[node.name] = "done"
                self.observer.changed(node, "done", "already done")
            elif self._parents_ended(node):
                self.ready.add(node.name)

    def _may_be_skipped(self, node: Node) -> bool:
        """Whether a node is done. If a plane is not, its measurement set may have been removed: restore is repeated."""
        if node.name in self.repeated:
            return False
        if self.run.is_done(node):
            return True
        for parent in self.run.lacks_output_of(node):
            if self.states[parent.name] == "done":
                self.repeated.add(parent.name)
                self.states[parent.name] = "waiting"
        return False

    def _parents_ended(self, node: Node) -> bool:
        return all(self.states[parent] not in ("waiting", "running") for parent in node.parents)

    def _start(self) -> None:
        """Start what is ready and fits into the memory."""
        for node in self.run.graph.nodes:
            if len(self.running) >= self.workers:
                return
            if self.states[node.name] != "waiting" or node.name not in self.ready:
                continue
            # restore runs alone: nothing else can start before it
            cores = estimates.cores(self.run.job, node, self.workers, self.memory)
            need = memory_bytes(self.run.job, node, cores)
            if self.running and need + sum(other.memory for other in self.running) > self.memory:
                continue
            folder = self.run.node(node)
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.progress.unlink(missing_ok=True)  # of a try that was killed
            before = self.run.failure(node)
            with folder.supervisor_log.open("w") as log:
                child = subprocess.Popen(
                    processes.python_module("ccip_batch", "node", str(self.run.folder.path), node.name),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**processes.child_environment(), processes.CORES_VARIABLE: str(cores)},
                    start_new_session=True,  # Ctrl-C reaches this process alone, which ends its nodes in order
                )
            self.running.append(_Running(node, child, need, time.time(), before))
            self.states[node.name] = "running"
            self.observer.changed(node, "running", "")

    def _collect(self) -> None:
        for entry in list(self.running):
            if entry.process.poll() is None:
                continue
            self.running.remove(entry)
            result = self.run.result(entry.node)
            if entry.process.returncode == ExitCode.DONE and result is not None:
                self.states[entry.node.name] = "done"
                self.observer.changed(entry.node, "done", result.summary)
            else:
                failure = self.run.failure(entry.node)
                if failure is None or failure == entry.before:
                    failure = supervisor_failure(self.run, entry.node, entry.process.returncode, entry.started)
                self.states[entry.node.name] = "failed"
                self.observer.changed(entry.node, "failed", failure.cause)

    def _stop_all(self) -> None:
        for entry in self.running:
            entry.process.terminate()
        for entry in self.running:
            try:
                entry.process.wait(10)
            except subprocess.TimeoutExpired:
                entry.process.kill()
                entry.process.wait()

    def _failure_code(self) -> ExitCode:
        """The code of the first failure if nothing could go on, otherwise that planes failed."""
        if self.states["restore"] == "failed":
            failure = self.run.failure("restore")
            return ExitCode(failure.exit_code) if failure else ExitCode.INTERNAL
        return ExitCode.PLANES_FAILED


def run_local(run: Run, observer: Observer, workers: int | None = None, memory: int | None = None) -> ExitCode:
    """Run all nodes that are not done.

    workers: nodes side by side, by default one per core. memory: bytes that the nodes may take together, by default
    what the machine has. Raises ResourceError if a node needs more than that, KeyboardInterrupt on SIGINT and SIGTERM;
    the nodes are ended first.
    """
    limit = memory or machine_memory()
    needed = {node: memory_bytes(run.job, node) for node in run.graph.nodes}
    largest = max(needed, key=lambda node: needed[node])
    if needed[largest] > limit:
        raise ResourceError(
            f"{largest.name} needs some {needed[largest] / 1e9:.1f} GB of memory, more than the {limit / 1e9:.1f} GB "
            "there are; set execution.memory higher, use a larger machine, or a smaller imaging.imsize."
        )
    workers = workers or machine_cores()
    with _recorded(run.folder), stop_signals() as stopped:
        return _Engine(run, observer, workers, limit, stopped).loop()


@contextlib.contextmanager
def _recorded(run: RunFolder) -> Iterator[None]:
    """Note when the engine was at work: the report adds the times up."""
    started = time.time()
    try:
        yield
    finally:
        # a full disk must not hide how the run ended
        with contextlib.suppress(OSError), run.history.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"engine": "local", "started": started, "ended": time.time()}) + "\n")


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Gives what tells whether SIGTERM or SIGINT came, SIGINT also where a shell in the background has it ignored.

    They are noted only: an exception raised anywhere can leave subprocess with a lock that nobody gives back.
    """
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in numbers}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
