"""How our own processes are started: with our Python alone, and so that they end with the process that started them."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import site
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PARENT_VARIABLE = "CCIP_PARENT_PID"
"""Environment variable that names the process with which this one must end."""

CHECKPOINT_VARIABLE = "CCIP_CHECKPOINT_EXIT"
"""Environment variable: after this many seconds a node ends with exit code 85 as soon as it has saved its work."""

CORES_VARIABLE = "CCIP_CORES"
"""Environment variable: how many cores a node may use, by default one. Its results do not depend on it."""

STANDARD_INPUT = "stdin"
"""Value of CCIP_PARENT_PID: the parent cannot be seen, but it holds the other end of standard input, a pipe."""

PYTHON_OPTIONS = ("-P", "-s")
"""For each start of our Python: modules come neither from the current folder nor from the user's own site folder."""

PYTHON_PATH = "PYTHONPATH"

_PREFIXES = ("PYTHON", "CASA", "AIPS", "MPL", "MATPLOTLIB", "OMP_", "GOMP_", "KMP_", "BASH_FUNC_")
_NAMES = ("BASH_ENV", "ENV", "CDPATH", "GLOBIGNORE")
"""Variables of the user's that would change what Python, CASA, matplotlib, OpenMP and the shell that CASA calls do.

LD_LIBRARY_PATH and LD_PRELOAD stay: without them the Python of some clusters does not start at all.
"""

_LOOK = """\
import importlib.util, json, sys
found = importlib.util.find_spec("ccip_batch")
print(json.dumps([sys.path, found.origin if found else None]))
"""

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


def die_with_this_parent() -> None:
    """As `die_with_parent`, for a process whose parent does not know that it must ask for it, such as DAGMan."""
    os.environ[PARENT_VARIABLE] = str(os.getppid())
    die_with_parent()


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
    """The environment for a child that must end with this process: without what is the user's own."""
    return {**own_environment(os.environ), PARENT_VARIABLE: str(os.getpid())}


def python_module(module: str, *words: str) -> list[str]:
    """The command that runs one of our modules with this Python."""
    return [sys.executable, *PYTHON_OPTIONS, "-m", module, *words]


def own_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables without those that change what our programs do; PYTHONPATH stays if this package was found by it."""
    kept = {name: text for name, text in variables.items() if not name.startswith(_PREFIXES) and name not in _NAMES}
    if needed := python_path():
        kept[PYTHON_PATH] = os.pathsep.join(needed)
    return kept


def python_path() -> tuple[str, ...]:
    """Folders that our Python must be told of to find this package and what it needs; none where it is installed.

    They are those of PYTHONPATH if the package is in one of them, else the one that it is in.
    """
    return _origin().needed


def keep_to_own_python() -> None:
    """Have this process import from its Python's own folders alone, and drop the user's variables that
    `own_environment` drops, for it and for what it starts."""
    foreign = _origin().foreign
    sys.path[:] = [folder for folder in sys.path if _absolute(folder) not in foreign]
    kept = own_environment(os.environ)
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update(kept)


@dataclass(frozen=True)
class _Origin:
    """Where this package comes from."""

    needed: tuple[str, ...] = ()
    """Folders that must be given to Python so that it finds the package."""
    foreign: frozenset[str] = frozenset()
    """Folders that Python would not have looked into by itself, and where nothing of ours is."""


@cache
def _origin() -> _Origin:
    """Asked once, before this process changes anything."""
    here = Path(__file__).resolve()
    package = str(Path(__file__).absolute().parents[1])
    given = [_absolute(part) for part in os.environ.get(PYTHON_PATH, "").split(os.pathsep) if part]
    of_user = [folder for folder in [site.getusersitepackages()] if site.ENABLE_USER_SITE and Path(folder).is_dir()]
    first = [] if sys.flags.safe_path or not sys.path else [_absolute(sys.path[0])]
    others = [*given, *of_user, *(folder for folder in first if folder == str(Path.cwd()))]
    if not others:
        return _Origin()
    own, found = _left_alone()
    if found is not None and Path(found).resolve().parent == here.parent:
        needed: list[str] = []
    else:
        needed = given if package in given else [package]
    return _Origin(tuple(needed), frozenset(others) - set(own) - set(needed))


def _left_alone() -> tuple[list[str], str | None]:
    """The module path of this Python when nothing of the user's is in it, and the file of this package by that."""
    done = subprocess.run([sys.executable, "-I", "-c", _LOOK], capture_output=True, text=True, check=False, cwd="/")
    try:
        path, found = json.loads(done.stdout)
    except ValueError:  # such a Python cannot be started: all stays as it is
        return list(sys.path), None
    return [_absolute(folder) for folder in path], found


def _absolute(folder: str) -> str:
    return str(Path(folder).absolute())
