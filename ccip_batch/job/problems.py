"""What is wrong with a job's input, collected so that a user sees all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccip_batch.errors import CcipError, ConfigError, DataError

MAX_BYTES = 1_000_000
"""Job configs, parameter lists and flag commands have a few kB; a file larger than this is something else."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where it is, and what would be right."""

    where: str
    """The file (with `:line` where one is known), or `command line`."""
    key: str
    """The option or item it is about, dotted (`imaging.spw`); empty if it is about the file as a whole."""
    wrong: str
    """What is wrong."""
    right: str = ""
    """What is right, or what to do."""
    kind: type[CcipError] = ConfigError
    """The error that it is when it stands alone."""

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.where, self.key, self.wrong) if part)
        return f"{text}. {self.right}" if self.right else text


def failure(problems: Sequence[Problem]) -> CcipError:
    """The one error that lists all problems. Its class: ConfigError before DataError before all others."""
    kinds = {problem.kind for problem in problems}
    kind = next((kind for kind in (ConfigError, DataError) if kind in kinds), problems[0].kind)
    if len(problems) == 1:
        return kind(str(problems[0]))
    return kind("\n".join([f"{len(problems)} problems:", *(f"  * {problem}" for problem in problems)]))


def read_text(path: Path, what: str, right: str, problems: list[Problem]) -> str | None:
    """The text of a file of the user, who calls it `what`; if it is none, that is added to `problems`, with `right`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        problems.append(Problem(str(path), "", f"cannot be read ({error.strerror})", "Give a readable file."))
        return None
    if len(raw) > MAX_BYTES:
        problems.append(Problem(str(path), "", f"is larger than {MAX_BYTES} bytes: no {what}", right))
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        problems.append(Problem(str(path), "", "is not text (UTF-8)", right))
        return None


def shown(value: object) -> str:
    """A value from a file as it may stand in a message: short, and whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python refuses to write out numbers of very many digits
        return f"a very long {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
