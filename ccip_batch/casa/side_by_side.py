"""Parts of a node's work side by side, in processes of their own: a process has one CASA session, and its own crashes.

`run` starts as many processes as there are cores. Each works through its share of the parts in the current folder, and
leaves for every part its result, the CASA calls it made, or what went wrong. The number of cores changes no result and
no order: parts are independent of each other, and what they leave is read in the order of the parts.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ccip_batch import processes
from ccip_batch.casa.session import Casa
from ccip_batch.errors import CcipError, ExitCode, says_disk_is_full
from ccip_batch.records import Model

T = TypeVar("T", bound=Model)

_FOLDER = Path("side_by_side")
_COMMANDS = "casa_commands.py"
_POLL_S = 0.05
_SHOWN = re.compile(r"^casatasks\.(\w+)\(", re.MULTILINE)


class PartError(CcipError):
    """A part failed; the exit code tells the kind of failure."""

    def __init__(self, cause: str, exit_code: ExitCode) -> None:
        super().__init__(cause)
        self.exit_code = exit_code


class _Done(Model):
    """What a process leaves when a part is done."""

    result: dict[str, Any]
    commands: str
    casa_cpu_s: float
    casa_calls: int


class _Now(Model):
    """What a process says about the part that it is working on."""

    part: str
    commands_from: int
    """Where its calls begin in the record of the process, bytes."""


def run(
    casa: Casa,
    log: Path,
    function: Callable[..., T],
    kind: type[T],
    parts: Mapping[str, Mapping[str, Any]],
    at_once: int,
) -> list[T]:
    """Call `function(casa, **arguments)` for each part, by its name, `at_once` of them at a time; returns the results.

    function: one of a module, not a method; its arguments and its result, of type `kind`, must go through JSON. parts:
    the arguments of each part. casa: the session of this
    process, whose record gets the calls of all parts, in order. log: gets what the sessions of the parts logged.
    Raises PartError, naming the part and where it was, when the first of them fails; the others are ended then, and the
    record ends with what each process had called for a part that it left undone, last the one that failed.
    """
    shutil.rmtree(_FOLDER, ignore_errors=True)
    names = list(parts)
    shares = [names[first::at_once] for first in range(min(at_once, len(names)))]
    children = []
    try:
        for number, share in enumerate(shares):
            task = {
                "module": function.__module__,
                "function": function.__qualname__,
                "parts": {name: parts[name] for name in share},
                "self_checks": casa.keeps_self_checks,
            }
            children.append(_start(_FOLDER / str(number), task))
        failed = _wait(children)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
        _join_logs(log, len(shares))
    files = [_FOLDER / str(number % len(shares)) / f"{name}.json" for number, name in enumerate(names)]
    done = [_Done.model_validate_json(file.read_bytes()) for file in files if failed is None or file.exists()]
    for one in done:
        casa.record(one.commands.rstrip("\n"))
        casa.cpu += one.casa_cpu_s
        casa.calls += one.casa_calls
    if failed is not None:
        for number in sorted(range(len(shares)), key=lambda number: number == failed):
            _record_undone(casa, _FOLDER / str(number))
        raise _failure(_FOLDER / str(failed), children[failed].wait())
    shutil.rmtree(_FOLDER)
    return [kind.model_validate(one.result) for one in done]


def _record_undone(casa: Casa, folder: Path) -> None:
    """Record the calls that a process made for the part that it was working on when it ended."""
    try:
        now = _Now.model_validate_json((folder / "now.json").read_bytes())
        commands = (folder / _COMMANDS).read_bytes()[now.commands_from :].decode(errors="replace")
    except (OSError, ValueError):
        return
    if commands and not (folder / f"{now.part}.json").exists():
        casa.record(f"# {now.part} got no further than this:\n" + commands.rstrip("\n"))


def _start(folder: Path, task: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True)
    (folder / "task.json").write_text(json.dumps(task))
    return subprocess.Popen(
        processes.python_module("ccip_batch.casa.side_by_side", str(folder)),
        stdin=subprocess.DEVNULL,
        env={**processes.child_environment(), "OMP_NUM_THREADS": "1"},
        close_fds=False,  # the node's lock is kept by whoever is left
    )


def _wait(children: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait for all; returns the number of the first one that fails, as soon as it does."""
    while True:
        codes = [child.poll() for child in children]
        for number, code in enumerate(codes):
            if code:
                return number
        if all(code == 0 for code in codes):
            return None
        time.sleep(_POLL_S)


