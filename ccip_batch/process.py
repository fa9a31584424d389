"""Processes that do not outlive who started them."""

from __future__ import annotations

import ctypes
import os
import signal

PARENT_VARIABLE = "CCIP_PARENT_PID"
"""Environment variable that names the process with which this one must end."""

CHECKPOINT_VARIABLE = "CCIP_CHECKPOINT_EXIT"
"""Environment variable: after so many seconds a node ends with exit code 85 as soon as it has saved its work."""

_PR_SET_PDEATHSIG = 1


def keep_others_from_writing() -> None:
    """Have this process and its children make files that not everybody may write, whatever the user's umask says."""
    os.umask(os.umask(0o077) | 0o002)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, however that ends (Linux).

    Does nothing unless the parent asked for it by `CCIP_PARENT_PID`.
    """
    asked = os.environ.pop(PARENT_VARIABLE, "")
    if not asked:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if str(os.getppid()) != asked:  # it ended before the kernel was told
        os.kill(os.getpid(), signal.SIGKILL)


def child_environment() -> dict[str, str]:
    """The environment for a child that must end with this process."""
    return {**os.environ, PARENT_VARIABLE: str(os.getpid())}
