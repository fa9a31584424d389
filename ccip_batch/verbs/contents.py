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
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.run import Run


def flags_of(job: ResolvedJob) -> list[str]:
    """The job's flag commands, for the probe."""
    return flag_argument(job.inputs.flag_commands, job.science_spws)


def look(job: ResolvedJob) -> Finding | None:
    """What this Python's CASA finds in the job's measurement set; None without CASA, or if there are no rows."""
    vis = job.inputs.vis
    return probe_here(vis, flags_of(job)) if table_rows(vis) else None


def is_restored(folder: RunFolder) -> bool:
    """Whether a run has its data already, so that there is no need to look at them again."""
    return folder.resolved.is_file() and Run.read(folder).result("restore") is not None


def judge(job: ResolvedJob, found: Finding | None) -> list[str]:
    """Raise the error that lists all for which the nodes would stop (ConfigError, DataError); gives warnings."""
    from ccip_batch.casa import selections  # with numpy, which other verbs do not need
    from ccip_batch.stages.editimlist import continuum_target, select_fields
    from ccip_batch.stages.importdata import check_summary

    if found is None:
        return []
    if found.broken and job.execution.engine == "local":
        where = job.execution.container or sys.executable
        data = os.environ.get(DATA_VARIABLE)
        right = f"Look at {data}, which {DATA_VARIABLE} names. Or install" if data else "Install"
        raise ConfigError(f"{where}: {found.broken}. {right} CASA anew, or give another image with --container.")
    problems: list[Problem] = []
    warnings: list[str] = []
    summary = found.summary
    if found.wrong:
        problems.append(Problem("", "inputs.vis", found.wrong.rstrip("."), kind=DataError))
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
                    problems.append(Problem("", key, str(error).rstrip("."), kind=type(error)))
                said.add(str(error))
    if job.inputs.flag_commands is not None:
        wrong, warnings = selections.judged(job.inputs.flag_commands, found.doubts, found.commands)
        problems += wrong
    if found.row_flags_alone:
        warnings.append(
            f"{job.inputs.vis.name} has rows with FLAG_ROW, but not FLAG, set: as in CASA, FLAG alone decides what is "
            "imaged"
        )
    if problems:
        raise failure(problems)
    return warnings
