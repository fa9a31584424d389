"""`ccip-batch campaign status` and `explain`: how a campaign stands on one screen, and why squares failed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ccip_batch.campaign.config import Campaign
from ccip_batch.campaign.state import STATES, CampaignState, planes_so_far
from ccip_batch.campaign.table import Square
from ccip_batch.engines.htcondor.dagman import last_dag
from ccip_batch.errors import ConfigError, ExitCode
from ccip_batch.run.failures import span
from ccip_batch.verbs.campaign.queue import dags_in_queue, is_run_here, state_of

_LOOK_S = 5.0
_MOST_NAMES = 5
"""Squares that are named for a cause; `--cause` names all."""
_MOST_LOOKED_INTO = 200
"""Run folders of squares at work that are looked into; more are counted as squares alone."""


def status(campaign: Campaign, as_json: bool, watch: bool) -> ExitCode:
    """Print how a campaign stands. watch: again and again, until Ctrl-C."""
    if as_json:
        click.echo(json.dumps(as_data(state_of(campaign)), indent=1))
        return ExitCode.DONE
    console = Console(highlight=False)
    if not watch:
        console.print(_screen(campaign))
        return ExitCode.DONE
    with Live(_screen(campaign), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(_LOOK_S)
            live.update(_screen(campaign), refresh=True)


def as_data(state: CampaignState) -> dict[str, object]:
    """How a campaign stands, for other programs."""
    return {
        "squares": {"all": len(state.table.squares), **state.counts},
        "wrong_rows": len(state.problems),
        "failed_by_cause": {cause: len(squares) for cause, squares in state.failures.items()},
        "at_work": {square.name: _planes(state, square) for square in state.squares_in("at work")},
        "planes": state.planes,
        "alive": state.alive,
        "held": state.held,
        "bound": state.bound,
        "squares_per_day": state.rate,
        "seconds_left": state.seconds_left,
        "core_hours": state.cpu_s / 3600,
        "bytes_of_products": state.products,
        "bytes_of_disk": state.disk,
    }


def _planes(state: CampaignState, square: Square) -> dict[str, int]:
    """How many planes of a square at work are in which state."""
    return planes_so_far(state.campaign.folder.run(square.name, square.tile))


def _screen(campaign: Campaign) -> Group:
    state = state_of(campaign)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("squares")
    table.add_column("", justify="right")
    table.add_column("")
    causes = ", ".join(f"{len(squares)} {cause}" for cause, squares in state.failures.items())
    for name in STATES:
        if state.counts[name] or name in ("waiting", "at work", "done"):
            table.add_row(name, str(state.counts[name]), _words(state, name, causes))
    table.add_row("all", str(len(state.table.squares)), "")
    return Group(table, *(Text(line) for line in _lines(campaign, state)))


def _words(state: CampaignState, name: str, causes: str) -> str:
    if name == "failed":
        return causes
    if name == "at work":
        return f"at most {state.bound}" + (", held: no square is begun" if state.held else "")
    return "goes on with `campaign resume` or `run`" if name == "stopped" else ""


def _lines(campaign: Campaign, state: CampaignState) -> Iterator[str]:
    if state.problems:
        yield f"{len(state.problems)} rows are wrong: ccip-batch campaign validate {campaign.path.parent}"
    at_work = state.squares_in("at work")[:_MOST_LOOKED_INTO]
    now: Counter[str] = Counter()
    for square in at_work:
        now.update(_planes(state, square))
    for title, planes in (
        ("planes of squares that have ended", state.planes),
        ("planes of squares at work", dict(now)),
    ):
        if planes:
            yield f"{title}: " + ", ".join(f"{number} {name}" for name, number in planes.items())
    rate = f"{state.rate:.1f} squares a day" if state.rate else "no square was done in the last day"
    left = f", some {span(state.seconds_left)} left" if state.seconds_left else ""
    yield f"{rate}{left}"
    yield (
        f"{state.cpu_s / 3600:.1f} core hours, {state.products / 1e9:.2f} GB of products, "
        f"{state.disk / 1e9:.2f} GB of disk taken or kept free for squares at work"
    )
    yield _who(campaign)
    if state.counts["failed"]:
        yield f"why squares failed: ccip-batch campaign explain {campaign.path.parent}"


def _who(campaign: Campaign) -> str:
    """What works on the campaign."""
    if is_run_here(campaign.folder):
        return "`campaign run` is at work on this campaign."
    jobs = [str(dag.cluster) for file in dags_in_queue(campaign.folder) if (dag := last_dag(file))]
    if jobs:
        return f"In the queue: DAG {', '.join(jobs)}."
    return "Nothing works on this campaign now."


def explain(campaign: Campaign, cause: str | None, name: str | None) -> ExitCode:
    """Print why squares failed: all by cause in short, those of one cause one by one, or a single square."""
    state = state_of(campaign)
    if name is not None:
        square = next((one for one in state.table.squares if one.name == name), None)
        if square is None:
            raise ConfigError(f"{state.table.path} has no square {name}.")
        entry = state.entries.get(name)
        click.echo(
            f"{name} is {state.state_of(square)}" + (f": {entry.cause}: {entry.text}" if entry and entry.text else "")
        )
        click.echo(f"  more: ccip-batch explain {campaign.folder.run(name, square.tile)}")
        return ExitCode.DONE
    if cause is not None and cause not in state.failures:
        raise ConfigError(f"no square failed for {cause!r}; there are: {', '.join(state.failures) or 'none'}.")
    if not state.failures:
        click.echo("No square failed.")
    for word, squares in state.failures.items():
        if cause is None or cause == word:
            shown = squares if cause else squares[:_MOST_NAMES]
            click.echo(f"{word}: {len(squares)} squares")
            for square in shown:
                entry = state.entries[square.name]
                when = datetime.fromtimestamp(entry.time).strftime("%Y-%m-%d %H:%M")
                click.echo(f"  {square.name} (row {square.row}, {when}): {_one_line(entry.text)}")
            if len(shown) < len(squares):
                click.echo(
                    f"  ... and {len(squares) - len(shown)} more: ccip-batch campaign explain "
                    f"{campaign.path.parent} --cause '{word}'"
                )
            click.echo(f"  again: ccip-batch campaign retry {campaign.path.parent} --cause '{word}'")
    return ExitCode.DONE


def _one_line(text: str) -> str:
    return " ".join(text.split())
