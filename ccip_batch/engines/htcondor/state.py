"""What became of the nodes of a run that HTCondor runs: for `status`, `explain` and the report.

All of it comes from the run folder and the event logs in it, so that it works without a pool and in a copy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ccip_batch.engines.htcondor.asked import Asked, read_asked
from ccip_batch.engines.htcondor.attempts import read_moved
from ccip_batch.engines.htcondor.dagman import Dag, DagFile, Queue, ask_queue, last_dag, lost_sentence
from ccip_batch.engines.htcondor.event_log import IN_QUEUE, JobState, NodeRow, read_nodes
from ccip_batch.engines.htcondor.holds import Hold
from ccip_batch.engines.htcondor.plan import DAG
from ccip_batch.engines.htcondor.staging import require_own_place
from ccip_batch.errors import CcipError
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.pool import PoolRecord
from ccip_batch.run.run import Run
from ccip_batch.run.state import NodeStatus, present_stage, read_status
from ccip_batch.workflow.graph import Node

_SUBMITTED = re.compile(
    r"""^000 \((\d+)\.\d+\.\d+\)[^\n]*\n\s*(?:DAG Node: |\[ DAGNodeName = ")([^"\n]+)""", re.MULTILINE
)
_HELD_BEFORE = re.compile(r"^012 \((\d+)\.(\d+)\.\d+\).*\n\t(.*)\n\tCode (\d+) Subcode (-?\d+)", re.MULTILINE)

_EVENT = re.compile(
    r"^(\d{3}) \((\d+)\.\d+\.\d+\) ((?:\d{4}-\d\d-|\d\d/)\d\d \d\d:\d\d:\d\d)[^\n]*\n([^\n]*)", re.MULTILINE
)
"""An event: its number, the cluster, the time as 2026-11-29 12:00:00 or, in the old form, 11/29 12:00:00; a line."""
_NO_YEAR = 2000
"""Stands for the year in the old form; it has a 29 February."""
_NOW_IDLE = ("000", "004", "007", "013", "024")
"""Events after which a job waits for a machine: submitted, evicted, shadow exception, released, reconnection failed."""


def is_planned(run: Run) -> bool:
    """Whether there is a DAG of the run."""
    return (run.folder.dag / DAG).is_file()


def is_pool_run(run: Run) -> bool:
    """Whether jobs of the run have been in the queue of a pool."""
    return (run.folder.dag / "jobs.log").is_file()


def pool_rows(run: Run) -> dict[str, NodeRow]:
    """What the event logs tell, by node; empty before the first job. Raises ConfigError without the bindings."""
    log = run.folder.dag / "jobs.log"
    if not log.is_file():
        return {}
    return {row.node: _with_tars(run, row) for row in read_nodes(log, run.folder.dag / f"{DAG}.nodes.log")}


def _with_tars(run: Run, row: NodeRow) -> NodeRow:
    """A row with the bytes of the node's tars, where these went by URL and HTCondor counted next to nothing."""
    moved = read_moved(run, row.node)
    if moved is None or row.bytes_received is None:
        return row
    return replace(row, bytes_received=max(moved[0], row.bytes_received), bytes_sent=max(moved[1], row.bytes_sent or 0))


def read_pool_status(run: Run, alive: bool) -> list[NodeStatus]:
    """The state of every node of a run in a pool: what its folder says, and what the event logs say beyond that.

    alive: whether its DAG is in the queue.
    """
    rows = pool_rows(run)
    asked = asked_of(run, rows)
    found = []
    for status in read_status(run, locks=False):
        row = rows.get(status.node)
        found.append(status if row is None else _joined(run, status, row, asked.get(status.node), alive))
    return found


def asked_of(run: Run, rows: Mapping[str, NodeRow]) -> dict[str, Asked]:
    """What the nodes' last jobs asked for, without asking the pool."""
    return read_asked(run, {name: row.shortages for name, row in rows.items()})


def _joined(run: Run, status: NodeStatus, row: NodeRow, asked: Asked | None, alive: bool) -> NodeStatus:
    seen: dict[str, Any] = {
        "host": row.host or "",
        "memory_asked_bytes": _megabytes(row.memory_asked or row.memory_given or (asked.memory_mb if asked else None)),
        "cpus_asked": asked.cpus if asked else None,
        "disk_asked_bytes": _megabytes(asked.disk_mb if asked else None),
        "bytes_received": row.bytes_received,
        "bytes_sent": row.bytes_sent,
        "evictions": row.evictions,
        "attempts": max(status.attempts, row.attempts),
    }
    if status.peak_memory_bytes is None:
        seen["peak_memory_bytes"] = _megabytes(row.memory_used)
    if alive and row.state in IN_QUEUE:
        seen["state"] = str(row.state)
        seen["idle_s"] = row.idle_s
        seen["text"] = f"{row.hold.words}: {row.hold.reason}" if row.hold else ""
        if row.state is JobState.RUNNING and row.started is not None:
            seen["elapsed_s"] = (datetime.now(UTC) - row.started).total_seconds()
            seen["stage"] = present_stage(run, run.graph[status.node])[0]
    elif status.state == "waiting" and row.state is JobState.REMOVED:
        seen["state"], seen["text"] = "removed", row.reason
    return status.model_copy(update=seen)


def _megabytes(number: int | None) -> int | None:
    return None if number is None else number * 2**20


@dataclass(frozen=True)
class Standing:
    """How the DAG of a run stands."""

    alive: bool
    """Whether it is in the queue, or may be there."""
    sentence: str
    lost: bool = False
    """Whether it left the queue without a record."""