def _failure(folder: Path, code: int) -> PartError:
    """Why a process ended with this code, which is negative for a signal."""
    try:
        said = json.loads((folder / "error.json").read_bytes())
        return PartError(str(said["cause"]), ExitCode(said["exit_code"]))
    except (OSError, ValueError, KeyError):
        pass
    try:
        name = _Now.model_validate_json((folder / "now.json").read_bytes()).part
    except (OSError, ValueError):
        name = "a process"
    where = _last_call(folder / _COMMANDS)
    if code == -signal.SIGKILL:
        return PartError(
            f"{name}: its process was killed (SIGKILL){where}: by a person, or by the system because memory ran out",
            ExitCode.CASA,
        )
    how = f"CASA aborted its process ({signal.Signals(-code).name})" if code < 0 else f"it ended with exit code {code}"
    return PartError(f"{name}: {how}{where}", ExitCode.CASA if code < 0 else ExitCode.INTERNAL)


def _last_call(commands: Path) -> str:
    try:
        calls = _SHOWN.findall(commands.read_text(errors="replace"))
    except OSError:
        calls = []
    return f" in {calls[-1]}" if calls else ""


def _join_logs(log: Path, children: int) -> None:
    """Append the sessions' logs to that of the node."""
    with log.open("ab") as out:
        for number in range(children):
            if (_FOLDER / str(number) / "casa.log").exists():
                out.write((_FOLDER / str(number) / "casa.log").read_bytes())


def main(folder: Path) -> ExitCode:
    """Work through the parts of a process."""
    name = "a process"

    def tell(cause: str, code: ExitCode) -> ExitCode:
        print(f"ccip-batch: {name}: {cause}", file=sys.stderr, flush=True)
        (folder / "error.json").write_text(json.dumps({"cause": f"{name}: {cause}", "exit_code": int(code)}))
        return code

    try:
        task = json.loads((folder / "task.json").read_bytes())
        function = getattr(importlib.import_module(task["module"]), task["function"])
        casa = Casa(folder / "casa.log", folder / _COMMANDS, self_checks=task["self_checks"])
        for name, arguments in task["parts"].items():
            before, cpu, calls = casa.script_bytes(), casa.cpu if casa.calls else 0.0, casa.calls
            _Now(part=name, commands_from=before).save(folder / "now.json")
            result = function(casa, **arguments)
            done = _Done(
                result=json.loads(result.model_dump_json()),
                commands=(folder / _COMMANDS).read_bytes()[before:].decode(),
                casa_cpu_s=casa.cpu - cpu,
                casa_calls=casa.calls - calls,
            )
            done.save(folder / f"{name}.json")
    except CcipError as error:
        return tell(str(error), error.exit_code)
    except MemoryError:
        return tell("out of memory", ExitCode.RESOURCES)
    except OSError as error:
        if says_disk_is_full(error):
            return tell(f"the disk is full: {error}", ExitCode.RESOURCES)
        traceback.print_exc()
        return tell(f"{type(error).__name__}: {error}", ExitCode.INTERNAL)
    except Exception as error:
        traceback.print_exc()
        return tell(f"{type(error).__name__}: {error}", ExitCode.INTERNAL)
    return ExitCode.DONE


if __name__ == "__main__":
    processes.die_with_parent()
    processes.keep_others_from_writing()
    sys.exit(main(Path(sys.argv[1])))
