"""What several tests need: a simulated job, and one that is finished."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import make_run, make_simulation


@pytest.fixture(scope="session")
def small_job() -> Path:
    """job.yaml of the simulation `small`: groups 9 (empty), 10, 12+13, 17."""
    return make_simulation("small")


@pytest.fixture(scope="session")
def finished(small_job: Path) -> Path:
    """The run folder of the simulation `small`. Tests must not change it."""
    return make_run(small_job)
