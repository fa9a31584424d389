"""`ccip-batch run`: a job on this machine, from its config to its verified products."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ccip_batch.engines.finish import finish, write_report
from ccip_batch.engines.htcondor.dagman import refuse_while_alive
from ccip_batch.engines.local.progress import Progress
from ccip_batch.engines.local.scheduler import run_local
from ccip_batch.errors import ConfigError, DataError, ExitCode
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.versions import CASA_MISSING, casa_is_installed
from ccip_batch.nodes import apptainer
from ccip_batch.nodes.supervisor import run_node
from ccip_batch.run.failures import described
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.run import Run
from ccip_batch.verbs import check, contents
from ccip_batch.verbs.prepare import open_checked, run_folder_of, write_job
from ccip_batch.workflow.machine import machine_cores


def run_job(config: Path, overrides: Sequence[str], run_dir: Path | None) -> ExitCode:
    """Run a job, or go on with it. Raises the errors of `prepare.open_run`; failures of nodes give an exit code.

    If resources are missing, nothing runs, but the run folder has a report that names them.
    """
    findings = check.check(config, overrides)
    if findings.resolved is not None and findings.only_resources_missing():
        _report_missing_resources(config, findings.resolved, run_dir)
    folder, job, warnings = open_checked(findings, run_dir)
    if job.execution.engine != "local":
        raise ConfigError(f"{config}: execution.engine is {job.execution.engine}; `run` is for the engine `local`.")
    if job.execution.container is None and not casa_is_installed():
        raise ConfigError(f"{config}: {CASA_MISSING}, or give an image with --container.")
    if job.execution.container is None and not contents.is_restored(folder, job):
        warnings += contents.judge(job, contents.look(job))
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    with folder.locked():
        refuse_while_alive(folder)
        for change in write_job(folder, config, _with_image(folder, job)):
            click.echo(f"{change} changed: what depends on it is repeated", err=True)
        run = Run.read(folder)
        workers = job.execution.workers or machine_cores()
        with Progress(run, workers) as progress:
            code = run_local(run, progress, workers, job.execution.memory)
        click.echo("Writing the report and checking the products", err=True)
        bad = finish(run, done=code == ExitCode.DONE)
        if code != ExitCode.DONE:
            _tell_failures(run)
            return code
        if bad:
            changed = ", ".join(bad)
            raise DataError(
                f"products have changed since they were written: {changed}. Give the same command again to repair them."
            )
    click.echo(f"Products: {folder.products}")
    return code


def _report_missing_resources(config: Path, job: ResolvedJob, run_dir: Path | None) -> None:
    """Let `restore` fail as it does where the archive is, before it needs CASA, and write the report of that.

    A run folder whose data are restored already is left as it is.
    """
    folder = run_folder_of(job, run_dir)
    with folder.locked():
        refuse_while_alive(folder)
        if folder.resolved.is_file() and Run.read(folder).result("restore"):
            return
        # it fails before it would need CASA, or an image
        execution = job.execution.model_copy(update={"container": None})
        write_job(folder, config, job.model_copy(update={"execution": execution}))
        run = Run.read(folder)
        run_node(run, "restore")
        write_report(run)


def _with_image(folder: RunFolder, job: ResolvedJob) -> ResolvedJob:
    """The job with the versions in its image, after starting it once. Raises ConfigError if nodes cannot run in it."""
    image = apptainer.of_job(job, folder.path)
    if image is None:
        return job
    for warning in image.warnings():
        click.echo(f"warning: {warning}", err=True)
    if contents.is_restored(folder, job):
        found = image.probe()
    else:
        found = image.probe(job.inputs.vis, contents.flags_of(job))
        for warning in contents.judge(job, found):
            click.echo(f"warning: {warning}", err=True)
    return job.model_copy(update={"versions": {**found.versions, "image": apptainer.digest(Path(image.image))}})


def _tell_failures(run: Run) -> None:
    """Print each failure with the last lines of its log and the command that repeats it."""
    for node in run.graph.nodes:
        failure = run.failure(node)
        if failure is not None:
            click.echo("\n".join(["", *described(failure, run.node(node).log, run.folder.path)]), err=True)
