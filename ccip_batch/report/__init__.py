"""The report: one page about a run, made at any time from its results and previews alone, without CASA.

`write` makes `report/index.html` and the files beside it; `write_without_drawing` the same in little time, with the
plots and pictures that `publish` made; `text` returns the verdict and the table of planes for a terminal.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ccip_batch.report.facts import gather
from ccip_batch.report.replacing import replace_folder
from ccip_batch.run.gathering import REPORT, report_archive
from ccip_batch.run.run import Run
from ccip_batch.run.unpacking import unpack

_MOST_BYTES = 4 << 30
"""That archive holds some 10 MB a plane; one that unpacks to more than this is something else."""


def write_to(run: Run, folder: Path) -> None:
    """Write the report of a run as it is now into a new folder. Raises as `write` does."""
    from ccip_batch.report.drawings import draw
    from ccip_batch.report.page import write_page

    folder.mkdir()
    facts = gather(run)
    write_page(facts, draw(facts, folder), folder)


def write(run: Run) -> Path:
    """Write the report of a run as it is now; returns the path of `index.html`.

    The new report replaces the old one once it is complete.
    """
    return _replace(run, lambda folder: write_to(run, folder))


def write_without_drawing(run: Run) -> Path:
    """Write the report of a run as it is now, with the plots and pictures of the one that `publish` packed.

    If `publish` is not done, the page is without them and says how they are made. Raises DataError if the packed report
    is damaged.
    """
    return _replace(run, lambda folder: _write_again(run, folder))


def _write_again(run: Run, folder: Path) -> None:
    from ccip_batch.report.drawings import read_drawings
    from ccip_batch.report.page import write_page

    packed = run.folder.products / report_archive(run.job.imagename)
    if packed.is_file() and run.is_done(run.graph["publish"]):
        unpacked = folder.with_name(f"{folder.name}.unpacked")
        shutil.rmtree(unpacked, ignore_errors=True)
        try:
            unpack(packed, unpacked, (PurePosixPath(REPORT),), _MOST_BYTES)
            (unpacked / REPORT).rename(folder)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    else:
        folder.mkdir()
    facts = gather(run)
    write_page(facts, read_drawings(facts, folder), folder)


def _replace(run: Run, make: Callable[[Path], None]) -> Path:
    replace_folder(run.folder.report, make)
    return run.folder.report / "index.html"


def text(run: Run) -> str:
    """The verdict and the table of planes."""
    from ccip_batch.report.terminal import render

    return render(gather(run))
