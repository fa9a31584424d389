"""`ccip-batch plan`: what HTCondor is given for a job, and what that will ask of the pool and of the access point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ccip_batch import __version__
from ccip_batch.engines.htcondor.dagman import refuse_while_alive
from ccip_batch.engines.htcondor.forecast import KindForecast, forecast
from ccip_batch.engines.htcondor.plan import DAG, check_site, planned_site, write_plan
from ccip_batch.engines.htcondor.sites import Site, site_path
from ccip_batch.engines.htcondor.staging import Staging, require_own_place
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.versions import casa_is_installed
from ccip_batch.nodes.apptainer import digest
from ccip_batch.run.run import Run
from ccip_batch.verbs import contents
from ccip_batch.verbs.prepare import open_run, write_job
from ccip_batch.workflow import estimates


def plan(
    config: Path, overrides: Sequence[str], run_dir: Path | None, most_jobs: int | None = None, look: bool = True
) -> Run:
    """Write the run folder with everything that `condor_submit_dag` needs. Raises the errors of `open_run`.

    most_jobs: how many of its jobs may be in the queue at once. look: let CASA, if it is installed, look into the
    measurement set; a campaign leaves that to the first stage, to spare the access point.
    """
    folder, job, warnings = open_run(config, overrides, run_dir)
    job = _with_image(job, check_site(job).container)
    if look and casa_is_installed() and not contents.is_restored(folder, job):
        warnings += contents.judge(job, contents.look(job))
    with folder.locked():
        refuse_while_alive(folder)
        require_own_place(folder)
        (folder.dag / DAG).unlink(missing_ok=True)  # of the job as it was
        for change in write_job(folder, config, job):
            click.echo(f"{change} changed: what depends on it is repeated", err=True)
        run = Run.read(folder)
        warnings += write_plan(run, most_jobs)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    return run


def _with_image(job: ResolvedJob, of_site: str | None) -> ResolvedJob:
    """The job with the image that its nodes run in, its digest if it is a file here, instead of CASA's versions."""
    image = job.execution.container or of_site
    if image is None:
        return job
    versions = {"ccip_batch": __version__}
    if Path(image).is_file():
        versions["image"] = digest(Path(image))
    execution = job.execution.model_copy(update={"container": image})
    return job.model_copy(update={"versions": versions, "execution": execution})


def show_forecast(run: Run) -> None:
    """Print what each kind of node asks for and moves, and what the whole run does, from the estimates."""
    site = planned_site(run)
    charged = [f"{key} {value}" for key, value in site.accounting if value]
    click.echo(f"Site profile: {site_path(str(run.job.execution.site))} ({', '.join(charged) or 'no accounting'})")
    kinds = forecast(run.job, site)
    columns = _columns(kinds, site)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("kind", no_wrap=True)
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for one, *cells in zip(kinds, *columns.values(), strict=True):
        table.add_row(one.kind, *cells)
    Console(highlight=False).print(table)
    for sentence in _sentences(run, kinds, site):
        click.echo(sentence)


def _columns(kinds: Sequence[KindForecast], site: Site) -> dict[str, list[str]]:
    """Titles, and a cell for each kind. They fit a terminal of 80 columns."""
    columns = {
        "nodes": [str(one.nodes) for one in kinds],
        "cores": [str(one.request.cpus) for one in kinds],
        "memory": [_size(one.request.memory_mb * 2**20) for one in kinds],
        "disk": [_size(one.request.disk_mb * 2**20) for one in kinds],
        "time": [_time(one.seconds) for one in kinds],
        "limit": [_time(one.limit_s) for one in kinds],
    }
    if site.job_durations:
        columns["category"] = [str(one.request.category) for one in kinds]
    if site.data == "transfer":
        columns["in"] = [_size(one.bytes_in) for one in kinds]
        columns["out"] = [_size(one.bytes_out) for one in kinds]
    return columns


def _sentences(run: Run, kinds: Sequence[KindForecast], site: Site) -> list[str]:
    moves = site.data == "transfer"
    all_s = sum(one.nodes * one.seconds for one in kinds)
    staging = Staging(run, site)
    disk = estimates.disk_bytes(run.job, 0 if moves else len(run.job.groups))
    said = [
        f"Each node asks for that. In all some {_time(all_s)} of CPU, and up to {_size(disk)} in {staging.place}.",
        "time: of one node on one core, as estimated.",
        "limit: when a node is ended that is not done yet; a plane then goes on from its last checkpoint.",
    ]
    if site.job_durations:
        said.append("category: JobDurationCategory.")
    if moves:
        moved = sum(one.nodes * (one.bytes_in + one.bytes_out) for one in kinds)
        saved = sum(one.nodes * one.checkpoints for one in kinds)
        checkpoints = f"{saved or 'no'} checkpoint{'' if saved == 1 else 's'}"
        size = f" ({_size(saved * estimates.checkpoint_bytes(run.job))})" if saved else ""
        said.append(f"in, out: what one node transfers. All together transfer {_size(moved)}, and {checkpoints}{size}.")
    return said


def _size(size: float) -> str:
    """Bytes with two digits or more: `213 GB`, `6.6 GB`, `24 MB`."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if size >= limit:
            return _digits(size / limit, unit)
    return _digits(size / 1e3, "kB") if size else "0"


def _time(seconds: float) -> str:
    """A time with two digits or more: `3.1 h`, `12 min`, `47 s`."""
    for limit, unit in ((3600, "h"), (60, "min")):
        if seconds >= limit:
            return _digits(seconds / limit, unit)
    return _digits(seconds, "s")


def _digits(number: float, unit: str) -> str:
    return f"{number:.1f} {unit}" if number < 9.95 else f"{number:.0f} {unit}"
