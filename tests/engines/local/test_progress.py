"""What a run prints of the time that is left."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch

from ccip_batch.engines.local.progress import Progress
from ccip_batch.run.run import Run


def test_time_left_follows_a_node_that_takes_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plane that takes an hour lets the planes that wait be expected to take as long."""
    job = make_job(tmp_path / "job", "execution: {engine: htcondor, site: local}\n")
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")  # it makes a run folder without CASA
    assert done.returncode == 0, done.stderr
    run = Run.read(tmp_path / "run")
    images = [node for node in run.graph.nodes if node.kind == "image"]
    progress = Progress(run, workers=1)
    progress.changed(images[0], "running", "")
    started = time.monotonic()
    monkeypatch.setattr("ccip_batch.engines.local.progress.time.monotonic", lambda: started + 3600)
    progress.changed(images[1], "running", "")
    first, second = (_hours_to_go(line) for line in capsys.readouterr().err.splitlines())
    assert first < len(images) / 2 < len(images) - 2 < second


def _hours_to_go(line: str) -> float:
    found = re.search(r"about ([\d:]+) to go", line)
    assert found is not None, line
    seconds = 0
    for part in found[1].split(":"):
        seconds = 60 * seconds + int(part)
    return seconds / 3600
