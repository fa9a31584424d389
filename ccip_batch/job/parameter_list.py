"""Parameter lists (`SEIP_parameter.list`, `CCIP_parameter.list`): one `key = <python literal>` per line, `#` comments.

They are read as data: nothing in them is ever executed.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccip_batch.job.problems import Problem, read_text


@dataclass(frozen=True)
class ParameterList:
    """The contents of a parameter list."""

    path: Path
    values: dict[str, Any]
    """Values by key: plain Python literals."""
    lines: dict[str, int]
    """The line of each key, counted from 1."""

    def where(self, key: str = "") -> str:
        """The file, with the line of `key` if the list has it."""
        return f"{self.path}:{self.lines[key]}" if key in self.lines else str(self.path)

    def unknown(self, known: Iterable[str]) -> list[str]:
        """A warning for each key that is not among `known`."""
        names = set(known)
        return [f"{self.where(key)}: {key}: is not used here" for key in self.values if key not in names]


def read(path: Path, problems: list[Problem]) -> ParameterList | None:
    """Read a parameter list. If something is wrong, it is added to `problems` with its line, and the result is None."""
    text = read_text(path, "parameter list", _FORM, problems)
    if text is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            statements = ast.parse(text).body
    except SyntaxError as error:
        # the reason of an indented line is "unexpected indent"; of an open bracket, "'[' was never closed"
        problems.append(Problem(f"{path}:{error.lineno or 1}", "", f"syntax error, {error.msg}", _FORM))
        return None
    except (ValueError, RecursionError, MemoryError) as error:
        problems.append(Problem(str(path), "", f"cannot be read: {error}", _FORM))
        return None

    found = ParameterList(path, {}, {})
    before = len(problems)
    for statement in statements:
        _take(statement, found, problems)
    return found if len(problems) == before else None


_FORM = "Each line has the form key = value, the value a Python literal such as 'text', 0.4 or [512, 512]."


def _take(statement: ast.stmt, found: ParameterList, problems: list[Problem]) -> None:
    where = f"{found.path}:{statement.lineno}"
    target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    if not isinstance(statement, ast.Assign) or not isinstance(target, ast.Name):
        problems.append(Problem(where, "", "is not an assignment to a key", _FORM))
        return
    key = target.id
    if key in found.values:
        problems.append(Problem(where, key, f"is given twice, first on line {found.lines[key]}", "Keep one of them."))
        return
    try:
        value = ast.literal_eval(statement.value)
    except (ValueError, TypeError, RecursionError, MemoryError):
        has_call = any(isinstance(node, ast.Call) for node in ast.walk(statement.value))
        wrong = "is a call, and calls are not executed" if has_call else "is not a literal"
        problems.append(Problem(where, key, wrong, "Write the value itself: 'text', 0.4, [512, 512]."))
        return
    found.values[key] = value
    found.lines[key] = statement.lineno
