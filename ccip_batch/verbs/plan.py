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
from ccip_batch.engines.htcondor.requests import gigabytes
from ccip_batch.engines.htcondor.sites import site_path
from ccip_batch.engines.htcondor.staging import Staging, require_own_place
from ccip_batch.job.config import ResolvedJob
from ccip_batch.nodes.apptainer import digest
from ccip_batch.run.run import Run
from ccip_batch.verbs.prepare import open_run, write_job
from ccip_batch.workflow import estimates


def plan(config: Path, overrides: Sequence[str], run_dir: Path | None) -> Run:
    """Write the run folder with everything that `condor_submit_dag` needs. Raises the errors of `open_run`."""
    folder, job, warnings = open_run(config, overrides, run_dir)
    job = _with_image(job, check_site(job).container)
    with folder.locked():
        refuse_while_alive(folder)
        require_own_place(folder)
        (folder.dag / DAG).unlink(missing_ok=True)  # of the job as it was
        for change in write_job(folder, config, job):
            click.echo(f"{change} changed: what depends on it is repeated", err=True)
        run = Run.read(folder)
        warnings += write_plan(run)
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
    moves = site.data == "transfer"
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("kind of node")
    saves = any(one.checkpoints for one in kinds)
    titles = ["nodes", "cores", "memory GB", "disk GB", "CPU hours", *(["GB in", "GB out"] if moves else [])]
    for title in [*titles, *(["checkpoints"] if saves else [])]:
        table.add_column(title, justify="right", no_wrap=True)
    for one in kinds:
        table.add_row(*_row(one, moves), *([str(one.checkpoints or "")] if saves else []))
    Console(highlight=False).print(table)
    for sentence in _sentences(run, kinds, moves):
        click.echo(sentence)


def _row(one: KindForecast, moves: bool) -> list[str]:
    asked = one.request
    sizes = (gigabytes(asked.memory_mb), gigabytes(asked.disk_mb), one.seconds / 3600)
    cells = [one.kind, str(one.nodes), str(asked.cpus), *(f"{size:.1f}" for size in sizes)]
    if moves:
        cells += [f"{one.bytes_in / 1e9:.2f}", f"{one.bytes_out / 1e9:.2f}"]
    return cells


def _sentences(run: Run, kinds: Sequence[KindForecast], moves: bool) -> list[str]:
    hours = sum(one.nodes * one.seconds for one in kinds) / 3600
    staging = Staging(run, planned_site(run))
    disk = estimates.disk_bytes(run.job, 0 if moves else len(run.job.groups)) / 1e9
    said = [f"Each node asks for that. In all some {hours:.1f} CPU hours, and up to {disk:.1f} GB in {staging.place}."]
    if moves:
        moved = sum(one.nodes * (one.bytes_in + one.bytes_out) for one in kinds)
        saved = sum(one.nodes * one.checkpoints for one in kinds) * estimates.checkpoint_bytes(run.job)
        said.append(f"All nodes together transfer {moved / 1e9:.1f} GB, and {saved / 1e9:.1f} GB of checkpoints.")
    return said
