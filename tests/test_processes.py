"""Processes that end with their parents, and what else a node sets for itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ccip_batch.processes import CORES_VARIABLE, PARENT_VARIABLE, STANDARD_INPUT, child_environment, cores

CHILD = """
import os, time
from ccip_batch import processes
processes.die_with_parent()
print(os.getpid(), processes.PARENT_VARIABLE in os.environ, flush=True)
time.sleep(600)
"""
PARENT = f"""
import subprocess, sys, time
from ccip_batch import processes
subprocess.Popen([sys.executable, "-c", {CHILD!r}], env=processes.child_environment())
time.sleep(600)
"""


def has_ended(pid: int) -> bool:
    """Whether a process is gone within half a minute; a zombie counts as gone."""
    for _ in range(600):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, in_environment = parent.stdout.readline().split()
        parent.kill()
        ended = has_ended(int(pid))
        if not ended:
            os.kill(int(pid), signal.SIGKILL)
        assert ended
        assert in_environment == "False"  # children of the child must not take it for their own


def test_a_child_whose_parent_has_ended_before_ends_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], env={**os.environ, PARENT_VARIABLE: "1"}, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_a_child_ends_when_its_standard_input_is_closed() -> None:
    environment = {**os.environ, PARENT_VARIABLE: STANDARD_INPUT}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", CHILD], env=environment, text=True, **pipes) as child:  # type: ignore[call-overload]
        try:
            assert child.stdout.readline()
            assert child.poll() is None
            child.stdin.close()
            assert child.wait(timeout=30) == -signal.SIGIO
        finally:
            child.kill()


def test_a_process_that_nobody_asked_goes_on() -> None:
    code = "from ccip_batch import processes; processes.die_with_parent(); print('still here')"
    environment = {key: value for key, value in os.environ.items() if key != PARENT_VARIABLE}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "still here\n"


def test_the_environment_of_a_child_names_this_process() -> None:
    assert child_environment()[PARENT_VARIABLE] == str(os.getpid())


@pytest.mark.parametrize(("value", "number"), [(None, 1), ("", 1), ("0", 1), ("1", 1), ("4", 4), ("many", 1)])
def test_cores(value: str | None, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CORES_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(CORES_VARIABLE, value)
    assert cores() == number


@pytest.mark.parametrize(("umask", "kept"), [(0o000, 0o002), (0o020, 0o022), (0o077, 0o077)])
def test_nobody_else_may_write_and_a_stricter_umask_stays(umask: int, kept: int) -> None:
    code = "import os; from ccip_batch import processes; processes.keep_others_from_writing(); print(os.umask(0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, umask=umask)
    assert int(done.stdout) == kept


def test_a_process_that_yields_is_the_last_to_get_processors_and_disks() -> None:
    code = "import os, psutil; from ccip_batch import processes; before = os.nice(0); processes.yield_to_others();"
    code += "print(os.nice(0) - before if before < 10 else 10, psutil.Process().ionice().value)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["10", "7"]
