"""What is wrong with a job's input, collected so that a user sees all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ccip_batch.errors import CcipError, ConfigError, DataError


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
    is_data: bool = False
    """Whether the input data are at fault, rather than what the user wrote about them."""

    def __str__(self) -> str:
        text = ": ".join(part for part in (self.where, self.key, self.wrong) if part)
        return f"{text}. {self.right}" if self.right else text


def failure(problems: Sequence[Problem]) -> CcipError:
    """The one error that lists all problems: a DataError if only data are at fault, else a ConfigError."""
    kind = DataError if all(problem.is_data for problem in problems) else ConfigError
    if len(problems) == 1:
        return kind(str(problems[0]))
    return kind("\n".join([f"{len(problems)} problems:", *(f"  * {problem}" for problem in problems)]))
