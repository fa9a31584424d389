"""`ccip-batch campaign init`, `validate` and `plan`: from a folder of PIMS to an outer DAG."""

from __future__ import annotations

import csv
import io
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from ccip_batch.campaign.config import MOST_DAGMANS, NAME, Campaign
from ccip_batch.campaign.dag import write_outer_dag
from ccip_batch.campaign.jobs import products_folder, square_job
from ccip_batch.campaign.journal import Journal
from ccip_batch.campaign.table import Square, place, read_table
from ccip_batch.errors import CcipError, ConfigError, DataError, ExitCode, RunFolderError
from ccip_batch.job.package_files import data_folder
from ccip_batch.job.problems import Problem, failure
from ccip_batch.records import write_whole
from ccip_batch.run.folder import RunFolder
from ccip_batch.verbs.campaign.queue import refuse_while_at_work
from ccip_batch.verbs.check import Findings, check_read
from ccip_batch.verbs.prepare import check_place, check_same_job
from ccip_batch.workflow.machine import machine_cores

_SHOWN = 100
"""Problems that are printed; thousands of rows may be wrong in the same way."""
_CHUNK = 50
_FILES = {
    "reimaging_resources": "reimaging_resources*.tgz",
    "seip_parameter_list": "SEIP_parameter*.list",
    "ccip_parameter_list": "CCIP_parameter*.list",
}
"""What lies beside a PIMS, by column of the table."""
_DEPTH = 4


def init(source: Path, folder: Path) -> ExitCode:
    """Write `campaign.yaml` and `campaign.csv` for all PIMS in a folder. Raises DataError if there are none."""
    for name in (NAME, "campaign.csv"):
        if (folder / name).exists():
            raise RunFolderError(f"{folder / name} exists. Give another folder with --out.")
    if not source.is_dir():
        raise DataError(f"{source} is not a folder. Name the one that the measurement sets (*.ms) are in.")
    found = sorted(_measurement_sets(source.absolute()))
    if not found:
        raise DataError(f"{source} and the folders in it have no measurement set (*.ms).")
    rows, lacking = [], []
    for vis in found:
        beside, missing = _beside(vis)
        rows.append({"name": _name_of(vis, beside.get("ccip_parameter_list")), "vis": str(vis), **beside})
        lacking += [f"{vis.parent}: {missing_one}" for missing_one in missing]
    _tell_apart(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["name", "vis", *_FILES], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "campaign.csv", text.getvalue())
    write_whole(folder / NAME, (data_folder("configs") / NAME).read_text(encoding="utf-8"))
    for line in lacking:
        click.echo(f"warning: {line}", err=True)
    click.echo(f"Wrote {folder / 'campaign.csv'} with {len(rows)} squares, and {folder / NAME}. Next: look at both,")
    click.echo(f"then: ccip-batch campaign validate {folder}")
    return ExitCode.DONE


def _measurement_sets(source: Path) -> Iterator[Path]:
    """The measurement sets below a folder; what is in one is not looked at."""
    for root, folders, _ in os.walk(source):
        for name in [name for name in folders if name.endswith(".ms")]:
            yield Path(root, name)
        deep = len(Path(root).relative_to(source).parts) >= _DEPTH
        folders[:] = [] if deep else sorted(name for name in folders if not name.endswith(".ms"))


def _beside(vis: Path) -> tuple[dict[str, str], list[str]]:
    """The other inputs in the folder of a PIMS, by column; and what is wrong with those that are not there once."""
    found, missing = {}, []
    for column, pattern in _FILES.items():
        paths = sorted(vis.parent.glob(pattern))
        if len(paths) == 1:
            found[column] = str(paths[0])
        else:
            missing.append(f"{len(paths)} files {pattern} instead of one; fill in the column {column}")
    return found, missing


def _name_of(vis: Path, parameters: str | None) -> str:
    """A square is named after its images, or else after its PIMS."""
    from ccip_batch.job.resolve import read_lists

    cube = read_lists(None, Path(parameters), []).cube if parameters else None
    return cube.imagename if cube else vis.stem


def _tell_apart(rows: Sequence[dict[str, str]]) -> None:
    """Give rows of one name the name of their folder too."""
    names = Counter(row["name"] for row in rows)
    for row in rows:
        if names[row["name"]] > 1:
            row["name"] = f"{row['name']}_{Path(row['vis']).parent.name}"


@dataclass
class _Row:
    """What was found out about a row."""

    problems: list[Problem] = field(default_factory=list)
    imagename: str = ""
    products: Path | None = None


