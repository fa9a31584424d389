"""What several tests need: a simulated job, and one that is finished."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.replay import tclean_calls
from helpers.simulated_runs import make_run, make_simulation


@pytest.fixture(scope="session")
def small_job() -> Path:
    """job.yaml of the simulation `small`: groups 9 (empty), 10, 12+13, 17."""
    return make_simulation("small")


@pytest.fixture(scope="session")
def finished(small_job: Path) -> Path:
    """The run folder of the simulation `small`. Tests must not change it."""
    return make_run(small_job)


@pytest.fixture(scope="session")
def stock_calls(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The tclean calls of a plane of that run in stock CASA."""
    return tclean_calls(finished, tmp_path_factory.mktemp("stock"))


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, for a test to change."""
    return Path(shutil.copytree(finished, tmp_path / "run", symlinks=True))
