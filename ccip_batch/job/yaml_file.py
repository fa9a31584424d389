"""A YAML file that knows the line of each of its keys, and takes overrides from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ccip_batch.job.problems import Problem, read_text, shown
from ccip_batch.job.yaml_values import Loader, construct, surprise

_BEGIN = "Begin with `inputs:` and the paths of the input files."
_FORM = "Write KEY.SUB=VALUE, such as imaging.iter3.nsigma=5."

Location = tuple[int | str, ...]


class YamlFile:
    """Content of a YAML file whose top level is a mapping."""

    def __init__(self, path: Path, data: dict[str, Any], lines: dict[Location, int]) -> None:
        self.path = path
        self.data = data
        self._lines = lines
        self._overridden: set[Location] = set()

    @classmethod
    def read(
        cls, path: Path, problems: list[Problem], what: str = "job config", right: str = _BEGIN
    ) -> YamlFile | None:
        """Read a file. If something is wrong with it, that is added to `problems` and the result is None.

        what: the user's word for such a file. right: what it should hold, for the message.
        """
        text = read_text(path, what, right, problems)
        return None if text is None else cls._parse(path, text, problems, right)

    @classmethod
    def _parse(cls, path: Path, text: str, problems: list[Problem], right: str) -> YamlFile | None:
        try:
            node = yaml.compose(text, Loader=Loader)
            if not isinstance(node, yaml.MappingNode):
                wrong = "is empty" if node is None else "is not a mapping of keys"
                problems.append(Problem(str(path) if node is None else f"{path}:1", "", wrong, right))
                return None
            before = len(problems)
            walk = _Walk(str(path), problems)
            walk.visit(node, ())
            return cls(path, construct(node), walk.lines) if len(problems) == before else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{path}:{mark.line + 1}" if mark else str(path)
            problems.append(
                Problem(where, "", f"is not valid YAML: {error.problem or error.context}", "Correct the syntax.")
            )
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            problems.append(Problem(str(path), "", f"is not valid YAML: {error}", "Correct the syntax."))
        return None

    def where(self, loc: Location) -> str:
        """The place of a key or of the nearest section around it: `file:line`, or `command line`."""
        if any(loc[: len(key)] == key for key in self._overridden):
            return "command line"
        if loc and loc not in self._lines and any(key[: len(loc)] == loc for key in self._overridden):
            return "command line"
        for length in range(len(loc), 0, -1):
            if loc[:length] in self._lines:
                return f"{self.path}:{self._lines[loc[:length]]}"
        return str(self.path)

    def override(self, text: str, problems: list[Problem]) -> None:
        """Set a key from `KEY.SUB=VALUE`. What is wrong with it is added to `problems`."""
        key, equals, value = text.partition("=")
        names = key.strip().split(".")
        if not equals or not all(names):
            problems.append(Problem("command line", "", f"{text!r} sets no key", _FORM))
            return
        before = len(problems)
        parsed = read_value(value, Problem("command line", key.strip(), "", _FORM), problems)
        if len(problems) > before:
            return
        section = self.data
        for name in names[:-1]:
            if section.get(name) is None:
                section[name] = {}
            inner = section[name]
            if not isinstance(inner, dict):
                problems.append(Problem("command line", key, f"{name} is not a section", _FORM))
                return
            section = inner
        section[names[-1]] = parsed
        self._overridden.add(tuple(names))


def read_value(text: str, about: Problem, problems: list[Problem]) -> Any:
    """The value that a piece of YAML stands for, by the rules of a file. What is wrong is added to `problems`.

    about: the place and the key that have the value, and what to write if it is no YAML.
    """
    try:
        node = yaml.compose(text, Loader=Loader)
        if node is None:
            return None
        before = len(problems)
        _Walk(about.where, problems, lines=False).visit(node, tuple(about.key.split(".")))
        return construct(node) if len(problems) == before else None
    except (yaml.YAMLError, ValueError, RecursionError):
        problems.append(Problem(about.where, about.key, f"{shown(text)} is not a valid YAML value", about.right))
        return None


class _Walk:
    """Goes through a document: notes the line of each key, and complains of what would be read otherwise than meant:
    keys given twice, aliases, tags, numbers that are not decimal."""

    def __init__(self, where: str, problems: list[Problem], *, lines: bool = True) -> None:
        """where: the file, or another place. lines: whether lines of it are told."""
        self.lines: dict[Location, int] = {}
        self._where = where
        self._has_lines = lines
        self._problems = problems
        self._seen: set[int] = set()

    def visit(self, node: yaml.Node, loc: Location) -> None:
        """Visit a node and all that is in it. loc: where in the document it is."""
        if id(node) in self._seen:  # such a file needs no aliases
            self._complain(node, "", "is used again through an alias", "Write the value out.")
            return
        self._seen.add(id(node))
        if found := surprise(node):
            self._complain(node, _dotted(loc), *found)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*loc, index))
        elif isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, loc)

    def _visit_mapping(self, node: yaml.MappingNode, loc: Location) -> None:
        names: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                what = f"{key.value[:60]!r}" if isinstance(key, yaml.ScalarNode) else "a list or a section"
                self._complain(key, "", f"{what} is not a key", "Keys are plain words.")
                continue
            name = (*loc, key.value)
            if key.value in names:
                first = f", first on line {names[key.value]}" if self._has_lines else ""
                self._complain(key, _dotted(name), f"is given twice{first}", "Keep one.")
            names[key.value] = self.lines[name] = key.start_mark.line + 1
            self.visit(value, name)

    def _complain(self, node: yaml.Node, key: str, wrong: str, right: str) -> None:
        where = f"{self._where}:{node.start_mark.line + 1}" if self._has_lines else self._where
        self._problems.append(Problem(where, key, wrong, right))


def _dotted(loc: Location) -> str:
    return ".".join(str(part) for part in loc)
