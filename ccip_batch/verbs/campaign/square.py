"""A square of a campaign, from its turn to its end: the same in a pool and on this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

from ccip_batch.campaign.config import Campaign, CampaignFolder, load_campaign
from ccip_batch.campaign.jobs import products_folder, write_square_job
from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.campaign.products import archive_products
from ccip_batch.campaign.summary import NAME as SUMMARY
from ccip_batch.campaign.summary import read_summary, summarize
from ccip_batch.campaign.table import RowError, Square, find_square
from ccip_batch.campaign.table import place as table_place
from ccip_batch.campaign.turn import LOOK_S, end_turn, take_disk, turn, wait_for_disk
from ccip_batch.engines.htcondor.staging import PLACE, place_of
from ccip_batch.errors import CcipError, DataError, ExitCode, says_disk_is_full
from ccip_batch.run.cleaning import bad_products, remove_nodes, tidy
from ccip_batch.run.failures import cause_word, headline
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.run import Run
from ccip_batch.verbs.check import check
from ccip_batch.verbs.plan import plan
from ccip_batch.verbs.prepare import disk_needed

Read = TypeVar("Read")

LOCAL = "execution.engine=local"
"""How a square is run on this machine, whatever the campaign says."""


def begin_in_pool(path: Path, name: str, tile: str) -> None:
    """Wait until it is a square's turn, and plan it. If that cannot be, it has failed; the error is raised.

    path: the folder of the campaign. What that and the row say is read when the turn has come.
    """
    folder = CampaignFolder(path)
    place = folder.run(name, tile)
    with failing(folder, name, tile), turn(patiently(path, lambda: load_campaign(path)), name):
        campaign, square = patiently(path, lambda: _planned_square(path, name, tile))
        bounds = campaign.config.bounds
        job = write_square_job(campaign, square)
        for rescue in (place / "dag").glob("*.rescue*"):
            rescue.unlink()  # what needs not be repeated, the PRE scripts of nodes find out
        _begin_anew(RunFolder(place))
        run = plan(job, (), place, most_jobs=max(1, bounds.nodes // bounds.squares), look=False)
        wait_for_disk(campaign, name, disk_needed(run.job))
        Journal(folder.journal).write([Entry(name, "at work")])


def patiently(path: Path, read: Callable[[], Read], look_s: float = LOOK_S) -> Read:
    """What `read` gives, as soon as the campaign can be read: it may just be edited, or its disk be away for a while.

    That is no fault of the square whose turn it is. path: the folder of the campaign; if that is gone, or if the row of
    the square is wrong, the error is raised at once.
    """
    said = ""
    while True:
        try:
            return read()
        except (CcipError, OSError) as error:
            if isinstance(error, RowError) or not path.is_dir():
                raise
            if str(error) != said:
                said = str(error)
                click.echo(f"waits until the campaign can be read: {said}", err=True)
        time.sleep(look_s)


def _planned_square(path: Path, name: str, tile: str) -> tuple[Campaign, Square]:
    """A campaign and a square of its outer DAG, as its row is now. Raises RowError if that is gone or does not fit."""
    campaign = load_campaign(path)
    square = find_square(campaign.config.table, name)
    if square.tile != tile:
        where = table_place(campaign.config.table, square.row, name)
        raise RowError(
            f"{where}: tile: it is {square.tile} now, and was {tile} when the DAG was planned, which names its folder. "
            f"Write {tile} again; or, when nothing is in the queue, move its folder to the new tile and retry it."
        )
    return campaign, square


def begin_here(campaign: Campaign, square: Square) -> Path | None:
    """Make a square ready to run on this machine; gives its job config, or None if there is no disk for it now.

    If it cannot be run, it has failed; the error is raised.
    """
    with failing(campaign.folder, square.name, square.tile):
        job = write_square_job(campaign, square)
        _begin_anew(RunFolder(campaign.folder.run(square.name, square.tile)))
        found = check(job, [LOCAL])
        found.raise_if_wrong()
        assert found.resolved is not None
        if not take_disk(campaign, square.name, disk_needed(found.resolved)):
            return None
        Journal(campaign.folder.journal).write([Entry(square.name, "at work")])
        return job


def _begin_anew(folder: RunFolder) -> None:
    """Of a square that was done and tidied, everything is made again; its products stay where they are until then."""
    if folder.tidied.exists():
        remove_nodes(folder, place_of(folder))  # it may have been cut off
        if folder.products.is_symlink() and not _is_staged(folder):
            folder.products.unlink()
        folder.tidied.unlink()


def _is_staged(folder: RunFolder) -> bool:
    """Whether the products are at the place that the run folder has for what is large."""
    return folder.products.resolve().parent == place_of(folder).resolve()


def end_in_pool(path: Path, name: str, tile: str, code: int) -> int:
    """As `end`, of a square of the outer DAG. path: the folder of the campaign."""
    with failing(CampaignFolder(path), name, tile):
        _end(*patiently(path, lambda: _planned_square(path, name, tile)), code)
    return code


def end(campaign: Campaign, square: Square, code: int) -> None:
    """When a square has ended: take its products where they go, tidy up, and note what became of it.

    code: 0 if its nodes are all done, otherwise what the engine gave. If that cannot be, it has failed; the error is
    raised.
    """
    with failing(campaign.folder, square.name, square.tile):
        _end(campaign, square, code)


def _end(campaign: Campaign, square: Square, code: int) -> None:
    run = Run.read(campaign.folder.run(square.name, square.tile))
    cause, text = _why(run, code) if code else ("", "")
    if code:
        _sum_up(square, run, "failed", cause, run.folder.products)
    else:
        _finish(campaign, square, run)
    _note(campaign, square, run, cause, text)
    end_turn(campaign.folder, square.name)


def _why(run: Run, code: int) -> tuple[str, str]:
    """Why a square failed: in a word, and in a sentence."""
    failure = next((found for node in run.graph.nodes if (found := run.failure(node))), None)
    if failure is not None:
        return cause_word(failure.exit_code, failure.cause), headline(failure)
    return "removed", f"it was stopped, or removed from the queue, before its end (exit code {code})"


@contextmanager
def failing(folder: CampaignFolder, name: str, tile: str) -> Iterator[None]:
    """Note an error within as the failure of a square, which is then no longer at work; it is raised again."""
    try:
        yield
    except Exception as error:
        full = says_disk_is_full(error)
        foreign = ExitCode.RESOURCES if full or isinstance(error, OSError) else ExitCode.INTERNAL
        code = error.exit_code if isinstance(error, CcipError) else foreign
        text = str(error) or type(error).__name__
        word = "disk" if full else cause_word(code, text)
        left = RunFolder(folder.run(name, tile)).disk_taken()
        try:
            Journal(folder.journal).write([Entry(name, "failed", cause=word, text=text, left=left)])
        finally:
            end_turn(folder, name)
        raise


def _finish(campaign: Campaign, square: Square, run: Run) -> None:
    """Verify the products of a square that is done, put them where they go, tidy the run folder."""
    folder, keep = run.folder, campaign.config.keep
    if folder.tidied.exists():  # this was cut off before its last line
        noted = read_summary(folder.path)
        _tidy(run, Path(noted.products) if noted else None, with_report=keep != "summary")
        return
    bad = bad_products(run, read=False)  # sizes: the end of the run has compared checksums, where that may be done
    if bad:
        raise DataError(
            f"products have changed since they were written: {', '.join(bad)}. They are made again by a retry."
        )
    target = products_folder(campaign, square)
    if target is not None:
        archive_products(run, target)
    _sum_up(square, run, "done", "", target or folder.products)
    if keep != "all":
        _tidy(run, target, with_report=keep == "report")


def _tidy(run: Run, products: Path | None, *, with_report: bool) -> None:
    """Tidy a run folder, and the place that it may have elsewhere for what is large. products: where they are too."""
    place = place_of(run.folder)
    stays = products is None or products.resolve().parent == place.resolve()
    tidy(run, place, None if stays else products, with_report=with_report, kept=[PLACE] if stays else [])
    if not stays and place != run.folder.path:
        shutil.rmtree(place, ignore_errors=True)


def _sum_up(square: Square, run: Run, state: str, cause: str, products: Path) -> None:
    """Write the summary of a square that has ended. products: the folder that they are in from now on."""
    where, now = products.resolve(), time.time()
    summary = summarize(run, square.name, square.tile, state=state, cause=cause, products=where, ended=now)
    summary.save(run.folder.path / SUMMARY)


def _note(campaign: Campaign, square: Square, run: Run, cause: str, text: str) -> None:
    """Write the line in the journal of a square that has ended and was summed up."""
    noted, left = read_summary(run.folder.path), run.folder.disk_taken()
    entry = Entry(square.name, "failed" if cause else "done", time.time(), cause, text, left=left)
    if noted is not None:
        entry = replace(entry, planes=noted.counts(), cpu_s=noted.cpu_s, products=noted.products_bytes)
    Journal(campaign.folder.journal).write([entry])
