"""The runs that reports are made of."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.report_page import Page
from helpers.report_runs import failed_plane, failed_restore
from helpers.simulated_runs import made_once

from ccip_batch.report.facts import RunFacts, gather
from ccip_batch.run.run import Run


@pytest.fixture(scope="session")
def facts(finished: Path) -> RunFacts:
    """The facts of the finished run."""
    return gather(Run.read(finished))


@pytest.fixture(scope="session")
def run(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run without images, with a report that was made where CASA cannot be imported."""
    copy = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(finished, copy, ignore=shutil.ignore_patterns("work", "*.ms", "*.mask", "*.subim", "report"))
    for node in ("restore", *(path.name for path in copy.glob("nodes/image_*"))):
        (copy / "nodes" / node / "cleaned").touch()
    program = (
        "import sys; sys.modules['casatools'] = sys.modules['casatasks'] = None\n"
        "from ccip_batch.cli import main; main(['report', sys.argv[1]])"
    )
    done = subprocess.run([sys.executable, "-c", program, copy], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(copy / "report" / "index.html")
    return copy


@pytest.fixture(scope="session")
def page(run: Path) -> Page:
    """The page of that report."""
    return Page(run / "report" / "index.html")


@pytest.fixture(scope="session")
def failed_run(small_job: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose restore node has failed, because two resources are missing."""
    return made_once("failed", tmp_path_factory.getbasetemp(), lambda folder: failed_restore(small_job, folder))


@pytest.fixture(scope="session")
def failed(failed_run: Path) -> RunFacts:
    """Its facts."""
    return gather(Run.read(failed_run))


@pytest.fixture(scope="session")
def stopped(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFacts:
    """The facts of a run that was stopped: a plane has failed, another is not imaged yet."""
    run = made_once("stopped", tmp_path_factory.getbasetemp(), lambda folder: failed_plane(finished, folder))
    return gather(Run.read(run))
