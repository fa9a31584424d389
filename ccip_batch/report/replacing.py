"""A folder that appears under its name only when it is complete, in the place of an older one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def replace_folder(place: Path, make: Callable[[Path], None]) -> None:
    """Let `make` write a folder at the path that it gets; then put it where it belongs."""
    partial = place.with_name(f".{place.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        make(partial)
        _put(partial, place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put(new: Path, place: Path) -> None:
    """Rename a folder into place; the old one is moved aside first and then removed."""
    old = place.with_name(f".{place.name}.{os.getpid()}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)
