"""The state of a run, read from its folder."""

from __future__ import annotations

import json
import time

from ccip_batch.records import Model
from ccip_batch.run.folder import is_locked
from ccip_batch.run.run import Run
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import KINDS


class NodeStatus(Model):
    """One node, now."""

    node: str
    state: str
    """`waiting`, `running`, `done`, `failed`, or `outdated` (done with other parameters); in a pool also `idle`,
    `held`, `evicted` and `removed`."""
    stage: str
    elapsed_s: float | None
    cpu_s: float | None
    peak_memory_bytes: int | None
    attempts: int
    text: str
    """What became of it; why it is held."""
    host: str = ""
    memory_asked_bytes: int | None = None
    """What it asked of the pool."""
    bytes_received: int | None = None
    """Bytes of files that were transferred to it; None where files are not transferred."""
    bytes_sent: int | None = None
    evictions: int = 0
    idle_s: float | None = None
    """For how long it has waited for a machine: since it was submitted, evicted or released; None unless it waits."""
    cpus_asked: int | None = None
    disk_asked_bytes: int | None = None


def read_status(run: Run, locks: bool = True) -> list[NodeStatus]:
    """The state of every node, in the order of the graph. locks: find out by their locks which nodes run."""
    done: dict[str, bool] = {}
    for node in run.graph.nodes:  # parents first
        outdated = [] if KINDS[node.kind].own_target_only else [parent for parent in node.parents if not done[parent]]
        there = any(run.result(parent) for parent in outdated)
        done[node.name] = not there and run.is_done(node)
    return [_node_status(run, node, done[node.name], locks) for node in run.graph.nodes]


def _node_status(run: Run, node: Node, done: bool, locks: bool) -> NodeStatus:
    folder = run.node(node)
    if locks and folder.lock.exists() and is_locked(folder.lock):
        return _running(run, node)
    failure = run.failure(node)
    ended = failure or run.result(node)
    if ended is None:
        return _without_figures(node, "waiting")
    return NodeStatus(
        node=node.name,
        state="failed" if failure else "done" if done else "outdated",
        stage=(failure.stage or "") if failure else "",
        elapsed_s=ended.ended - ended.started,
        cpu_s=ended.usage.cpu_s,
        peak_memory_bytes=ended.usage.peak_memory_bytes,
        attempts=ended.attempts,
        host=ended.host,
        text=failure.cause if failure else summary_of(run, node),
    )


def summary_of(run: Run, node: Node) -> str:
    """What became of a node that is done."""
    result = run.result(node)
    return result.summary if result else ""


def _running(run: Run, node: Node) -> NodeStatus:
    stage, since = present_stage(run, node)
    status = _without_figures(node, "running")
    return status.model_copy(update={"stage": stage, "elapsed_s": time.time() - since if since else None})


def present_stage(run: Run, node: Node) -> tuple[str, float | None]:
    """The stage that a running node is in, and since when (seconds since 1970); as far as its folder here tells."""
    try:
        said = json.loads(run.node(node).progress.read_bytes())
        return str(said["stage"]), float(said["since"])
    except (OSError, ValueError, KeyError):
        return "", None


def _without_figures(node: Node, state: str) -> NodeStatus:
    return NodeStatus(
        node=node.name,
        state=state,
        stage="",
        elapsed_s=None,
        cpu_s=None,
        peak_memory_bytes=None,
        attempts=0,
        text="",
    )


def clock(seconds: float | None) -> str:
    """A time as `m:ss` or `h:mm:ss`; empty for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
