"""What all verbs of the command share: how they end, and how the next command is written."""

from __future__ import annotations

import errno
import functools
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ccip_batch.errors import CcipError, ExitCode, says_disk_is_full


def explained(function: Callable[..., int | None]) -> Callable[..., None]:
    """End with the exit code. Explained failures are printed without a traceback. RUN and CAMPAIGN are opened here."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            if "run" in kwargs:
                from ccip_batch.run.run import Run

                kwargs["run"] = Run.read(kwargs["run"])
                kwargs["run"].refuse_tidied()
            if "of_campaign" in kwargs:
                from ccip_batch.campaign.config import load_campaign

                kwargs["of_campaign"] = load_campaign(kwargs["of_campaign"])
            code = function(*args, **kwargs) or 0
        except CcipError as error:
            click.echo(f"ccip-batch: {error}", err=True)
            code = error.exit_code
        except OSError as error:
            if says_disk_is_full(error):
                right = f"the disk is full: {error}. Make room and give the same command again."
                code = ExitCode.RESOURCES
            elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) and error.filename:
                right = f"{error.filename}: {(error.strerror or '').lower()}. Name a place that you may write to."
                code = ExitCode.RUN_FOLDER
            else:
                raise
            click.echo(f"ccip-batch: {right}", err=True)
        except KeyboardInterrupt:
            click.echo("ccip-batch: stopped; give the same command again to continue", err=True)
            code = ExitCode.INTERRUPTED
        sys.exit(int(code))

    return wrapper


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
