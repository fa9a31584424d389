"""What became of the nodes of a run that HTCondor runs: for `status`, `explain` and the report.

All of it comes from the run folder and the event logs in it, so that it works without a pool and in a copy.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from ccip_batch.engines.htcondor.dagman import Dag, last_dag, query_jobs
from ccip_batch.engines.htcondor.event_log import JobState, NodeRow, read_nodes
from ccip_batch.engines.htcondor.holds import Hold
from ccip_batch.engines.htcondor.plan import DAG
from ccip_batch.errors import CcipError
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.run import Run
from ccip_batch.run.state import NodeStatus, present_stage, read_status
from ccip_batch.workflow.graph import Node

_HELD_BEFORE = re.compile(r"^012 \((\d+)\.(\d+)\.\d+\).*\n\t(.*)\n\tCode (\d+) Subcode (\d+)", re.MULTILINE)


def is_pool_run(run: Run) -> bool:
    """Whether the run was submitted to a pool."""
    return (run.folder.dag / "jobs.log").is_file()


def pool_rows(run: Run) -> dict[str, NodeRow]:
    """What the event logs tell, by node; empty before the first job. Raises ConfigError without the bindings."""
    log = run.folder.dag / "jobs.log"
    if not log.is_file():
        return {}
    return {row.node: row for row in read_nodes(log, run.folder.dag / f"{DAG}.nodes.log")}


def read_pool_status(run: Run) -> list[NodeStatus]:
    """The state of every node of a run in a pool: what its folder says, and what the event logs say beyond that."""
    rows, dag = pool_rows(run), last_dag(run.folder)
    alive = dag is not None and dag.alive
    return [_joined(run, status, rows.get(status.node), alive) for status in read_status(run, locks=False)]


def _joined(run: Run, status: NodeStatus, row: NodeRow | None, alive: bool) -> NodeStatus:
    if row is None:
        return status
    seen: dict[str, Any] = {
        "host": row.host or "",
        "memory_asked_bytes": _megabytes(row.memory_asked or row.memory_given),
        "bytes_received": row.bytes_received,
        "bytes_sent": row.bytes_sent,
        "evictions": row.evictions,
        "attempts": max(status.attempts, row.attempts),
    }
    if status.peak_memory_bytes is None:
        seen["peak_memory_bytes"] = _megabytes(row.memory_used)
    if alive and row.state in (JobState.IDLE, JobState.RUNNING, JobState.HELD, JobState.EVICTED):
        seen["state"] = str(row.state)
        seen["text"] = f"{row.hold.words}: {row.hold.reason}" if row.hold else ""
        if row.state is JobState.RUNNING and row.started is not None:
            seen["elapsed_s"] = (datetime.now(UTC) - row.started).total_seconds()
            seen["stage"] = present_stage(run, run.graph[status.node])[0]
    elif status.state == "waiting" and row.state is JobState.REMOVED:
        seen["state"], seen["text"] = "removed", row.reason
    return status.model_copy(update=seen)


def _megabytes(number: int | None) -> int | None:
    return None if number is None else number * 2**20


def dag_sentence(run: Run) -> str:
    """How the DAG stands: one query of the queue, if there is something to ask and somebody to answer."""
    dag = last_dag(run.folder)
    if dag is None:
        return f"not submitted yet: ccip-batch submit {run.folder.path}"
    if not dag.alive:
        return f"DAG {dag.cluster} has ended"
    try:
        return _queue_sentence(dag, query_jobs(run.folder, dag))
    except CcipError as error:
        return f"DAG {dag.cluster} is in the queue by its log ({str(error).splitlines()[0][:120]})"


def _queue_sentence(dag: Dag, jobs: list[dict[str, object]]) -> str:
    own = next((job for job in jobs if job.get("ClusterId") == dag.cluster), None)
    if own is None:
        return f"DAG {dag.cluster} has left the queue without a record; go on with: ccip-batch resume"
    words = {1: "waits to start", 2: "runs", 3: "is being removed", 5: "is held"}
    state = words.get(int(str(own.get("JobStatus", 0))), "is in the queue")
    return f"DAG {dag.cluster} {state}, {len(jobs) - 1} nodes in the queue"


def pool_records(run: Run) -> dict[str, dict[str, Any]]:
    """What the pool's logs tell of each node, as plain data."""
    return {
        name: {
            "state": str(row.state),
            "host": row.host,
            "submissions": row.submissions,
            "attempts": row.attempts,
            "evictions": row.evictions,
            "checkpoints": row.checkpoints,
            "memory_used_mb": row.memory_used,
            "memory_asked_mb": row.memory_asked,
            "bytes_received": row.bytes_received,
            "bytes_sent": row.bytes_sent,
        }
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
    return next(_hold(*found) for job, _, *found in reversed(_HELD_BEFORE.findall(text)) if int(job) == last)


def _hold(reason: str, code: str, subcode: str) -> Hold:
    return Hold(int(code), int(subcode), "".join(c if c.isprintable() else " " for c in reason).strip())


def _jobs_of(text: str, node: Node) -> set[int]:
    """The clusters of a node, from the text of the event log."""
    submitted = re.findall(r"^000 \((\d+)\.\d+\.\d+\)[^\n]*\n\s*DAG Node: ([^\n]+)", text, re.MULTILINE)
    return {int(job) for job, note in submitted if note.strip() == node.name}


def _job_log(run: RunFolder) -> str:
    try:
        return (run.dag / "jobs.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
