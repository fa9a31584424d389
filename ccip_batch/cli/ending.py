"""What all verbs of the command share: how they end, and how the next command is written."""

from __future__ import annotations

import contextlib
import errno
import functools
import shlex
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ccip_batch import __version__
from ccip_batch.errors import CcipError, ExitCode, says_disk_is_full

_OF_FILES = ("astropy", "yaml", "tarfile", "zipfile", "zlib", "gzip", "lzma", "json", "csv", "xml", "pyexpat")
"""Libraries that raise errors of their own only for what they read or write."""
_PLACES = (errno.EROFS, errno.EACCES, errno.EPERM)


class Command(click.Group):
    """A command whose help, too, ends in a sentence if it cannot be printed."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run it; see click."""
        try:
            return super().main(*args, **kwargs)
        except Exception as error:
            sys.exit(int(_told(error)))


def explained(function: Callable[..., int | None]) -> Callable[..., None]:
    """End with the exit code; failures are told in a sentence. CAMPAIGN and RUN (that one is in, if none is named) are
    opened here."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            if "run" in kwargs:
                from ccip_batch.run.folder import RunFolder
                from ccip_batch.run.run import Run

                kwargs["run"] = Run.read(RunFolder.around(kwargs["run"]))
                kwargs["run"].refuse_tidied()
            if "of_campaign" in kwargs:
                from ccip_batch.campaign.config import load_campaign

                kwargs["of_campaign"] = load_campaign(kwargs["of_campaign"])
            code = function(*args, **kwargs) or 0
            if sys.stdout is not None:
                sys.stdout.flush()  # a full disk is noticed here, and not after the end
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click ends with them in its own way
        except KeyboardInterrupt:
            click.echo("ccip-batch: stopped; give the same command again to continue", err=True)
            code = ExitCode.INTERRUPTED
        except Exception as error:
            code = _told(error)
        sys.exit(int(code))

    return wrapper


def _told(error: Exception) -> ExitCode:
    """Tell what was raised; gives the exit code."""
    words, code = put_into_words(error)
    with contextlib.suppress(OSError):
        click.echo(f"ccip-batch: {words}", err=True)
    _forget_output()
    return code


def put_into_words(error: Exception) -> tuple[str, ExitCode]:
    """A sentence and the exit code for whatever was raised, by this package or by a library."""
    if isinstance(error, CcipError):
        return str(error), error.exit_code
    if says_disk_is_full(error):
        return f"the disk is full: {error}. Make room and give the same command again.", ExitCode.RESOURCES
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory. Use a machine with more, or end what else runs on it.", ExitCode.RESOURCES
    if isinstance(error, UnicodeError):
        return f"a text has characters that cannot be read or written here ({error}).", ExitCode.DATA
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # Path.resolve, before Python 3.13
        return f"a link leads to itself ({_first_line(error)}). Name the place itself.", ExitCode.DATA
    kinds = {kind.__module__.partition(".")[0].lstrip("_") for kind in type(error).__mro__}
    if kinds & set(_OF_FILES):
        return f"a file is not as it should be: {_first_line(error)}. Look at the files that you named.", ExitCode.DATA
    return _of_a_bug(error), ExitCode.INTERNAL


def _of_the_system(error: OSError) -> tuple[str, ExitCode]:
    """What the system refused: the place, if it is known, and the remedy."""
    if isinstance(error, FileNotFoundError) and _is_homeless():
        return "the current folder is gone. Go to another one (cd), and give the same command again.", ExitCode.DATA
    if not error.filename:
        return f"{_first_line(error)}. Look at the files and folders that you named.", ExitCode.DATA
    place, why = str(error.filename), (error.strerror or "cannot be used").lower()
    if error.errno == errno.ENAMETOOLONG:
        return f"{place}: {why}. Give a shorter one.", ExitCode.CONFIG
    if error.errno in _PLACES:
        return f"{place}: {why}. Name a place that you may write to.", ExitCode.RUN_FOLDER
    return f"{place}: {why}. Name another place, or put there what should be there.", ExitCode.DATA


def _is_homeless() -> bool:
    """Whether the current folder was removed."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _of_a_bug(error: Exception) -> str:
    """What to report of an error that nobody foresaw. Where it arose is written to a file of its own."""
    what = f"{type(error).__name__}: {_first_line(error)}"
    lines = [f"ccip-batch {__version__}, Python {sys.version}\n", f"{shlex.join(sys.argv)}\n"]
    lines += traceback.format_exception(error)
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="ccip-batch-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as out:
            out.writelines(lines)
    except OSError:
        return f"unexpected error, most likely a bug in ccip_batch: {what}. Please report it:\n{''.join(lines)}"
    return f"unexpected error, most likely a bug in ccip_batch: {what}. Please report it, with {out.name}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")


def _forget_output() -> None:
    """Drop output that cannot be written, so that Python does not try it again at its end."""
    for name in ("stdout", "stderr"):
        try:
            if (stream := getattr(sys, name)) is not None:
                stream.flush()
        except (OSError, ValueError):
            setattr(sys, name, None)


def show_all_characters() -> None:
    """Let text be printed whatever the terminal's encoding is: a character that it lacks becomes `?`."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def command(*words: str | Path) -> str:
    """A command line that starts this program in the same way as the present one."""
    program = sys.argv[0]
    on_path = shutil.which("ccip-batch")
    if Path(program).name == "__main__.py":
        called = [sys.executable, "-m", "ccip_batch"]
    elif on_path and Path(on_path).absolute() == Path(program).absolute():
        called = ["ccip-batch"]
    else:
        called = [program]
    return shlex.join([*called, *map(str, words)])
