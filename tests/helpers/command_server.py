"""The command line without its imports, which take longer than most verbs: a process imports the package once, and
forks for each command, which has memory, environment, streams and exit code of its own as ever.

Where the start of Python is the point, tests start it: help that imports nothing, DAG scripts, signals.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NoReturn

ROOMS = ("verbs", "engines", "report", "cube", "simulate")
"""The rooms whose modules are imported before any command. None of them imports CASA or HTCondor's bindings."""


def run_command(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `ccip-batch` with these arguments in the current folder; its output is captured."""
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    with tempfile.TemporaryDirectory(prefix="ccip-command-") as folder:
        streams = [Path(folder, "stdout"), Path(folder, "stderr")]
        request = (arguments, environment, str(Path.cwd()), list(map(str, streams)))
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, "the process that runs commands has ended"
        return subprocess.CompletedProcess(arguments, int(answer), *(path.read_text() for path in streams))


@functools.cache
def _server() -> subprocess.Popen[str]:
    """The process that forks, started with the first command. It ends when its standard input does."""
    # a thread, as numpy starts them, would not be in the forked process
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", __file__]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdin is not None
    atexit.register(server.wait)
    atexit.register(server.stdin.close)
    return server


def serve() -> None:
    """Answer each request by the exit code of its command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # what was imported is not looked through again, which would copy it in memory
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if child == 0:
            _become_command(*json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _prepare(arguments: list[str], environment: dict[str, str], folder: str, streams: list[str]) -> None:
    """Give this process what a command that was just started has."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path in enumerate([os.devnull, *streams]):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.umask(0)  # the result must not depend on the user's
    sys.argv[1:] = arguments


def _become_command(arguments: list[str], environment: dict[str, str], folder: str, streams: list[str]) -> NoReturn:
    """Do what `python -m ccip_batch` does, but for the taking apart of all modules at the end, which takes long."""
    code = 1
    try:
        _prepare(arguments, environment, folder, streams)
        runpy.run_module("ccip_batch", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _import_rooms() -> None:
    for room in ROOMS:
        package = importlib.import_module(f"ccip_batch.{room}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)


if __name__ == "__main__":
    _import_rooms()
    serve()
