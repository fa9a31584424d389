"""Parts of a node's work in processes of their own: their order, and what becomes of each way to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import psutil
import pytest

from ccip_batch.errors import ExitCode

HERE = Path(__file__).parent
PATHS = (str(HERE), str(HERE.parents[1]), sysconfig.get_paths()["purelib"])


ENDINGS = {
    "kill": (ExitCode.CASA, "p1: its process was killed (SIGKILL) in statwt"),
    "abort": (ExitCode.CASA, "p1: CASA aborted its process (SIGABRT) in statwt"),
    "disk": (ExitCode.RESOURCES, "p1: the disk is full"),
    "memory": (ExitCode.RESOURCES, "p1: out of memory"),
    "data": (ExitCode.DATA, "p1: the rows are not those"),
    "casa": (ExitCode.CASA, "p1: CASA task statwt failed"),
    "error": (ExitCode.INTERNAL, "p1: ValueError: not foreseen"),
}
"""How a part ends, the exit code, and what is said of it."""


def start(folder: Path, *cases: str) -> subprocess.Popen[str]:
    """Run parts.py. The processes of the parts must find it, too; they heed PYTHONPATH where the package is in it."""
    (folder / "work").mkdir()
    return subprocess.Popen(
        [sys._base_executable, str(HERE / "parts.py"), *cases],  # type: ignore[attr-defined]
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder / "work",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)},
    )


def said(folder: Path, *cases: str) -> str:
    out, _ = start(folder, *cases).communicate()
    return out


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each ending of a part, by one process after the other."""
    cases = [f"1,ok,{how}" for how in ENDINGS]
    return dict(zip(ENDINGS, said(tmp_path_factory.mktemp("parts"), *cases).splitlines(), strict=True))


def test_results_and_records_are_in_the_order_of_the_parts(tmp_path: Path) -> None:
    for at_once in (1, 3):
        folder = tmp_path / str(at_once)
        folder.mkdir()
        answers = [line.split() for line in said(folder, f"{at_once},ok,ok,ok,ok").splitlines()]
        assert [number for _, number in answers] == ["0", "1", "2", "3"]
        assert len({process for process, _ in answers}) == at_once
        recorded = (folder / "casa_commands.py").read_text().splitlines()
        assert [line for line in recorded if "statwt" in line] == [f"casatasks.statwt(vis={n})" for n in range(4)]
        assert not list((folder / "work").iterdir())


@pytest.mark.parametrize("how", ENDINGS)
def test_a_part_that_fails_is_named(told: dict[str, str], how: str) -> None:
    code, words = ENDINGS[how]
    assert told[how].startswith(f"{int(code)} {words}")


def test_a_part_that_fails_ends_the_others(tmp_path: Path) -> None:
    started = time.monotonic()
    assert said(tmp_path, "2,wait,kill_when_waiting").startswith(f"{int(ExitCode.CASA)} p1: ")
    assert time.monotonic() - started < 500  # the other one waits for longer
    (mark,) = (tmp_path / "work").glob("waiting*")
    assert not psutil.pid_exists(int(mark.name.removeprefix("waiting")))


def test_the_calls_made_before_a_failure_are_kept_the_failing_part_last(tmp_path: Path) -> None:
    assert said(tmp_path, "2,kill_when_waiting,ok,ok,wait").split()[1] == "p0:"
    recorded = (tmp_path / "casa_commands.py").read_text().splitlines()
    kept = [line for line in recorded if "statwt" in line or "#" in line]
    calls = [f"casatasks.statwt(vis={number})" for number in (1, 3, 0)]
    undone = [f"# p{number} got no further than this:" for number in (3, 0)]
    assert kept == [calls[0], undone[0], calls[1], undone[1], calls[2]]


def test_parts_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    parent = start(tmp_path, "2,wait,wait")
    while len(marks := list((tmp_path / "work").glob("waiting*"))) < 2:
        assert parent.poll() is None
        time.sleep(0.1)
    parts = [psutil.Process(int(mark.name.removeprefix("waiting"))) for mark in marks]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    gone, alive = psutil.wait_procs(parts, timeout=60)
    assert len(gone) == 2 and not alive
