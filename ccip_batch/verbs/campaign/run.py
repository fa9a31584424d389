"""`ccip-batch campaign run`: the squares of a campaign on this machine, a few side by side."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from ccip_batch import processes
from ccip_batch.campaign.config import Campaign
from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.campaign.state import read_state
from ccip_batch.campaign.table import Square
from ccip_batch.campaign.turn import LOOK_S, end_turn, may_begin
from ccip_batch.engines.local.scheduler import stop_signals
from ccip_batch.errors import ExitCode
from ccip_batch.job.problems import failure
from ccip_batch.verbs.campaign.queue import forget_turns, run_here
from ccip_batch.verbs.campaign.square import LOCAL, begin_here, end
from ccip_batch.workflow.machine import machine_cores, machine_memory

_POLL_S = 0.5
_SAY_S = 60.0
"""How often it is said what is at work, if nothing else is."""


@dataclass
class _AtWork:
    square: Square
    process: subprocess.Popen[bytes]


def run_campaign(campaign: Campaign, at_once: int) -> ExitCode:
    """Do all squares that have neither been done nor failed; what was stopped goes on where it was.

    at_once: how many side by side; each gets its share of the cores and of the memory. Raises KeyboardInterrupt on
    SIGINT and SIGTERM; the squares are stopped first.
    """
    with run_here(campaign.folder), stop_signals() as stopped:
        state = read_state(campaign, alive=False)
        if state.problems:
            raise failure(state.problems)
        forget_turns(state)
        with _stopping([]) as running:
            work = _Work(campaign, at_once, running, state.squares_in("waiting", "stopped"))
            while work.todo or running or work.look_again():
                if stopped():
                    raise KeyboardInterrupt
                work.step()
                time.sleep(_POLL_S)
    return _verdict(campaign)


@dataclass
class _Work:
    """The squares that are at work, and those that wait."""

    campaign: Campaign
    at_once: int
    running: list[_AtWork]
    todo: list[Square]
    waits: str = ""
    """What the next square waits for, if it is not its turn."""
    said: float = field(default_factory=time.monotonic)
    asked: float = -LOOK_S
    """When it was last asked whether there is disk."""

    def look_again(self) -> bool:
        """Whether squares wait that were retried meanwhile."""
        self.todo = read_state(self.campaign, alive=True).squares_in("waiting")
        return bool(self.todo)

    def step(self) -> None:
        """End what has ended, and begin the next square if it may."""
        for one in [one for one in self.running if one.process.poll() is not None]:
            self.running.remove(one)
            self.said, self.asked = time.monotonic(), -LOOK_S
            _ended(self.campaign, one)
        while self.todo and len(self.running) < self.at_once and self._begin(self.todo[0]):
            self.todo.pop(0)
            self.said = time.monotonic()
        if time.monotonic() - self.said > _SAY_S:
            self.said = time.monotonic()
            names = ", ".join(one.square.name for one in self.running) or "none"
            _say(f"at work: {names}; {len(self.todo)} wait{self.waits}")

    def _begin(self, square: Square) -> bool:
        """Begin a square; False if it is not its turn."""
        self.waits = ""
        if not may_begin(self.campaign, square.name):
            self.waits = ": no square is begun at present (hold, throttle, bounds.squares)"
            return False
        if time.monotonic() - self.asked < LOOK_S:
            self.waits = ": there is no disk for the next one"
            return False
        try:
            job = begin_here(self.campaign, square)
        except Exception as error:  # it is in the journal; the others go on
            _say(f"{square.name} failed: {error}")
            return True
        if job is None:
            self.asked = time.monotonic()
            return False
        _say(f"{square.name} begins; {len(self.todo) - 1} wait")
        self.running.append(_start(self.campaign, square, job, self.at_once))
        return True


def _start(campaign: Campaign, square: Square, job: Path, at_once: int) -> _AtWork:
    place = campaign.folder.run(square.name, square.tile)
    command = processes.python_module("ccip_batch", "run", str(job), "--run-dir", str(place), "--set", LOCAL)
    if at_once > 1:
        command += ["--workers", str(max(1, machine_cores() // at_once))]
        command += ["--set", f"execution.memory={machine_memory() // at_once}"]
    with _log(place).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=processes.child_environment(),
            start_new_session=True,  # Ctrl-C reaches this process alone, which stops the squares in order
        )
    return _AtWork(square, process)


def _log(place: Path) -> Path:
    """What `ccip-batch run` says of a square."""
    return place.with_name(f"{place.name}.log")


def _ended(campaign: Campaign, one: _AtWork) -> None:
    name, code = one.square.name, one.process.returncode
    if code == ExitCode.INTERRUPTED:  # somebody stopped it alone
        Journal(campaign.folder.journal).write([Entry(name, "failed", cause="removed", text="it was stopped")])
        end_turn(campaign.folder, name)
        _say(f"{name} was stopped")
        return
    with contextlib.suppress(Exception):  # it is in the journal; the others go on
        end(campaign, one.square, code)
    entry = Journal(campaign.folder.journal).read().get(name)
    if entry is not None and entry.state == "done":
        planes = ", ".join(f"{number} {state}" for state, number in entry.planes.items())
        _say(f"{name} done: {planes}")
    else:
        _say(f"{name} failed: {entry.text if entry else code}; {_log(campaign.folder.run(name, one.square.tile))}")


@contextlib.contextmanager
def _stopping(running: list[_AtWork]) -> Iterator[list[_AtWork]]:
    """Stop what runs when this is left."""
    try:
        yield running
    finally:
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.wait()


def _verdict(campaign: Campaign) -> ExitCode:
    state = read_state(campaign, alive=False)
    counts = {name: number for name, number in state.counts.items() if number}
    click.echo(", ".join(f"{number} {name}" for name, number in counts.items()))
    if not state.counts["failed"]:
        return ExitCode.DONE
    click.echo(f"why: ccip-batch campaign explain {campaign.path.parent}")
    return ExitCode.PLANES_FAILED


def _say(text: str) -> None:
    click.echo(text, err=True)