def standing_of(run: Run) -> Standing:
    """How the DAG stands: one query of the queue, if there is something to ask and somebody to answer."""
    dag = last_dag(DagFile.of(run.folder))
    alive = dag is not None and dag.alive
    try:
        require_own_place(run.folder)
    except CcipError as error:
        return Standing(alive, str(error))
    if dag is None:
        return Standing(False, f"not submitted yet: ccip-batch submit {run.folder.path}")
    if not dag.alive:
        return Standing(False, f"DAG {dag.cluster} has ended")
    try:
        queue = ask_queue(DagFile.of(run.folder), dag)
    except CcipError as error:
        why = str(error).splitlines()[0][:120]
        return Standing(True, f"DAG {dag.cluster} is in the queue by its log ({why})")
    if queue.has_lost_it and last_dag(DagFile.of(run.folder)) != dag:  # it ended between the two looks
        return Standing(False, f"DAG {dag.cluster} has ended")
    return Standing(not queue.has_lost_it, _queue_sentence(run.folder, dag, queue), queue.has_lost_it)


def _queue_sentence(folder: RunFolder, dag: Dag, queue: Queue) -> str:
    if queue.has_lost_it and queue.nodes:
        left = f"but {queue.nodes} of its nodes are in it; remove them with: ccip-batch cancel {folder.path}"
        return f"{lost_sentence(dag)}, {left}"
    if queue.has_lost_it:
        return f"{lost_sentence(dag)}; go on with: ccip-batch resume {folder.path}"
    if queue.status is None:
        where = f"it was submitted on {dag.host}" if dag.host else "its log does not tell where it was submitted"
        return f"DAG {dag.cluster} is in the queue by its log, but not in the queue of this host: {where}"
    words = {1: "waits to start", 2: "runs", 3: "is being removed", 5: "is held"}
    return f"DAG {dag.cluster} {words.get(queue.status, 'is in the queue')}, {queue.nodes} nodes in the queue"


def pool_records(run: Run) -> dict[str, PoolRecord]:
    """What the pool's logs tell of each node."""
    return {
        name: PoolRecord(
            state=str(row.state),
            host=row.host,
            submissions=row.submissions,
            attempts=row.attempts,
            evictions=row.evictions,
            holds=len(earlier_holds(run.folder, run.graph[name])),
            checkpoints=row.checkpoints,
            memory_used_mb=row.memory_used,
            memory_asked_mb=row.memory_asked,
            bytes_received=row.bytes_received,
            bytes_sent=row.bytes_sent,
        )
        for name, row in pool_rows(run).items()
        if name in run.graph  # the FINAL node is at work when this is written
    }


def earlier_holds(run: RunFolder, node: Node) -> list[Hold]:
    """All holds of a node's jobs, of earlier submissions too."""
    text = _job_log(run)
    jobs = _jobs_of(text, node)
    return [_hold(*found) for job, _, *found in _HELD_BEFORE.findall(text) if int(job) in jobs]


def hold_at_removal(run: RunFolder, node: Node) -> Hold | None:
    """Why a node's last job was held when it was removed; None if it was not. Needs no bindings."""
    text = _job_log(run)
    last = max(_jobs_of(text, node), default=None)
    if last is None:
        return None
    kinds = re.findall(rf"^(009|012|013) \({last:03d}\.", text, re.MULTILINE)
    if kinds[-2:] != ["012", "009"]:
        return None
    holds = [_hold(*found) for job, _, *found in _HELD_BEFORE.findall(text) if int(job) == last]
    return holds[-1] if holds else None


def idle_at_removal(run: RunFolder, node: Node) -> float | None:
    """For how long, in seconds, a node's last job had been idle when its own policy removed it; None if it was not so.

    Neither its user nor the end of the DAG is its policy. Needs no bindings.
    """
    text = _job_log(run)
    last = max(_jobs_of(text, node), default=None)
    since = end = None
    for number, job, time, said in _EVENT.findall(text):
        moment = _moment(time) if int(job) == last else None
        if moment is not None:
            end = moment if since and number == "009" and "attribute PeriodicRemove" in said else None
            if number in _NOW_IDLE:
                since = moment
            elif number in ("001", "012"):
                since = None
    if since is None or end is None:
        return None
    if end < since and end.year == _NO_YEAR:  # the year ended between them
        end += timedelta(days=366)
    return (end - since).total_seconds()


def _moment(time: str) -> datetime | None:
    """The time of an event; None if there is no such time."""
    try:
        return datetime.fromisoformat(f"{_NO_YEAR}-{time.replace('/', '-')}" if "/" in time else time)
    except ValueError:
        return None


def shortages_of(run: RunFolder, node: Node) -> int:
    """How often a node's last job was held because it had asked for too little. Needs no bindings."""
    text = _job_log(run)
    last = max(_jobs_of(text, node), default=None)
    return sum(_hold(*found).is_shortage for job, _, *found in _HELD_BEFORE.findall(text) if int(job) == last)


def _hold(reason: str, code: str, subcode: str) -> Hold:
    return Hold(int(code), int(subcode), "".join(c if c.isprintable() else " " for c in reason).strip())


def _jobs_of(text: str, node: Node) -> set[int]:
    """The clusters of a node, from the text of the event log."""
    return {int(job) for job, note in _SUBMITTED.findall(text) if note.strip() == node.name}


def _job_log(run: RunFolder) -> str:
    try:
        return (run.dag / "jobs.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
