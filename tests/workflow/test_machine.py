"""What this machine has."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from ccip_batch.workflow.machine import machine_cores, machine_memory


def test_cores_are_those_that_this_process_may_use() -> None:
    one = min(os.sched_getaffinity(0))
    command = "from ccip_batch.workflow.machine import machine_cores; print(machine_cores())"
    done = subprocess.run(
        ["taskset", "-c", str(one), sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
    assert machine_cores() == len(os.sched_getaffinity(0))


def test_memory_is_no_more_than_there_is() -> None:
    assert 100e6 < machine_memory() <= psutil.virtual_memory().total
