"""What the stages that need CASA did with a finished run, in a process of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.casa_cases import found_by


@pytest.fixture(scope="session")
def stage_cases(finished: Path) -> dict[str, Any]:
    """What stage_cases.py found, by stage."""
    return found_by(Path(__file__).parent / "stage_cases.py", finished)


@pytest.fixture(scope="session")
def cutout_cases(finished: Path) -> dict[str, Any]:
    """What cutout_cases.py found: stages 8 to 10 with the whole images, and with the cutout and its margin."""
    return found_by(Path(__file__).parent / "cutout_cases.py", finished)
