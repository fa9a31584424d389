"""A finished run that a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, without what only helps debugging."""
    shutil.copytree(finished, tmp_path / "run", symlinks=True, ignore=shutil.ignore_patterns("work", "casa_home"))
    return tmp_path / "run"
