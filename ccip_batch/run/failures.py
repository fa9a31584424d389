"""Failures of nodes: made, judged and put into words here, whoever notices them."""

from __future__ import annotations

import shlex
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccip_batch.errors import ExitCode
from ccip_batch.records import Model
from ccip_batch.run.results import NodeResult, Usage, read_record
from ccip_batch.workflow.graph import Node

LOG_TAIL = 25
"""Lines of the log that a failure keeps."""
SHOWN = 12
"""Lines of these that are printed."""

_MEMORY_WORDS = ("bad_alloc", "MemoryError", "Cannot allocate memory", "out of memory")
_DISK_WORDS = ("No space left on device", "Disk quota exceeded")
_KILLED = "by a person, or by the system because memory ran out"


class NodeFailure(Model):
    """A node that failed."""

    node: str
    fingerprint: str
    exit_code: int
    cause: str
    stage: str | None
    """The stage that it was in."""
    started: float
    ended: float
    host: str
    attempts: int
    usage: Usage
    log_tail: list[str]
    """The last lines of its log."""
    command: str
    """What repeats it."""


def read_failure(path: Path) -> NodeFailure | None:
    """A node's failure; None without one, or if it is damaged."""
    return read_record(path, NodeFailure)


def make_failure(
    run: Path,
    node: Node,
    code: int,
    cause: str,
    *,
    fingerprint: str = "",
    attempts: int = 1,
    stage: str | None = None,
    started: float | None = None,
    usage: Usage | None = None,
    tail: Sequence[str] = (),
) -> NodeFailure:
    """The failure of a node that has just ended.

    run: the run folder. code: the exit code that tells its kind. fingerprint: of what was tried; empty if the node did
    not get that far. started: seconds since 1970, by default now. tail: the last lines of its log.
    """
    return NodeFailure(
        node=node.name,
        fingerprint=fingerprint,
        exit_code=int(code),
        cause=cause,
        stage=stage,
        started=time.time() if started is None else started,
        ended=time.time(),
        host=socket.gethostname(),
        attempts=attempts,
        usage=usage or Usage(cpu_s=0.0, peak_memory_bytes=0, wall_s=0.0),
        log_tail=list(tail),
        command=repeat_command(run, node.name),
    )


def attempt_number(before: NodeFailure | NodeResult | None, fingerprint: str) -> int:
    """Which try at the same work this is. before: what the last one left."""
    return 1 + (before.attempts if before and before.fingerprint == fingerprint else 0)


