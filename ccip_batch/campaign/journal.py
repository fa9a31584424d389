"""What became of the squares of a campaign: a line for each change, written by whoever begins or ends a square.

It is small enough to be read whole: some 300 bytes a line, two or three lines a square.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from ccip_batch.errors import RunFolderError
from ccip_batch.run.folder import lock_file

State = Literal["waiting", "at work", "done", "failed"]
_STATES = get_args(State)
_WAIT_S = 60.0


@dataclass(frozen=True)
class Entry:
    """What was last heard of a square."""

    square: str
    state: State
    time: float = 0.0
    """Seconds since 1970, UTC."""
    cause: str = ""
    """Why it failed, in a word by which squares are grouped: see `run/failures.py`."""
    text: str = ""
    """Why it failed, in a sentence."""
    planes: Mapping[str, int] = field(default_factory=dict)
    """How many of its planes are in which state."""
    cpu_s: float = 0.0
    """CPU time of all its nodes, seconds."""
    products: int = 0
    """Bytes of its products."""
    left: int = 0
    """Bytes that its run folder takes now that it has ended, with products that stay in it."""


_KEYS = {one.name for one in fields(Entry)}


class Journal:
    """The journal of a campaign. One that is not there is empty."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, entries: Iterable[Entry]) -> None:
        """Add lines. They are on the disk when this returns."""
        now = time.time()
        lines = [json.dumps({**_small(entry), "time": entry.time or now}, separators=(",", ":")) for entry in entries]
        if not lines:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with lock_file(self.path.with_name(".squares.lock"), _WAIT_S) as held:
            if held is None:
                raise RunFolderError(f"{self.path} has been locked for a minute. Is a process there hanging?")
            with self.path.open("ab+") as out:
                if out.tell() > 0:
                    out.seek(-1, os.SEEK_END)
                    if out.read(1) != b"\n":  # the last line was cut off
                        out.write(b"\n")
                out.write(("\n".join(lines) + "\n").encode())
                out.flush()
                os.fsync(out.fileno())

    def read(self) -> dict[str, Entry]:
        """The last entry of each square that something is known of. Lines that are damaged are passed over."""
        last = {record["square"]: record for record in _records(self._text()) if record.keys() <= _KEYS}
        return {name: Entry(**record) for name, record in last.items()}

    def begun(self) -> float | None:
        """When the first line was written, seconds since 1970; None if there is none."""
        first = next(_records(self._text(first=True)), {})
        return first.get("time")

    def _text(self, first: bool = False) -> str:
        """Its text, or its first line."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as lines:
                return lines.readline() if first else lines.read()
        except FileNotFoundError:
            return ""
        except IsADirectoryError as error:
            raise RunFolderError(f"{self.path} is a folder, not the journal of a campaign. Move it away.") from error


def _records(text: str) -> Iterator[dict[str, Any]]:
    """The records in the lines of a text; all at once if none is damaged, which is three times as fast."""
    lines = text.split("\n")
    try:
        records = json.loads(f"[{','.join(filter(None, lines))}]")
    except ValueError:
        records = []
        for line in lines:
            with contextlib.suppress(ValueError):
                records.append(json.loads(line))
    return (record for record in records if _is_entry(record))


def _is_entry(record: object) -> bool:
    """Whether a record has what is read from all entries, as it should be."""
    if not isinstance(record, dict) or record.get("state") not in list(_STATES):
        return False
    numbers = (record.get("time", 0), record.get("cpu_s", 0), record.get("products", 0), record.get("left", 0))
    texts = (record.get("square"), record.get("cause", ""), record.get("text", ""))
    return all(isinstance(one, int | float) for one in numbers) and all(isinstance(one, str) for one in texts)


def _small(entry: Entry) -> dict[str, object]:
    """An entry without what is empty."""
    return {key: value for key, value in asdict(entry).items() if value}
