"""What happened to the nodes of a DAG, from HTCondor's event logs. Needs the bindings, but no pool.

Two logs tell it. The one that the submit descriptions name (`log = ...`, one file for all nodes) has everything that
happens to the jobs, and it goes on when a DAG is resumed. DAGMan's own (`<dag>.nodes.log`) has what DAGMan needs: no
memory, no file transfers, nothing of an earlier run of the DAG, but the ends of the POST scripts.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from ccip_batch.engines.htcondor.holds import Hold
from ccip_batch.errors import ConfigError, DataError


class JobState(StrEnum):
    """Where a node stands, as far as the event log tells."""

    IDLE = "idle"
    RUNNING = "running"
    HELD = "held"
    EVICTED = "evicted"
    """Put off its machine; it waits to run again."""
    DONE = "done"
    FAILED = "failed"
    """Its job ended with another exit code than 0 or by a signal, or its POST script failed after a good end."""
    REMOVED = "removed"


IN_QUEUE = (JobState.IDLE, JobState.RUNNING, JobState.HELD, JobState.EVICTED)
"""States of a job that is in the queue as long as its DAG is."""


@dataclass(frozen=True)
class NodeRow:
    """What the event log tells of one node of the DAG. Of several submissions (RETRY) it describes the last one."""

    node: str
    state: JobState
    job: str
    """HTCondor's number of the last submission, `cluster.proc`."""
    since: datetime
    """When the state was reached."""
    submissions: int = 1
    """Submissions by DAGMan: 1, and 1 more for each RETRY."""
    attempts: int = 0
    """Starts on a machine, over all submissions. Going on from a checkpoint on the same machine does not count."""
    evictions: int = 0
    """Times that it was put off a machine to run again, over all submissions."""
    shortages: int = 0
    """Times that the last submission was held because it had asked for too little."""
    checkpoints: int = 0
    """Checkpoints saved by the last submission."""
    sending: bool = False
    """Whether output files or a checkpoint are on their way from its machine."""
    host: str | None = None
    """Machine of the last start."""
    submitted: datetime | None = None
    started: datetime | None = None
    """The last start."""
    ended: datetime | None = None
    memory_used: int | None = None
    """Largest memory measured in the last submission, MB."""
    memory_asked: int | None = None
    """request_memory, MB; known once it has ended."""
    memory_given: int | None = None
    """Memory of its slot, MB."""
    bytes_received: int | None = None
    """Bytes of input files transferred to the job, known when it has ended."""
    bytes_sent: int | None = None
    """Bytes of output files transferred back, checkpoints included."""
    hold: Hold | None = None
    """Why it is held now."""
    exit_code: int | None = None
    """Of the job."""
    signal: int | None = None
    """The signal that ended the job."""
    post_exit_code: int | None = None
    """Of its POST script; 0 after a failure means that the DAG went on without this node."""
    reason: str = ""
    """HTCondor's text for the last eviction, hold, release or removal."""

    @property
    def idle_s(self) -> float | None:
        """For how long it has waited for a machine, since submission, eviction or release; None unless it does."""
        waits = self.state in (JobState.IDLE, JobState.EVICTED)
        return max(0.0, (datetime.now(UTC) - self.since).total_seconds()) if waits else None


def read_nodes(log: Path, dag_log: Path | None = None) -> list[NodeRow]:
    """The nodes in an event log, in the order of their first submission.

    log: the event log of the jobs; DAGMan's nodes log will do, but knows less. dag_log: DAGMan's nodes log, for the
    exit codes of the POST scripts; passed over if it does not exist yet. A log that is still being written is read as
    far as it goes, and events that cannot be read are passed over. Raises DataError if none can be, ConfigError without
    the HTCondor bindings.
    """
    rows: dict[str, NodeRow] = {}
    jobs: dict[str, str] = {}  # job -> node
    for event in _events(log):
        node = _node(event, jobs)
        row = None if node is None else _after(rows.get(node), event, node)
        if node is not None and row is not None:
            rows[node] = row
    if dag_log is not None and dag_log.is_file() and dag_log != log:
        for event in _events(dag_log):
            row = rows.get(_node(event, jobs) or "")
            if row is not None and int(event.type) == _POST_SCRIPT and _job(event) == row.job:
                rows[row.node] = _after_post(row, event)
    return list(rows.values())


