"""What several tests need: a simulated job, and one that is finished."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from helpers.simulated_runs import make_run, make_simulation


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Processes for `-n auto`: one more than there are cores, because tests also wait."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that run jobs come first, then those that look at a finished one, so that no long test is among the last.

    The process that gets them makes that one, while the others begin with what does not need it.
    """

    def files_with(*fixtures: str) -> set[Path]:
        return {item.path for item in items if set(fixtures) & set(getattr(item, "fixturenames", ()))}

    run, look = files_with("copy"), files_with("finished", "small_job")
    items.sort(key=lambda item: (item.path not in run, item.path not in look))


@pytest.fixture(scope="session")
def small_job() -> Path:
    """job.yaml of the simulation `small`: groups 9 (empty), 10, 12+13, 17."""
    return make_simulation("small")


@pytest.fixture(scope="session")
def finished(small_job: Path) -> Path:
    """The run folder of the simulation `small`. Tests must not change it."""
    return make_run(small_job)


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, for a test to change. CASA's own images, most of its files, are left out."""
    left_out = shutil.ignore_patterns("work", "casa_home")
    return Path(shutil.copytree(finished, tmp_path / "run", symlinks=True, ignore=left_out))
