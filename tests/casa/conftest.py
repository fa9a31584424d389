"""What a CASA session does, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.casa_cases import found_by


@pytest.fixture(scope="session")
def session_cases(finished: Path) -> dict[str, Any]:
    """What session_cases.py found."""
    return found_by(Path(__file__).parent / "session_cases.py", finished)