# Numbers of HTCondor's event types, which are also those at the beginning of an event in the log.
_SUBMIT, _EXECUTE, _EVICTED, _TERMINATED, _IMAGE_SIZE, _SHADOW_EXCEPTION = 0, 1, 4, 5, 6, 7
_ABORTED, _HELD, _RELEASED, _POST_SCRIPT, _RECONNECT_FAILED, _FILE_TRANSFER = 9, 12, 13, 16, 24, 40
_SENDING_OUTPUT, _OUTPUT_TRANSFERRED = 5, 6
_AFTER_A_CHECKPOINT = 1025
"""Why a job left its machine (25.14): it has saved its work, and its claim on the machine is over."""
_TRANSFER_FAILED = (12, 13, 36)
"""Why a job left its machine (25.14): output, input or checkpoint could not be transferred."""
_MOST_UNREADABLE = 100
"""After so many events in a row that cannot be read, the rest of a log is not one."""


def _bindings() -> Any:
    """HTCondor's Python bindings."""
    try:
        with warnings.catch_warnings():  # they warn if there is no pool here, which a log does not need
            warnings.simplefilter("ignore")
            import htcondor2
    except ImportError as error:
        raise ConfigError("HTCondor's Python bindings are missing: pip install '.[htcondor]' in a checkout") from error
    return htcondor2


def _events(log: Path) -> Iterator[Any]:
    htcondor2 = _bindings()
    if not log.is_file():
        raise DataError(f"There is no event log {log}; has the DAG been submitted?")
    events = htcondor2.JobEventLog(str(log)).events(stop_after=0)
    some, failures = False, 0
    while failures < _MOST_UNREADABLE:
        try:
            event = next(events)
            datetime.fromtimestamp(event.timestamp, UTC)
        except StopIteration:
            break
        except (htcondor2.HTCondorException, ValueError, OverflowError, OSError) as error:
            failures, last = failures + 1, error  # one such as with a date that does not exist; the next may be whole
            continue
        some, failures = True, 0
        yield event
    if failures and not some:
        raise DataError(f"The event log {log} cannot be read: {last}")


def _node(event: Any, jobs: dict[str, str]) -> str | None:
    """The DAG node that an event is about; remembers which job is whose."""
    job = _job(event)
    name = event.get("DAGNodeName")
    if int(event.type) == _SUBMIT:
        name = _noted_node(event)
    if name is not None:
        jobs[job] = _printable(name)
    return jobs.get(job)


def _noted_node(event: Any) -> str | None:
    """The node's name in the notes of a submission: `DAG Node: name` (23.9), or a ClassAd (25.14) with DAGNodeName."""
    notes = event.get("LogNotes") or ""
    if not notes.startswith("["):
        return notes.partition("DAG Node: ")[2].split("\n")[0].strip() or None
    structured = event.get("StructuredNotes")
    name = None if structured is None else structured.get("DAGNodeName")
    return name if isinstance(name, str) else None


def _job(event: Any) -> str:
    return f"{event.cluster}.{event.proc}"


