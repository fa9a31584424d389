"""What CASA finds in the measurement set before anything runs, held against the job: spws, fields, flag commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from ccip_batch.casa.probe import Finding, flag_argument, probe_here
from ccip_batch.casa.session import DATA_VARIABLE
from ccip_batch.errors import CcipError, ConfigError, DataError
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.data_size import table_rows
from ccip_batch.job.problems import Problem, failure
from ccip_batch.run.fingerprint import of_path
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.run import Run


def flags_of(job: ResolvedJob) -> list[str]:
    """The job's flag commands, for the probe."""
    return flag_argument(job.inputs.flag_commands, job.science_spws)


def look(job: ResolvedJob) -> Finding | None:
    """What this Python's CASA finds in the job's measurement set; None without CASA, or if there are no rows."""
    vis = job.inputs.vis
    return probe_here(vis, flags_of(job)) if table_rows(vis) else None


def is_restored(folder: RunFolder, job: ResolvedJob) -> bool:
    """Whether a run has its data already, for this job, so that there is no need to look at them again."""
    if not folder.resolved.is_file():
        return False
    run, flags = Run.read(folder), job.inputs.flag_commands
    same_flags = run.inputs.get("flag_commands") == (of_path(flags) if flags else None)
    return same_flags and run.job.groups == job.groups and run.result("restore") is not None


def judge(job: ResolvedJob, found: Finding | None) -> list[str]:
    """Raise the error that lists all for which the nodes would stop (ConfigError, DataError); gives warnings."""
    from ccip_batch.casa import selections  # with numpy, which other verbs do not need
    from ccip_batch.stages.editimlist import continuum_target, select_fields
    from ccip_batch.stages.importdata import check_summary
    from ccip_batch.verbs import sampling

    if found is None:
        return []
    if found.broken and job.execution.engine == "local":
        where = job.execution.container or sys.executable
        data = os.environ.get(DATA_VARIABLE)
        right = f"Look at {data}, which {DATA_VARIABLE} names. Or install" if data else "Install"
        raise ConfigError(f"{where}: {found.broken}. {right} CASA anew, or give another image with --container.")
    problems: list[Problem] = []
    warnings = [f"{job.inputs.vis.name} was not looked into: {found.broken}"] if found.broken else []
    summary = found.summary
    if found.wrong:
        problems.append(Problem("", "inputs.vis", found.wrong, kind=DataError))
    if summary is not None:
        checks: list[tuple[str, Callable[[], object]]] = [
            ("imaging.spw", lambda: check_summary(summary, job.groups)),
            ("", lambda: continuum_target(summary, "", job.continuum_phasecenter, job.science_spws)),
            ("", lambda: select_fields(summary, job.phasecenter)),
        ]
        said = set()
        for key, check in checks:
            try:
                check()
            except CcipError as error:
                if str(error) not in said:
                    problems.append(Problem("", key, str(error), kind=type(error)))
                said.add(str(error))
    if job.inputs.flag_commands is not None:
        wrong, told = selections.judged(job.inputs.flag_commands, found.doubts, found.commands)
        problems += wrong
        warnings += told
    if found.row_flags_alone:
        warnings.append(
            f"{job.inputs.vis.name} has rows with FLAG_ROW, but not FLAG, set: as in CASA, FLAG alone decides what is "
            "imaged"
        )
    if problems:
        raise failure(problems)
    return [*warnings, *(sampling.doubts(job, summary) if summary else ())]