def tail_of(log: Path) -> list[str]:
    """The last lines of a log that have something in them; none if it cannot be read."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if line.strip()][-LOG_TAIL:]


@dataclass(frozen=True)
class Ending:
    """How the worker of a node ended that left no result."""

    code: int
    """Exit code; negative: the signal that ended it."""
    tail: Sequence[str] = ()
    """The last lines of its log."""
    said: tuple[ExitCode, str] | None = None
    """Exit code and cause, if it could tell itself."""
    limit_s: float | None = None
    """Its time limit, if it was killed for that."""
    disk_is_full: bool = False
    image: str = ""
    """The image that it ran in."""
    not_started: bool = False
    """Whether the code is that of an image that could not be started."""


def judge(ending: Ending) -> tuple[ExitCode, str]:
    """Exit code and cause of a failure: what the worker said or, if it could not, what its end tells."""
    if ending.limit_s is not None:
        return ExitCode.CASA, (
            f"it took longer than {ending.limit_s:.0f} s, so it was assumed to hang and was killed; "
            "execution.time_limit sets another limit"
        )
    exit_code, cause = ending.said or (ExitCode.INTERNAL, "")
    if ending.said and exit_code not in (ExitCode.CASA, ExitCode.INTERNAL):
        return exit_code, cause
    text = "\n".join(ending.tail)
    if ending.disk_is_full or any(word in text for word in _DISK_WORDS):
        return ExitCode.RESOURCES, f"the disk is full {cause}".strip()
    if any(word in text for word in _MEMORY_WORDS):
        return ExitCode.RESOURCES, f"out of memory {cause}".strip()
    if cause:
        return exit_code, cause
    if ending.not_started:
        last = ending.tail[-1] if ending.tail else ""
        return ExitCode.CONFIG, f"the image {ending.image} could not be started: {last}"
    code = ending.code
    if ending.image and code - 128 in set(signal.Signals):
        code = 128 - code  # the signal that ended the process in there
    if code == -signal.SIGKILL:
        return ExitCode.CASA, f"the process was killed (SIGKILL): {_KILLED}"
    if code < 0:
        return ExitCode.CASA, f"CASA aborted the process ({_signal(-code)})"
    return ExitCode.INTERNAL, f"the process ended with exit code {code} and no message"


def judge_supervisor(code: int, tail: Sequence[str], disk_is_full: bool) -> tuple[ExitCode, str]:
    """Exit code and cause for a supervisor that ended without judging its worker; code and tail as in `Ending`."""
    how = f"signal {_signal(-code)}" if code < 0 else f"exit code {code}"
    known = code in set(ExitCode) and code > 0
    cause = tail[-1] if known and tail else f"its supervisor ended with {how}"
    if disk_is_full and not any("disk is full" in line for line in tail):
        return ExitCode.RESOURCES, f"the disk is full; {cause}"
    return (ExitCode(code) if known else ExitCode.INTERNAL), cause


REMOVED = -1000
"""What DAGMan gives for a job that was removed, or could not be submitted, is this or less."""
NO_MACHINE = "no machine of the pool took it in "
"""How the cause begins for a job that was removed because it had waited for too long."""


def too_large(what: str, limit: int) -> str:
    """The cause for a job that was removed when it had used up all that the site has. what: memory or disk."""
    there = f"{limit / 1e9:.1f} GB that the site's machines have"
    return f"it needs more {what} than the {there} ({what}_limit in its profile)"


def no_machine(idle_s: float, asked: str) -> str:
    """The cause for a job that was removed when it had been idle for so long. asked: what it asks for, in words."""
    return (
        f"{NO_MACHINE}{span(idle_s)}; it asks for {asked}. Change what it asks for, or set another idle_limit in the "
        "site's profile, then retry"
    )


def cause_word(exit_code: int, cause: str) -> str:
    """The kind of a failure in a word or two, by which failures of many squares are grouped."""
    if cause.startswith(NO_MACHINE):
        return "no machine"
    if "to hang and was killed" in cause:
        return "time"
    if "removed from the queue" in cause:
        return "removed"
    if exit_code == ExitCode.RESOURCES:
        return "disk" if "disk" in cause else "memory" if "memory" in cause else "resources"
    return _WORDS.get(exit_code, "internal")


_WORDS: dict[int, str] = {
    ExitCode.CONFIG: "config",
    ExitCode.DATA: "data",
    ExitCode.RUN_FOLDER: "run folder",
    ExitCode.CHANGED: "changed",
    ExitCode.CASA: "casa",
}


def span(seconds: float) -> str:
    """A time in words, in its largest unit of which it has two or more."""
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} seconds"


def cause_of_job(code: int, tail: Sequence[str]) -> str:
    """Why a job of a pool failed that could not tell itself. code: as DAGMan gives it; tail: of its standard error."""
    if code <= REMOVED:
        return "its job was removed from the queue or could not be submitted"
    if code < 0:
        return f"its job was killed ({_signal(-code)}): {_KILLED}"
    return tail[-1] if tail else f"its job ended with exit code {code} and no message"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def repeat_command(run: Path, name: str) -> str:
    """The command line that runs a node again."""
    return shlex.join(["ccip-batch", "node", str(run), name])


def headline(failure: NodeFailure) -> str:
    """A failure in a sentence."""
    return f"{failure.node} failed in {failure.stage or 'its start'}: {failure.cause}"


def last_lines(failure: NodeFailure) -> list[str]:
    """The lines of its log that are shown, indented."""
    return [f"    {line}" for line in failure.log_tail[-SHOWN:]]


def described(failure: NodeFailure, log: Path, run: Path) -> Iterator[str]:
    """A failure for a terminal: what failed and why, the end of the log, where it is, what repeats the node.

    log: of the node. run: the run folder where it is now; the node may have run in a copy of it elsewhere.
    """
    yield headline(failure)
    yield from last_lines(failure)
    yield f"  log: {log}"
    yield f"  again: {repeat_command(run, failure.node)}"
