"""The submit descriptions of a planned run as HTCondor's submit library reads them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

htcondor2 = pytest.importorskip("htcondor2")
classad2 = pytest.importorskip("classad2")


def variables(dag: Path, node: str) -> dict[str, str]:
    """What ccip.dag gives a node through VARS."""
    line = re.search(rf"^VARS {node} (.*)$", (dag / "ccip.dag").read_text(), re.MULTILINE)
    assert line is not None
    return dict(word.split("=", 1) for word in shlex.split(line[1]))


def description(dag: Path, node: str) -> Any:
    """The submit description of a node; the bindings do not follow its includes, so they are put in here."""
    given = variables(dag, node)
    text = "".join(f"{name} = {value}\n" for name, value in given.items())
    return htcondor2.Submit(text + _with_includes(dag, f"{node.partition('_')[0]}.sub", given))


def _with_includes(dag: Path, name: str, given: dict[str, str]) -> str:
    text = (dag / name.replace("$(node)", given["node"])).read_text()
    return re.sub(r"^\s*include : (.*)$", lambda found: _with_includes(dag, found[1], given), text, flags=re.MULTILINE)


def value(dag: Path, node: str, command: str, **job: object) -> Any:
    """What an expression of a node's job gives when the job has these attributes."""
    ad = classad2.ClassAd({"JobStatus": 1, "EnteredCurrentStatus": 0, "NumHolds": 0, "NumJobStarts": 0, **job})
    expression = description(dag, node).expand(command)
    return classad2.ExprTree(expression).eval(ad)
