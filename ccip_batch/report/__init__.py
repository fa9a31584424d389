"""The report: one page about a run, made at any time from its results and previews alone, without CASA.

`write` makes `report/index.html` and the files beside it; `text` returns the verdict and the table of planes
for a terminal.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ccip_batch.report.facts import gather
from ccip_batch.run.run import Run


def write_to(run: Run, folder: Path) -> None:
    """Write the report of a run as it is now into a new folder. Raises as `write` does."""
    from ccip_batch.report.page import write_page

    folder.mkdir()
    write_page(gather(run), folder)


def write(run: Run) -> Path:
    """Write the report of a run as it is now; returns the path of `index.html`.

    The new report replaces the old one once it is complete.
    """
    partial = run.folder.path / f".report.{os.getpid()}.part"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_to(run, partial)
        _put(partial, run.folder.report)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return run.folder.report / "index.html"


def _put(new: Path, place: Path) -> None:
    """Rename a folder into place; the old one is moved aside first and then removed."""
    old = place.with_name(f".{place.name}.{os.getpid()}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def text(run: Run) -> str:
    """The verdict and the table of planes."""
    from ccip_batch.report.terminal import render

    return render(gather(run))