def _after(row: NodeRow | None, event: Any, node: str) -> NodeRow | None:
    """A node's row after an event."""
    kind = int(event.type)
    time = datetime.fromtimestamp(event.timestamp, UTC)
    if kind == _SUBMIT:
        fresh = NodeRow(node, JobState.IDLE, _job(event), since=time, submitted=time)
        if row is None:
            return fresh
        return replace(fresh, submissions=row.submissions + 1, attempts=row.attempts, evictions=row.evictions)
    if row is None or _job(event) != row.job:
        return row
    if kind == _EXECUTE:
        given = (event.get("ExecuteProps") or {}).get("Memory")
        return replace(
            row, state=JobState.RUNNING, since=time, started=time, attempts=row.attempts + 1, host=_host(event),
            memory_given=given,
        )  # fmt: skip
    if kind in (_EVICTED, _SHADOW_EXCEPTION, _RECONNECT_FAILED):
        return _after_eviction(row, event, time)
    if kind == _TERMINATED:
        return _after_end(row, event, time)
    if kind == _HELD:
        reason = _printable(event.get("HoldReason") or "")
        hold = Hold(int(event.get("HoldReasonCode", 0)), int(event.get("HoldReasonSubCode", 0)), reason)
        row = _not_evicted(row)
        shortages = row.shortages + hold.is_shortage
        return replace(row, state=JobState.HELD, since=time, hold=hold, reason=reason, shortages=shortages)
    if kind == _RELEASED:
        reason = _printable(event.get("Reason") or "")
        return replace(row, state=JobState.IDLE, since=time, hold=None, reason=reason)
    if kind == _ABORTED:
        reason = _printable(event.get("Reason") or "")
        row = _not_evicted(row)
        return replace(row, state=JobState.REMOVED, since=time, ended=time, hold=None, reason=reason)
    if kind == _POST_SCRIPT:
        return _after_post(row, event)
    if kind == _IMAGE_SIZE:
        return replace(row, memory_used=_larger(row.memory_used, event.get("MemoryUsage")))
    if kind == _FILE_TRANSFER and event.get("Type") == _SENDING_OUTPUT:
        return replace(row, sending=True)
    if kind == _FILE_TRANSFER and event.get("Type") == _OUTPUT_TRANSFERRED:
        return replace(row, checkpoints=row.checkpoints + 1, sending=False)
    return row


def _after_eviction(row: NodeRow, event: Any, time: datetime) -> NodeRow:
    """25.14 says why. It may leave out the end of a transfer of output files, or log one of a transfer that failed."""
    why = event.get("ReasonCode")
    saved = row.checkpoints
    if why == _AFTER_A_CHECKPOINT and row.sending:
        saved += 1
    elif why in _TRANSFER_FAILED and not row.sending:
        saved = max(0, saved - 1)
    row = replace(row, since=time, checkpoints=saved, sending=False)
    if why == _AFTER_A_CHECKPOINT:
        return replace(row, state=JobState.IDLE)
    reason = _printable(event.get("Reason") or event.get("Message") or "")
    return replace(row, state=JobState.EVICTED, evictions=row.evictions + 1, reason=reason)


def _not_evicted(row: NodeRow) -> NodeRow:
    """HTCondor logs the hold or the removal of a running job as an eviction first, which it is not."""
    return replace(row, evictions=row.evictions - 1) if row.state is JobState.EVICTED else row


def _larger(known: int | None, measured: Any) -> int | None:
    return max(known or 0, measured) if isinstance(measured, int) else known


def _after_end(row: NodeRow, event: Any, time: datetime) -> NodeRow:
    code = event.get("ReturnValue") if event.get("TerminatedNormally") else None
    return replace(
        row,
        state=JobState.DONE if code == 0 else JobState.FAILED,
        since=time,
        ended=time,
        exit_code=code,
        signal=event.get("TerminatedBySignal"),
        memory_used=_larger(row.memory_used, event.get("MemoryUsage")),
        memory_asked=event.get("RequestMemory"),
        memory_given=event.get("Memory", row.memory_given),
        checkpoints=max(0, row.checkpoints - 1),  # the last transfer brought the results
        bytes_received=int(event.get("TotalReceivedBytes", 0)),
        bytes_sent=int(event.get("TotalSentBytes", 0)),
    )


def _after_post(row: NodeRow, event: Any) -> NodeRow:
    code = event.get("ReturnValue") if event.get("TerminatedNormally") else -int(event.get("TerminatedBySignal", 0))
    state = JobState.FAILED if row.state is JobState.DONE and code != 0 else row.state
    return replace(row, state=state, post_exit_code=code)


def _host(event: Any) -> str:
    """The machine of a start: from the slot's name, or, for a job on the access point itself, from its address."""
    slot = event.get("SlotName")
    if slot:
        return _printable(slot.rpartition("@")[2])
    address = str(event.get("ExecuteHost", "")).strip("<>")
    for part in address.partition("?")[2].split("&"):
        if part.startswith("alias="):
            return _printable(part.removeprefix("alias="))
    return _printable(address.partition("?")[0])


def _printable(text: str) -> str:
    """Text from a log without anything that could steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text).strip()
