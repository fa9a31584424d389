"""The jobs of a node: what its PRE script decides for the next one, and what its POST script saw of the last one.

The former are lines of the submit description, which includes them.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccip_batch.records import write_whole
from ccip_batch.run.run import Run

ATTEMPTS = "attempts"
"""Their folder in dag/, a file a node."""


@dataclass(frozen=True)
class Attempt:
    """A job of a node."""

    skip: bool = False
    """Whether it ends in the queue before it starts: the node need not run."""
    more: int = 0
    """How often what it asks of memory and disk is doubled."""
    name: str = "none"
    """Part of the names of its tars: no two jobs have the same, as a pool's caches may keep what once had a name."""

    @classmethod
    def now(cls, skip: bool, more: int) -> Attempt:
        """One that begins now."""
        return cls(skip, more, f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}")


def write_attempt(run: Run, node: str, attempt: Attempt) -> None:
    """Write it for the submit description. The log of a job that is skipped is another one: nothing happened."""
    text = f"noop_job = {str(attempt.skip).lower()}\nmore = {attempt.more}\nattempt = {attempt.name}\n"
    write_whole(_file(run, node), text + (f"log = {ATTEMPTS}/skipped.log\n" if attempt.skip else ""))


def read_attempt(run: Run, node: str) -> Attempt:
    """A node's last one; as if there had been none, if that is not known."""
    try:
        values = dict(re.findall(r"^(\w+) = (.*)$", _file(run, node).read_text(encoding="utf-8"), re.MULTILINE))
        return Attempt(values["noop_job"] == "true", int(values["more"]), values["attempt"])
    except (OSError, ValueError, KeyError):
        return Attempt()


def note_moved(run: Run, node: str, sizes: tuple[int, int]) -> None:
    """Keep the sizes of the tars that a node's last job got and gave: HTCondor does not count what goes by URL."""
    write_whole(run.folder.dag / ATTEMPTS / f"{node}.moved", "{} {}\n".format(*sizes))


def read_moved(run: Run, node: str) -> tuple[int, int] | None:
    """These sizes, bytes; None before the first job has ended."""
    try:
        to_it, back = map(int, (run.folder.dag / ATTEMPTS / f"{node}.moved").read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        return None
    return to_it, back


def _file(run: Run, node: str) -> Path:
    return run.folder.dag / ATTEMPTS / f"{node}.sub"
