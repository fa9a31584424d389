"""From a job config to a run folder that an engine can run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from ccip_batch.engines.htcondor.doubts import doubts
from ccip_batch.engines.htcondor.sites import load_site
from ccip_batch.engines.htcondor.staging import goes_elsewhere
from ccip_batch.errors import ConfigError, ExitCode, RunFolderError
from ccip_batch.job.casa_names import unfit_in_folder
from ccip_batch.job.config import ResolvedJob
from ccip_batch.records import write_whole
from ccip_batch.run.fingerprint import of_inputs, read_inputs, save_inputs
from ccip_batch.run.folder import RunFolder
from ccip_batch.verbs import check
from ccip_batch.verbs.check import Findings
from ccip_batch.workflow.estimates import disk_bytes
from ccip_batch.workflow.machine import machine_cores


def default_run_folder(job: ResolvedJob) -> Path:
    """Where a job runs if nothing is said: `<imagename>.run` in the current folder."""
    return Path(f"{job.imagename}.run")


def open_run(config: Path, overrides: Sequence[str], run_dir: Path | None) -> tuple[RunFolder, ResolvedJob, list[str]]:
    """Check a job and make its run folder, or open the one that is there, which must be of the same job.

    Gives the run folder, the job, and warnings. Raises ConfigError or DataError with all that is wrong, ResourceError
    if the disk is too small, RunFolderError if the folder is another job's.
    """
    return open_checked(check.check(config, overrides), run_dir)


def open_checked(findings: Findings, run_dir: Path | None) -> tuple[RunFolder, ResolvedJob, list[str]]:
    """As `open_run`, of a job that has been checked."""
    findings.raise_if_wrong()
    job = findings.resolved
    assert job is not None
    return run_folder_of(job, run_dir), job, list(findings.warnings)


def run_folder_of(job: ResolvedJob, run_dir: Path | None) -> RunFolder:
    """The run folder of a job; there is nothing written yet. Raises as `open_run`."""
    folder = RunFolder(run_dir or default_run_folder(job))
    check_place(folder, job)
    check_same_job(folder, job)
    if not folder.resolved.exists():
        check.check_disk(_large_folder(job, folder), disk_needed(job))
    return folder


def disk_needed(job: ResolvedJob) -> int:
    """Bytes of disk that a run takes at most, by the estimates."""
    return disk_bytes(job, _planes_at_once(job))


def _large_folder(job: ResolvedJob, folder: RunFolder) -> Path:
    """Where what is large of the run will be."""
    site = load_site(job.execution.site) if job.execution.site else None
    return Path(next(iter(site.urls))) if site and goes_elsewhere(site, folder.path) else folder.path


def _planes_at_once(job: ResolvedJob) -> int:
    """How many planes may be at work in the run folder: with file transfer none is."""
    if job.execution.site is None:
        return job.execution.workers or machine_cores()
    return 0 if load_site(job.execution.site).data == "transfer" else len(job.groups)


def validate(config: Path, overrides: Sequence[str], run_dir: Path | None) -> ExitCode:
    """What `ccip-batch validate` does: check a job as `run` and `plan` do, try its image out, and write nothing.

    Raises the errors of `open_run`.
    """
    findings = check.check(config, overrides)
    for warning in findings.warnings:
        click.echo(f"warning: {warning}", err=True)
    findings.raise_if_wrong()
    job = findings.resolved
    assert job is not None
    check_place(RunFolder(run_dir or default_run_folder(job)), job)
    for warning in check.try_out(job, run_dir or default_run_folder(job)):
        click.echo(f"warning: {warning}", err=True)
    if job.execution.site is not None:
        for doubt in doubts(job, load_site(job.execution.site)):
            click.echo(f"warning: {doubt}", err=True)
    run_folder_of(job, run_dir)
    groups = ", ".join(group.selection.replace(",", "+") for group in job.groups)
    click.echo(f"{config} is valid: {job.imagename}, spw groups {groups}")
    return ExitCode.DONE


def write_job(folder: RunFolder, config: Path, job: ResolvedJob) -> list[str]:
    """Write the job into its run folder, which the caller has locked; names what has changed since the last time."""
    inputs, before = of_inputs(job), read_inputs(folder)
    changes = [f"inputs.{name}" for name in {**before, **inputs} if before and before.get(name) != inputs.get(name)]
    if folder.resolved.is_file():
        changes += _changed_options(folder.read_job(), job)
    write_whole(folder.resolved, job.to_yaml())  # first: with it, the folder is a run folder
    save_inputs(folder, inputs)
    if config.resolve() != folder.job.resolve():
        shutil.copyfile(config, folder.job)
    return changes


_NO_PRODUCT = {"data", "execution", "inputs", "versions", "warnings"}
_WORDS = {"iteration_calls": "how planes are imaged", "prediction_call": "how the continuum model is predicted"}
"""Parts of a resolved job that users know by no such name."""


def _changed_options(before: ResolvedJob, now: ResolvedJob) -> list[str]:
    """Names of the parts of a job that differ and matter to a product."""
    old, new = before.model_dump(mode="json"), now.model_dump(mode="json")
    return [_WORDS.get(name, name) for name in new if name not in _NO_PRODUCT and old[name] != new[name]]


def check_place(folder: RunFolder, job: ResolvedJob) -> None:
    """Raise ConfigError if CASA would have to work in a run folder whose path it cannot work with."""
    if job.execution.site and load_site(job.execution.site).data == "transfer":
        return  # nodes work in folders of the pool's machines
    unfit = unfit_in_folder(folder.path)
    if unfit:
        raise ConfigError(
            f"the run folder {str(folder.path)!r} has {unfit} in its path, with which CASA cannot work. Give another "
            "folder with --run-dir."
        )


def check_same_job(folder: RunFolder, job: ResolvedJob) -> None:
    """Raise RunFolderError if a folder is another job's, or is there and is no run folder."""
    if folder.resolved.is_file():
        there = folder.read_job()
        if (there.root, there.imagename) != (job.root, job.imagename):
            raise RunFolderError(
                f"{folder.path} is the run folder of another job ({there.imagename} from {there.root}.ms, not "
                f"{job.imagename} from {job.root}.ms). Give another one with --run-dir."
            )
    elif folder.path.exists() and not folder.path.is_dir():
        raise RunFolderError(f"{folder.path} is a file. Give a folder with --run-dir.")
    elif folder.path.exists() and any(not _is_beginning(entry.name) for entry in folder.path.iterdir()):
        raise RunFolderError(f"{folder.path} exists and is not a run folder. Give another folder with --run-dir.")


def _is_beginning(name: str) -> bool:
    """Whether a run that was killed at its very start may have left a file of this name."""
    return name in (".lock", "dag") or name.endswith(".part")
