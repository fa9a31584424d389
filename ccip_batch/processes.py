"""Processes that end with the process that started them."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal

PARENT_VARIABLE = "CCIP_PARENT_PID"
"""Environment variable that names the process with which this one must end."""

CHECKPOINT_VARIABLE = "CCIP_CHECKPOINT_EXIT"
"""Environment variable: after this many seconds a node ends with exit code 85 as soon as it has saved its work."""

CORES_VARIABLE = "CCIP_CORES"
"""Environment variable: how many cores a node may use, by default one. Its results do not depend on it."""

STANDARD_INPUT = "stdin"
"""Value of CCIP_PARENT_PID: the parent cannot be seen, but it holds the other end of standard input, a pipe."""

_PR_SET_PDEATHSIG = 1
_NICE = 10
_LAST_OF_DISK = 7
"""The lowest of the eight priorities of ordinary reading and writing."""


def keep_others_from_writing() -> None:
    """Let this process and its children make no files that everybody may write to, whatever the user's umask is."""
    os.umask(os.umask(0o077) | 0o002)


def yield_to_others() -> None:
    """Let this process and its children take what others leave of the machine's processors and disks."""
    import psutil  # few processes need it

    os.nice(_NICE)
    with contextlib.suppress(OSError, psutil.Error):  # some containers do not permit it
        psutil.Process().ionice(psutil.IOPRIO_CLASS_BE, _LAST_OF_DISK)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, for whatever reason (Linux).

    Does nothing unless the parent asked for it by `CCIP_PARENT_PID`.
    """
    asked = os.environ.pop(PARENT_VARIABLE, "")
    if not asked:
        return
    if asked == STANDARD_INPUT:
        _die_with_standard_input()
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if str(os.getppid()) != asked:  # it ended before the kernel was told
        os.kill(os.getpid(), signal.SIGKILL)


def _die_with_standard_input() -> None:
    """Have the kernel end this process (SIGIO) when nobody holds the other end of its standard input any more.

    That works even if the parent is in another process namespace, and whatever CASA is doing.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(0, 0)  # hang-up is always reported
    if poll.poll(0):  # it ended before the kernel was told
        os.kill(os.getpid(), signal.SIGKILL)


def cores() -> int:
    """How many cores this node may use; one if the variable is not a number."""
    try:
        return max(1, int(os.environ.get(CORES_VARIABLE) or 1))
    except ValueError:
        return 1


def give_memory_back() -> None:
    """Give free memory that malloc keeps back to the system, before children need it (glibc only)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def child_environment() -> dict[str, str]:
    """The environment for a child that must end with this process."""
    return {**os.environ, PARENT_VARIABLE: str(os.getpid())}
