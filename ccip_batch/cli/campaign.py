"""`ccip-batch campaign`: its verbs, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccip_batch.cli.ending import explained
from ccip_batch.errors import ExitCode

if TYPE_CHECKING:
    from ccip_batch.campaign.config import Campaign

_PATH = click.Path(path_type=Path)
_CAMPAIGN = click.argument("of_campaign", type=_PATH, metavar="CAMPAIGN")


@click.group()
def campaign() -> None:
    """Many square degrees as one campaign. CAMPAIGN is campaign.yaml, or the folder that it is in."""


@campaign.command()
@click.argument("source", type=_PATH, metavar="FOLDER")
@click.option("--out", type=_PATH, default=Path(), show_default=True, help="The campaign's folder.")
@explained
def init(source: Path, out: Path) -> int:
    """Write campaign.yaml, and campaign.csv with a row for each measurement set in FOLDER."""
    from ccip_batch.verbs.campaign import prepare

    return prepare.init(source, out)


@campaign.command()
@_CAMPAIGN
@explained
def validate(of_campaign: Campaign) -> int:
    """Check every row of the table, and all inputs but what is inside their archives."""
    from ccip_batch.verbs.campaign import prepare

    return prepare.validate(of_campaign)


@campaign.command()
@_CAMPAIGN
@explained
def plan(of_campaign: Campaign) -> int:
    """Write the outer DAG for `condor_submit_dag campaign.dag`; each square is planned when its turn comes."""
    from ccip_batch.verbs.campaign import prepare

    return prepare.plan(of_campaign)


@campaign.command()
@_CAMPAIGN
@explained
def submit(of_campaign: Campaign) -> int:
    """Submit a planned campaign to the pool."""
    from ccip_batch.verbs.campaign import queue

    return queue.submit(of_campaign)


@campaign.command()
@_CAMPAIGN
@click.option(
    "--squares",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Squares side by side; they share cores.",
)
@explained
def run(of_campaign: Campaign, squares: int) -> int:
    """Do all squares on this machine; given again, it continues where it stopped."""
    from ccip_batch.verbs.campaign.run import run_campaign

    return run_campaign(of_campaign, squares)


@campaign.command()
@_CAMPAIGN
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for dashboards.")
@click.option("--watch", is_flag=True, help="Show it again every few seconds, until Ctrl-C.")
@explained
def status(of_campaign: Campaign, as_json: bool, watch: bool) -> int:
    """Show how many squares wait, are at work, are done, and failed."""
    from ccip_batch.verbs.campaign.status import status as show

    return show(of_campaign, as_json, watch)


@campaign.command()
@_CAMPAIGN
@click.option("--cause", help="All squares that failed for this cause, e.g. memory.")
@click.option("--square", help="One square.")
@explained
def explain(of_campaign: Campaign, cause: str | None, square: str | None) -> int:
    """Explain why squares failed, by cause."""
    from ccip_batch.verbs.campaign.status import explain as show

    return show(of_campaign, cause, square)


@campaign.command()
@_CAMPAIGN
@click.option("--cause", "causes", multiple=True, help="Squares that failed for this cause, e.g. memory.")
@click.option("--square", "names", multiple=True, help="This square, failed or done.")
@click.option("--failed", is_flag=True, help="All squares that failed.")
@explained
def retry(of_campaign: Campaign, causes: tuple[str, ...], names: tuple[str, ...], failed: bool) -> int:
    """Do squares again that failed; also while the campaign runs."""
    from ccip_batch.verbs.campaign import queue

    if not (causes or names or failed):
        raise click.UsageError("Give --cause, --square or --failed.")
    return queue.retry(of_campaign, names, causes, failed)


@campaign.command()
@_CAMPAIGN
@explained
def hold(of_campaign: Campaign) -> int:
    """Begin no more squares; those at work go on."""
    from ccip_batch.verbs.campaign import queue

    return queue.hold(of_campaign)


@campaign.command()
@_CAMPAIGN
@explained
def release(of_campaign: Campaign) -> int:
    """Begin squares again after `hold`."""
    from ccip_batch.verbs.campaign import queue

    return queue.release(of_campaign)


@campaign.command()
@_CAMPAIGN
@click.argument("squares", type=click.IntRange(min=1), metavar="N")
@explained
def throttle(of_campaign: Campaign, squares: int) -> int:
    """Let at most N squares be at work at once, from now on."""
    from ccip_batch.verbs.campaign import queue

    return queue.throttle(of_campaign, squares)


@campaign.command()
@_CAMPAIGN
@explained
def cancel(of_campaign: Campaign) -> int:
    """Remove the campaign from the pool's queue; it can be resumed."""
    from ccip_batch.verbs.campaign import queue

    return queue.cancel(of_campaign)


@campaign.command()
@_CAMPAIGN
@explained
def resume(of_campaign: Campaign) -> int:
    """Submit again what was neither done nor failed."""
    from ccip_batch.verbs.campaign import queue

    return queue.submit(of_campaign)


@campaign.command()
@_CAMPAIGN
@explained
def report(of_campaign: Campaign) -> int:
    """Write report/index.html and summary.ecsv for all squares that have ended."""
    from ccip_batch.campaign import report as of_squares
    from ccip_batch.verbs.campaign.queue import state_of

    click.echo(of_squares.write(state_of(of_campaign)))
    return ExitCode.DONE
