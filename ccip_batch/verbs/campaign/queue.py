"""The outer DAGs of a campaign in a pool: submit, cancel, resume, retry; and how many squares they may begin."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ccip_batch.campaign.config import Campaign, CampaignFolder
from ccip_batch.campaign.dag import OUTER, write_outer_dag
from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.campaign.state import CampaignState, read_state
from ccip_batch.campaign.table import Square
from ccip_batch.campaign.turn import others_at_work
from ccip_batch.engines.htcondor.dagman import (
    DagFile,
    is_in_queue,
    last_dag,
    remove_dag,
    submit_dag,
    wait_for_removal,
)
from ccip_batch.errors import CcipError, ConfigError, ExitCode, RunFolderError
from ccip_batch.records import write_whole
from ccip_batch.run.folder import RunFolder, is_locked, lock_file

_LOOKS_S = 1.0
"""Who only looks whether somebody is at work has the lock for a moment."""
_RETRY = "retry-{:03d}.dag"


def outer_dags(folder: CampaignFolder) -> list[DagFile]:
    """The outer DAGs that were submitted once."""
    logs = sorted(folder.dag.glob("*.dag.dagman.log"))
    return [DagFile(folder.dag, path.name.removesuffix(".dagman.log")) for path in logs]


def dags_in_queue(folder: CampaignFolder) -> list[DagFile]:
    """Those of them that are in the queue, as far as their logs tell, or the queue itself if it answers."""
    return [dag for dag in outer_dags(folder) if is_in_queue(dag)]


def _wait_for_removals(folder: CampaignFolder) -> None:
    for dag in outer_dags(folder):
        wait_for_removal(dag)


def is_run_here(folder: CampaignFolder) -> bool:
    """Whether `campaign run` is at work."""
    lock = folder.dag / ".run.lock"
    return lock.exists() and is_locked(lock)


@contextmanager
def run_here(folder: CampaignFolder) -> Iterator[None]:
    """Keep everybody else from working on a campaign. Raises RunFolderError if somebody does.

    DAGs that are being removed are waited for.
    """
    folder.dag.mkdir(parents=True, exist_ok=True)
    _wait_for_removals(folder)
    with lock_file(folder.dag / ".run.lock", _LOOKS_S) as held:
        if held is None:
            raise RunFolderError(f"`campaign run` is at work in {folder.path} already. Wait for it, or stop it.")
        alive = dags_in_queue(folder)
        if alive:
            raise RunFolderError(
                f"{alive[0].path} is in the queue. Wait for its end, or `ccip-batch campaign cancel` it."
            )
        yield


def refuse_while_at_work(campaign: Campaign) -> None:
    """Raise RunFolderError if something works on a campaign."""
    with run_here(campaign.folder):
        pass


def state_of(campaign: Campaign) -> CampaignState:
    """How a campaign stands, and whether something works on it."""
    return read_state(campaign, is_run_here(campaign.folder) or bool(dags_in_queue(campaign.folder)))


def submit(campaign: Campaign) -> ExitCode:
    """Submit all squares that have neither been done nor failed: at first, and to go on."""
    if not (campaign.folder.dag / OUTER).is_file():
        raise RunFolderError(f"{campaign.path.parent} is not planned. Give `ccip-batch campaign plan` first.")
    with run_here(campaign.folder):
        state = read_state(campaign, alive=False)
        squares = state.squares_in("waiting", "stopped")
        if state.problems:
            click.echo(f"warning: {len(state.problems)} rows are wrong and left out: validate names them", err=True)
        if not squares:
            failed = state.counts["failed"]
            more = f"; {failed} failed: `ccip-batch campaign explain`, then `retry`" if failed else ""
            click.echo(f"No square is left to do{more}.")
            return ExitCode.DONE
        forget_turns(state)
        _submit(campaign, squares, OUTER)
    return ExitCode.DONE


def forget_turns(state: CampaignState) -> None:
    """Nothing is at work: what was has been stopped, and waits again."""
    folder = state.campaign.folder
    for note in others_at_work(folder):
        note.unlink()
    _wait_again(state, state.squares_in("stopped"))


def _wait_again(state: CampaignState, squares: Sequence[Square]) -> None:
    """Squares wait; what is in their run folders counts until they are begun."""
    folder = state.campaign.folder
    runs = {one.name: RunFolder(folder.run(one.name, one.tile)) for one in squares}
    entries = [Entry(name, "waiting", left=run.disk_taken()) for name, run in runs.items()]
    Journal(folder.journal).write(entries)


def _submit(campaign: Campaign, squares: Sequence[Square], name: str) -> None:
    write_outer_dag(campaign, squares, name)
    cluster = submit_dag(DagFile(campaign.folder.dag, name), batch=campaign.path.parent.name)
    click.echo(f"Submitted {len(squares)} squares as job {cluster}.")
    click.echo(f"Watch it: ccip-batch campaign status {campaign.path.parent}")


def retry(campaign: Campaign, names: Collection[str], causes: Collection[str], failed: bool) -> ExitCode:
    """Do squares again: those that are named, those that failed for a cause, or all that failed.

    If the outer DAG is in the queue, they have one of their own beside it; the bounds hold for both.
    """
    _wait_for_removals(campaign.folder)  # a campaign that was cancelled just now is gone on with, not added to
    state = state_of(campaign)
    squares = _chosen(state, names, causes, failed)
    if not squares:
        click.echo("No square failed" + (f" for {', '.join(causes)}" if causes else "") + ".")
        return ExitCode.DONE
    _wait_again(state, squares)
    if is_run_here(campaign.folder):
        click.echo(f"{len(squares)} squares wait again; the `campaign run` that is at work does them.")
        return ExitCode.DONE
    if campaign.engine != "htcondor":
        click.echo(f"{len(squares)} squares wait again. Next: ccip-batch campaign run {campaign.path.parent}")
        return ExitCode.DONE
    if not state.alive:
        return submit(campaign)
    taken = [path.name for path in campaign.folder.dag.glob("retry-*.dag")]
    name = next(name for number in range(1, 1000) if (name := _RETRY.format(number)) not in taken)
    try:
        _submit(campaign, squares, name)
    except CcipError:  # nothing would begin them: they can be retried again
        Journal(campaign.folder.journal).write([state.entries[square.name] for square in squares])
        raise
    return ExitCode.DONE


def _chosen(state: CampaignState, names: Collection[str], causes: Collection[str], failed: bool) -> list[Square]:
    unknown = sorted(set(causes) - set(state.failures))
    if unknown and state.failures:
        there = ", ".join(f"{cause} ({len(squares)})" for cause, squares in state.failures.items())
        raise ConfigError(f"no square failed for {', '.join(unknown)}; there are: {there}.")
    known = {square.name: square for square in state.table.squares}
    for name in names:
        if name not in known:
            raise ConfigError(f"{state.table.path} has no square {name}.")
        if state.state_of(known[name]) not in ("failed", "done"):
            raise ConfigError(f"{name} has not ended: it is {state.state_of(known[name])}.")
    wanted = [known[name] for name in names]
    for cause, squares in state.failures.items():
        if failed or cause in causes:
            wanted += [square for square in squares if square not in wanted]
    order = {square.name: number for number, square in enumerate(state.table.squares)}
    return sorted(wanted, key=lambda square: order[square.name])


def cancel(campaign: Campaign) -> ExitCode:
    """Take the outer DAGs, and with them all squares at work, out of the queue."""
    alive = dags_in_queue(campaign.folder)
    if not alive:
        here = ". `campaign run` is at work here: stop it with Ctrl-C" if is_run_here(campaign.folder) else ""
        click.echo(f"The campaign has nothing in the queue{here}.")
        return ExitCode.DONE
    for dag in alive:
        found = last_dag(dag)
        assert found is not None
        remove_dag(dag, found.cluster)
        click.echo(f"Removed job {found.cluster}.")
    click.echo(f"Go on later: ccip-batch campaign resume {campaign.path.parent}")
    return ExitCode.DONE


def hold(campaign: Campaign) -> ExitCode:
    """Begin no more squares; those at work go on."""
    _touch(campaign.folder.halted)
    click.echo(
        f"No square is begun from now on; those at work go on. Undo: ccip-batch campaign release {campaign.path.parent}"
    )
    return ExitCode.DONE


def release(campaign: Campaign) -> ExitCode:
    """Begin squares again."""
    campaign.folder.halted.unlink(missing_ok=True)
    click.echo(f"Squares are begun again, up to {read_state(campaign, alive=True).bound} at work at once.")
    return ExitCode.DONE


def throttle(campaign: Campaign, squares: int) -> ExitCode:
    """Let so many squares be at work at once, from now on."""
    bound = campaign.config.bounds.squares
    if squares > bound:
        raise ConfigError(
            f"{squares} is more than bounds.squares ({bound}) of {campaign.path}, with which the DAG was planned. To "
            "raise that: cancel, change it, plan and resume; squares that were at work go on where they were."
        )
    campaign.folder.dag.mkdir(parents=True, exist_ok=True)
    write_whole(campaign.folder.throttle, f"{squares}\n")
    click.echo(f"At most {squares} squares are at work at once from now on; those that are go on.")
    return ExitCode.DONE


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
