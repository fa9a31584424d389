"""What can go wrong, and the exit code that each kind of failure has everywhere: verbs, nodes, DAGs.

The table in docs/exit_codes.md is checked against `ExitCode`.
"""

from __future__ import annotations

import errno
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `ccip-batch` and of its nodes. Only from 30 on can a retry help."""

    DONE = 0
    """Done. A rejected or empty plane counts as done, and says so."""
    INTERNAL = 1
    """An unexpected error, most likely a bug in ccip_batch."""
    USAGE = 2
    """The command line is wrong."""
    CONFIG = 10
    """The job config or a parameter list is wrong."""
    DATA = 11
    """Input data are bad or missing."""
    RUN_FOLDER = 12
    """The folder is not a run folder, belongs to another job, or is in use by another run."""
    CHANGED = 13
    """Files have changed since they were written."""
    PLANES_FAILED = 20
    """The run has ended, but at least one plane or node failed."""
    RESOURCES = 30
    """Out of memory or of disk space."""
    CASA = 31
    """A failure inside CASA, or the process was ended by a signal."""
    CHECKPOINT = 85
    """Checkpointed: run the same node again."""
    INTERRUPTED = 130
    """Stopped by the user; run again to continue."""


class CcipError(Exception):
    """A failure that is explained to the user in a sentence and needs no traceback."""

    exit_code = ExitCode.INTERNAL


class ConfigError(CcipError):
    """The job config or a parameter list is wrong. The message lists all problems."""

    exit_code = ExitCode.CONFIG


class DataError(CcipError):
    """Input data are bad or missing."""

    exit_code = ExitCode.DATA


class RunFolderError(CcipError):
    """The folder is not a run folder, belongs to another job, or is in use."""

    exit_code = ExitCode.RUN_FOLDER


class ResourceError(CcipError):
    """There is not enough memory or disk space."""

    exit_code = ExitCode.RESOURCES


class CasaError(CcipError):
    """A CASA call failed, or returned without having done its work."""

    exit_code = ExitCode.CASA


def says_disk_is_full(error: BaseException) -> bool:
    """Whether an error means that the disk is full or a quota is used up; libraries wrap what the system said."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        inner = inner.__cause__ or inner.__context__
    return False