def validate(campaign: Campaign) -> ExitCode:
    """Check every row as a job is checked, but for what is in its archive. Raises one error with all problems."""
    problems: list[Problem] = []
    table = read_table(campaign.config.table, problems)
    names: dict[str, Square] = {}
    folders: dict[Path, Square] = {}
    for square, row in zip(table.squares, _checked(campaign, table.squares), strict=True):
        problems += row.problems
        before = names.setdefault(row.imagename, square) if row.imagename else square
        if before is not square:
            wrong = f"{row.imagename} is also the image name of row {before.row} ({before.name})"
            where = place(table.path, square.row, square.name)
            right = "Their products would have the same names: correct one's parameter list."
            problems.append(Problem(where, "ccip_parameter_list", wrong, right))
        before = folders.setdefault(row.products, square) if row.products else square
        if before is not square:
            wrong = f"{row.products} is also where the products of row {before.row} ({before.name}) go"
            right = "Some of their files have the same names: write {name} in `products` of campaign.yaml."
            problems.append(Problem(str(campaign.path), "products", wrong, right))
    for warning in warnings(campaign, table.unused):
        click.echo(f"warning: {warning}", err=True)
    if problems:
        raise _failure(problems)
    click.echo(f"{campaign.path} is valid: {len(table.squares)} squares in {table.path.name}")
    return ExitCode.DONE


def warnings(campaign: Campaign, unused: Sequence[str]) -> Iterator[str]:
    """What is odd about a campaign without being wrong."""
    text = f"{campaign.config.job.get('inputs', '')} {campaign.config.products or ''}"
    idle = [name for name in unused if f"{{{name}}}" not in text]
    if idle:
        yield f"{campaign.config.table.name}: nothing uses the columns {', '.join(idle)}"
    if campaign.config.bounds.squares > MOST_DAGMANS:
        yield (
            f"bounds.squares is {campaign.config.bounds.squares}: each has a DAGMan, and most access points run no "
            f"more than {MOST_DAGMANS} of a user"
        )


def _checked(campaign: Campaign, squares: Sequence[Square]) -> Iterator[_Row]:
    """What was found out about each square, in their order."""
    chunks = [squares[i : i + _CHUNK] for i in range(0, len(squares), _CHUNK)]
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("Checking squares", total=len(squares))
        for rows in _side_by_side(campaign, chunks):
            progress.advance(bar, len(rows))
            yield from rows


def _side_by_side(campaign: Campaign, chunks: Sequence[Sequence[Square]]) -> Iterator[list[_Row]]:
    global _checking
    _checking = campaign
    if len(chunks) < 2:
        yield from map(_check_squares, chunks)
        return
    # forked, so that each has the campaign; pydantic's validators cannot be sent to another process
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C ends this process alone, which ends the others
    with multiprocessing.get_context("fork").Pool(machine_cores()) as pool:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield from pool.imap(_check_squares, chunks)


_checking: Campaign | None = None
"""The campaign whose squares are checked, for the processes that do it."""


def _check_squares(squares: Sequence[Square]) -> list[_Row]:
    assert _checking is not None
    return [_check_square(_checking, square) for square in squares]


def _check_square(campaign: Campaign, square: Square) -> _Row:
    row = _Row()
    read, _ = square_job(campaign, square, row.problems)
    found = Findings(problems=row.problems)
    check_read(read, found, archive=False)
    where = place(campaign.config.table, square.row, square.name)
    try:
        row.products = products_folder(campaign, square)
        if found.resolved is not None:
            row.imagename = found.resolved.imagename
            folder = RunFolder(campaign.folder.run(square.name, square.tile))
            check_place(folder, found.resolved)
            check_same_job(folder, found.resolved)
    except CcipError as error:
        row.problems.append(Problem(where, "", str(error).removeprefix(f"{where}: "), kind=type(error)))
    return row


def _failure(problems: Sequence[Problem]) -> CcipError:
    """One error with all problems; one that is the same in many rows, such as one of the template, is said once."""
    times = Counter(map(str, problems))
    told = [f"{text} (in {rows} rows)" if rows > 1 else text for text, rows in times.items()]
    more = [f"... and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
    kind = type(failure(problems))
    number = "1 problem" if len(told) == 1 else f"{len(told)} problems"
    return kind("\n".join([f"{number}:", *(f"  * {text}" for text in [*told[:_SHOWN], *more])]))


def plan(campaign: Campaign) -> ExitCode:
    """Write the outer DAG of all squares that are neither done nor failed. Raises ConfigError if rows are wrong."""
    problems: list[Problem] = []
    table = read_table(campaign.config.table, problems)
    if problems:
        raise _failure(problems)
    if campaign.engine != "htcondor":
        raise ConfigError(
            f"{campaign.where(('job', 'execution'))}: execution.engine must be htcondor for `plan`, with a site. "
            "On this machine: ccip-batch campaign run"
        )
    refuse_while_at_work(campaign)
    entries = Journal(campaign.folder.journal).read()
    ended = {name for name, entry in entries.items() if entry.state in ("done", "failed")}
    left = [square for square in table.squares if square.name not in ended]
    for warning in warnings(campaign, table.unused):
        click.echo(f"warning: {warning}", err=True)
    path = write_outer_dag(campaign, left)
    click.echo(f"Planned {len(left)} squares, at most {campaign.config.bounds.squares} at work at once: {path}")
    click.echo(f"Next: ccip-batch campaign submit {campaign.path.parent}")
    return ExitCode.DONE
