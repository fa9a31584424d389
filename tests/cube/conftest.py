"""The reference planes, where they are there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def case_a() -> Path:
    folder = Path(__file__).parents[3] / "shared" / "reference" / "case_a" / "expected" / "fits"
    if not folder.is_dir():
        pytest.skip("../shared/reference is not here")
    return folder
