"""A coverage-guided fuzz of one reader: `python tests/hostile/fuzz.py READER [libFuzzer options]`.

It ends with another code than 0 at the first input that a reader answers with neither a value nor an error in words.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ccip_batch"]):
    from ccip_batch.engines.htcondor import dagman, event_log, state
    from ccip_batch.errors import CcipError
    from ccip_batch.job import parameter_list
    from ccip_batch.job.problems import Problem
    from ccip_batch.run.folder import RunFolder
    from ccip_batch.workflow.graph import Node

NODE = Node("image_spw02", "image", None, ())


def read_parameter_list(folder: Path, content: bytes) -> None:
    """The values, or problems, never both."""
    path = folder / "CCIP_parameter.list"
    path.write_bytes(content)
    problems: list[Problem] = []
    found = parameter_list.read(path, problems)
    assert (found is None) == bool(problems)


def read_log_text(folder: Path, content: bytes) -> None:
    """What is read from event logs without HTCondor's bindings."""
    run = RunFolder(folder)
    run.dag.mkdir(exist_ok=True)
    for name in ("jobs.log", "ccip.dag.dagman.log"):
        (run.dag / name).write_bytes(content)
    dagman.last_dag(dagman.DagFile.of(run))
    state.hold_at_removal(run, NODE)


def read_event_log(folder: Path, content: bytes) -> None:
    """Rows, or an error in words."""
    path = folder / "jobs.log"
    path.write_bytes(content)
    with contextlib.suppress(CcipError):
        event_log.read_nodes(path, path)


READERS: dict[str, Callable[[Path, bytes], None]] = {
    "parameter_list": read_parameter_list,
    "log_text": read_log_text,
    "event_log": read_event_log,
}


def main(name: str, *options: str) -> None:
    """Fuzz a reader until `-runs` says that it is enough."""
    with tempfile.TemporaryDirectory() as folder:
        atheris.Setup([sys.argv[0], *options], lambda content: READERS[name](Path(folder), content))
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
