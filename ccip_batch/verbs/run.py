"""`ccip-batch run`: a job on this machine, from its config to its verified products."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ccip_batch import report
from ccip_batch.engines.htcondor.dagman import refuse_while_alive
from ccip_batch.engines.local.progress import Progress
from ccip_batch.engines.local.scheduler import run_local
from ccip_batch.errors import ConfigError, DataError, ExitCode
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.versions import CASA_MISSING, casa_is_installed
from ccip_batch.nodes import apptainer
from ccip_batch.nodes.supervisor import run_node
from ccip_batch.run.cleaning import bad_products, clean
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.results import read_failure, read_result
from ccip_batch.verbs import check
from ccip_batch.verbs.prepare import open_checked, run_folder_of, write_job
from ccip_batch.workflow.machine import machine_cores


def run_job(config: Path, overrides: Sequence[str], folder: Path | None) -> ExitCode:
    """Run a job, or go on with it. Raises the errors of `jobs.open_run`; failures of nodes give an exit code.

    If resources are missing, nothing runs, but the run folder has a report that names them.
    """
    findings = check.check(config, overrides)
    if findings.resolved is not None and findings.only_resources_missing():
        _report_missing_resources(config, findings.resolved, folder)
    run, job, warnings = open_checked(findings, folder)
    if job.execution.engine != "local":
        raise ConfigError(f"{config}: execution.engine is {job.execution.engine}; `run` is for the engine local.")
    if job.execution.container is None and not casa_is_installed():
        raise ConfigError(f"{config}: {CASA_MISSING}, or give an image with --container.")
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    with run.locked():
        refuse_while_alive(run)
        job = _with_image(run, job)
        for change in write_job(run, config, job):
            click.echo(f"{change} changed: what depends on it is repeated", err=True)
        workers = job.execution.workers or machine_cores()
        with Progress(run, job, workers) as progress:
            code = run_local(run, job, progress, workers, job.execution.memory)
        click.echo("Writing the report and checking the products", err=True)
        _write_report(run)
        if code != ExitCode.DONE:
            _tell_failures(run)
            return code
        bad = bad_products(run)
        if bad:
            raise DataError(f"products have changed since they were written: {', '.join(bad)}. Run again to mend them.")
        if job.execution.keep == "products":
            clean(run)
    click.echo(f"Products: {run.products}")
    return code


def _report_missing_resources(config: Path, job: ResolvedJob, folder: Path | None) -> None:
    """Let `restore` fail as it does where the archive is, before it needs CASA, and write the report of that.

    A run folder whose data are restored already is left as it is.
    """
    run = run_folder_of(job, folder)
    with run.locked():
        refuse_while_alive(run)
        if run.resolved.is_file() and read_result(run.node(run.graph()["restore"]).result):
            return
        # it fails before it would need CASA, or an image
        execution = job.execution.model_copy(update={"container": None})
        write_job(run, config, job.model_copy(update={"execution": execution}))
        run_node(run, "restore")
        _write_report(run)


def _with_image(run: RunFolder, job: ResolvedJob) -> ResolvedJob:
    """The job with the versions of its image, after a try of it. Raises ConfigError if nodes cannot run in it."""
    image = apptainer.of_job(job, run.path)
    if image is None:
        return job
    for warning in image.warnings():
        click.echo(f"warning: {warning}", err=True)
    found = image.probe()
    return job.model_copy(update={"versions": {**found.versions, "image": apptainer.digest(Path(image.image))}})


def _write_report(run: RunFolder) -> None:
    """Write the report; what goes wrong there is said, but is no failure of the run."""
    try:
        click.echo(f"Report: {report.write(run)}")
    except Exception as error:
        click.echo(f"warning: the report could not be written: {type(error).__name__}: {error}", err=True)


def _tell_failures(run: RunFolder) -> None:
    """Print each failure with the last lines of its log and the command that repeats it."""
    for node in run.graph().nodes:
        failure = read_failure(run.node(node).failure)
        if failure is None:
            continue
        click.echo(f"\n{node.name} failed in {failure.stage or 'its start'}: {failure.cause}", err=True)
        for line in failure.log_tail[-10:]:
            click.echo(f"    {line}", err=True)
        click.echo(f"  log: {run.node(node).log}\n  again: {failure.command}", err=True)
