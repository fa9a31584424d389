"""Failures of nodes."""

from __future__ import annotations

import shlex
from pathlib import Path


def repeat_command(run: Path, name: str) -> str:
    """The command line that runs a node again."""
    return shlex.join(["ccip-batch", "node", str(run), name])
