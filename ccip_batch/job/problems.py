"""What is wrong with a job's inputs, collected so that the user sees all of it at once."""

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
    """The option concerned, with dots (`imaging.spw`); empty if it is the file as a whole."""
    wrong: str
    """What is wrong."""
    right: str = ""
    """What would be right, or what to do."""
    kind: type[CcipError] = ConfigError
    """The class of the error if this is the only problem."""

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.where, self.key, self.wrong) if part)
        return f"{text}. {self.right}" if self.right else text


def failure(problems: Sequence[Problem]) -> CcipError:
    """One error that lists all problems: a ConfigError if one of them is, else a DataError if one is, else as found."""
    kinds = {problem.kind for problem in problems}
    kind = next((kind for kind in (ConfigError, DataError) if kind in kinds), problems[0].kind)
    if len(problems) == 1:
        return kind(str(problems[0]))
    return kind("\n".join([f"{len(problems)} problems:", *(f"  * {problem}" for problem in problems)]))


def read_text(path: Path, what: str, right: str, problems: list[Problem]) -> str | None:
    """The text of a user's file; None, with an entry in `problems`, if it cannot be read or is not text.

    what: the user's word for such a file. right: what the file should hold, for the message.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        problems.append(Problem(str(path), "", f"cannot be read ({error.strerror})", "Give a readable file."))
        return None
    if len(raw) > MAX_BYTES:
        problems.append(Problem(str(path), "", f"is larger than {MAX_BYTES} bytes, so it is not a {what}", right))
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        problems.append(Problem(str(path), "", "is not text (UTF-8)", right))
        return None


def shown(value: object) -> str:
    """A value from a file as it is shown in a message: short, whatever the value is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python refuses to write out numbers of very many digits
        return f"a very long {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
