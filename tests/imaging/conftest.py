"""What CASA gives, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.casa_cases import found_by


@pytest.fixture(scope="session")
def imaging_cases(finished: Path) -> dict[str, Any]:
    """What imaging_cases.py found."""
    return found_by(Path(__file__).parent / "imaging_cases.py", finished)
