"""Real runs that did not end well: one that failed in restorepims, one that is under way with a failed plane."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ccip_batch.run.results import NodeResult
from helpers.simulated_runs import ccip_batch, link_inputs

LACKING = ("QLcatmask-tier1.mask", "phase-self-cal.tbl")
"""How the names of the resources end that are missing in the incomplete tarball."""


def failed_restore(small_job: Path, folder: Path) -> Path:
    """A run whose tarball lacks two resources; its restore node has failed. Gives its folder."""
    job = folder / "job"
    link_inputs(small_job, job)
    archive = job / "reimaging_resources.tgz"
    whole = archive.resolve()
    archive.unlink()
    with tarfile.open(whole) as source, tarfile.open(archive, "w:gz") as target:
        for member in source:
            if not member.name.split("/")[0].endswith(LACKING):
                target.addfile(member, source.extractfile(member) if member.isfile() else None)
    failed = ccip_batch("run", job / "job.yaml", "--run-dir", folder / "run")
    assert failed.returncode == 11, failed.stderr
    return folder / "run"


def failed_plane(finished: Path, folder: Path) -> Path:
    """A run of which one plane has failed (its measurement set is damaged) and another is not imaged yet."""
    run = folder / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("work", "report"), symlinks=True)
    for name in ("image_spw10", "image_spw17"):
        (run / "nodes" / name / "result.json").unlink()
        shutil.rmtree(run / "nodes" / name / "out")
    for name in ("analyze", "export_spw10", "export_spw12_13", "export_spw17", "publish"):
        shutil.rmtree(run / "nodes" / name)
    shutil.rmtree(run / "planes")
    shutil.rmtree(run / "products")
    shutil.rmtree(run / "nodes" / "restore" / "out" / "spw10.ms" / "FIELD")
    assert ccip_batch("node", run, "image_spw10").returncode != 0
    return run


@contextmanager
def under_way(finished: Path, folder: Path) -> Iterator[Path]:
    """The same run while the other plane is being imaged."""
    run = failed_plane(finished, folder)
    command = [sys.executable, "-m", "ccip_batch", "node", str(run), "image_spw17"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as node:
        try:
            previews = run / "nodes" / "image_spw17" / "work" / "out" / "previews.npz"
            while not previews.is_file() and node.poll() is None:
                time.sleep(0.2)
            assert node.poll() is None
            yield run
        finally:
            os.kill(node.pid, signal.SIGTERM)


def altered(run: Path, folder: Path, node: str, stage: str, change: Callable[[Any], None]) -> Path:
    """A copy of a run without images, logs and report, in which the result of a stage was changed in place."""
    left_out = ("*.npz", "*.log", "*.fits", "*.ms", "*.mask", "*.subim", "report", "work")
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(*left_out), symlinks=True)
    path = folder / "nodes" / node / "result.json"
    result = json.loads(path.read_text())
    change(next(record["result"] for record in result["stages"] if record["name"] == stage))
    NodeResult.model_validate(result).sealed().save(path)
    return folder
