"""What the tests do with the pool."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "condor" / "pool" / "pool.py"
SECONDS = 1800
"""How long a test waits for what must come at last. It is a bound against hanging, no measure."""


def call(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run pool.py on a pool of the tests' own."""
    command = [sys.executable, str(SCRIPT), "--name", "pool-test", *arguments]
    done = subprocess.run(command, text=True, capture_output=True)
    if check and done.returncode != 0:
        raise AssertionError(f"pool.py {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


@dataclass(frozen=True)
class RunningPool:
    """The pool that runs."""

    folder: Path
    work: Path
    job_python: Path
    """Interpreter of the jobs' environment."""

    @classmethod
    def present(cls) -> RunningPool:
        """The pool that pool.py has started."""
        keys = ("CCIP_POOL", "CCIP_POOL_WORK", "CCIP_JOB_PYTHON")
        code = f"import json, os; print(json.dumps([os.environ[key] for key in {keys}]))"
        folder, work, python = map(Path, json.loads(call("run", "--", "/usr/bin/python3", "-c", code).stdout))
        return cls(folder, work, python / "bin" / "python")

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Output of a command that is run as the pool's user in `cwd`."""
        words = ["sh", "-c", 'cd "$0" && exec "$@"', str(cwd or self.work), *command]
        return call("run", "--", *words).stdout

    @property
    def version(self) -> str:
        """HTCondor's, such as 23.9.6."""
        return self.run("condor_version").split()[1]

    def make(self, name: str, files: dict[str, str]) -> Path:
        """A folder of the pool's user with files in it."""
        folder = self.work / f"{name}-{uuid.uuid4().hex[:8]}"
        self.run("mkdir", str(folder))
        for file, text in files.items():
            self.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", text, file, cwd=folder)
        return folder

    def submit(self, folder: Path, dag: str = "ccip.dag") -> None:
        self.run("condor_submit_dag", dag, cwd=folder)

    def wait_until(self, seen: Callable[[], bool], what: str) -> None:
        """Wait for a condition. A missing file, or a node of which nothing is known, means that it is not yet so."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError, KeyError):
                if seen():
                    return
            time.sleep(0.3)
        raise AssertionError(f"Waited {SECONDS} s for {what}.\n{self.run('condor_q', '-nobatch')}")

    def finish(self, folder: Path, dag: str = "ccip.dag") -> int:
        """Wait until DAGMan has ended and return its exit code."""
        out = folder / f"{dag}.dagman.out"
        self.wait_until(lambda: "EXITING WITH STATUS" in out.read_text(), f"the end of DAGMan ({out})")
        return int(out.read_text().rpartition("EXITING WITH STATUS")[2].split()[0])

    def wait_until_nothing_is_left(self, folder: Path) -> None:
        """No job of the DAG in this folder is in the queue, held or running or waiting."""
        jobs = ("condor_q", "-allusers", "-constraint", f'Iwd == "{folder}"', "-af", "ClusterId", "JobStatus")
        self.wait_until(lambda: not self.run(*jobs).strip(), f"an end of all jobs of {folder}")
