"""The state of a run, read from its folder."""

from __future__ import annotations

import json
import time

from rich.console import Console
from rich.table import Table

from ccip_batch.fingerprint import is_done, read_inputs
from ccip_batch.model import Model
from ccip_batch.results import read_failure, read_result
from ccip_batch.run_folder import RunFolder, is_locked
from ccip_batch.workflow import Node


class NodeStatus(Model):
    """One node, now."""

    node: str
    state: str
    """`waiting`, `running`, `done`, `failed`, or `outdated` (done with other parameters)."""
    stage: str
    elapsed_s: float | None
    cpu_s: float | None
    peak_memory_bytes: int | None
    attempts: int
    text: str
    """What became of it."""


def read_status(run: RunFolder) -> list[NodeStatus]:
    """The state of every node, in the order of the graph."""
    job, graph, inputs = run.read_job(), run.graph(), read_inputs(run)
    return [_node_status(run, node, is_done(run, job, inputs, graph, node)) for node in graph.nodes]


def _node_status(run: RunFolder, node: Node, done: bool) -> NodeStatus:
    folder = run.node(node)
    if folder.lock.exists() and is_locked(folder.lock):
        return _running(run, node)
    ended = read_failure(folder.failure) or read_result(folder.result)
    if ended is None:
        return _without_figures(node, "waiting")
    failure = read_failure(folder.failure)
    return NodeStatus(
        node=node.name,
        state="failed" if failure else "done" if done else "outdated",
        stage=(failure.stage or "") if failure else "",
        elapsed_s=ended.ended - ended.started,
        cpu_s=ended.usage.cpu_s,
        peak_memory_bytes=ended.usage.peak_memory_bytes,
        attempts=ended.attempts,
        text=failure.cause if failure else summary_of(run, node),
    )


def summary_of(run: RunFolder, node: Node) -> str:
    """What became of a node that is done."""
    result = read_result(run.node(node).result)
    return result.summary if result else ""


def _running(run: RunFolder, node: Node) -> NodeStatus:
    stage, since = "", None
    try:
        said = json.loads(run.node(node).progress.read_bytes())
        stage, since = str(said["stage"]), float(said["since"])
    except (OSError, ValueError, KeyError):
        pass
    status = _without_figures(node, "running")
    return status.model_copy(update={"stage": stage, "elapsed_s": time.time() - since if since else None})


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


def print_status(rows: list[NodeStatus]) -> None:
    """Print the nodes as a table."""
    table = Table()
    for title in ("node", "state", "stage", "elapsed", "CPU", "memory", "tries", ""):
        table.add_column(title, justify="right" if title in ("elapsed", "CPU", "memory", "tries") else "left")
    for row in rows:
        table.add_row(
            row.node,
            row.state,
            row.stage,
            f"{row.elapsed_s:.0f} s" if row.elapsed_s is not None else "",
            f"{row.cpu_s:.0f} s" if row.cpu_s is not None else "",
            f"{row.peak_memory_bytes / 1e6:.0f} MB" if row.peak_memory_bytes else "",
            str(row.attempts) if row.attempts else "",
            row.text,
        )
    Console().print(table)
