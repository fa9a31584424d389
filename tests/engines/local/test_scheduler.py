"""The local engine: memory, signals, supervisors that are killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.finished_runs import forget, pixel_sums, wait_for, worker_of
from helpers.simulated_runs import ccip_batch


def test_stopped_by_the_user_it_goes_on(small_job: Path, finished: Path, copy: Path) -> None:
    forget(copy, "export_spw17", "publish")
    command = [sys.executable, "-m", "ccip_batch", "run", str(small_job), "--run-dir", str(copy)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (copy / "nodes" / "export_spw17" / "progress.json").exists())
    worker = worker_of(copy, "export_spw17")
    first.send_signal(signal.SIGTERM)
    assert first.wait() == 130
    wait_for(lambda: not Path(f"/proc/{worker}").exists())
    assert ccip_batch("run", small_job, "--run-dir", copy).returncode == 0
    assert pixel_sums(copy / "products") == pixel_sums(finished / "products")


def test_a_supervisor_that_is_killed_is_told(small_job: Path, finished: Path, copy: Path) -> None:
    """And the worker, which dies with it."""
    forget(copy, "export_spw17", "publish")
    command = [sys.executable, "-m", "ccip_batch", "run", str(small_job), "--run-dir", str(copy)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (copy / "nodes" / "export_spw17" / "progress.json").exists())
    status = Path(f"/proc/{worker_of(copy, 'export_spw17')}/status").read_text()
    supervisor = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid"))
    subprocess.run(["kill", "-9", supervisor], check=True)
    _, told = first.communicate()
    assert first.returncode == 20
    assert "export_spw17" in told and "SIGKILL" in told and "ccip-batch node" in told
    rows = {row["node"]: row["state"] for row in json.loads(ccip_batch("status", copy, "--json").stdout)}
    assert rows["export_spw17"] == "failed"
    assert ccip_batch("run", small_job, "--run-dir", copy).returncode == 0
    assert pixel_sums(copy / "products") == pixel_sums(finished / "products")


@pytest.mark.parametrize("options", [["imaging.imsize=2000", "execution.memory=1 GB"], ["execution.memory=200 MB"]])
def test_not_enough_memory(small_job: Path, tmp_path: Path, options: list[str]) -> None:
    given = [word for option in options for word in ("--set", option)]
    done = ccip_batch("run", small_job, "--run-dir", tmp_path / "run", *given)
    assert done.returncode == 30
    assert "GB of memory" in done.stderr
