"""Jobs of ccip_batch in the pool of the tests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from astropy.io import fits
from helpers.simulated_runs import alone, source_hash
from running_pool import RunningPool, call

from ccip_batch.engines.htcondor.dagman import DagFile, last_dag
from ccip_batch.engines.htcondor.event_log import NodeRow
from ccip_batch.engines.htcondor.state import pool_rows
from ccip_batch.run.results import NodeResult, read_result
from ccip_batch.run.run import Run

TRANSFER_SITE = """\
description: The pool of the tests, with file transfer
htcondor: {version}
data: transfer
retries: 2
release_after: 3s
checkpoint_every: 1s
"""
SHARED_SITE = TRANSFER_SITE.replace("transfer", "shared")


@dataclass(frozen=True)
class Reference:
    """A job that the local engine has finished with the pool's Python, in the pool's work folder."""

    job: Path
    run: Path


@dataclass(frozen=True)
class PoolJobs:
    """Runs of that job in the pool."""

    pool: RunningPool
    reference: Reference
    sites: Path

    def ccip(self, *arguments: str | Path) -> str:
        """Output of ccip-batch as the pool's user."""
        python = str(self.pool.job_python)
        words = ("env", f"CCIP_SITES={self.sites}", "COLUMNS=200", python, "-m", "ccip_batch", *map(str, arguments))
        return self.pool.run(*words)

    def ends_with(self, *arguments: str | Path) -> int:
        """Exit code of ccip-batch as the pool's user."""
        python = str(self.pool.job_python)
        return call("run", "--", python, "-m", "ccip_batch", *map(str, arguments), check=False).returncode

    def plan(self, name: str, site: str, copied: bool, *options: str) -> Run:
        """A planned run; `copied`: of a copy of the finished run, so that only what the test takes out is repeated."""
        folder = self.pool.work / name
        self.pool.run("rm", "-rf", str(folder))
        if copied:
            with alone(self.reference.job.parent.parent):  # another process of the tests may look after it
                self.pool.run("cp", "-a", str(self.reference.run), str(folder))
        sets = ["execution.engine=htcondor", f"execution.site={site}", "execution.keep=all", *options]
        self.ccip("plan", self.reference.job, "--run-dir", folder, *[w for s in sets for w in ("--set", s)])
        return Run.read(folder)

    def finish(self, run: Run) -> int:
        """Wait for the end of the DAG that was submitted last; gives DAGMan's exit code, or 1 if it was removed."""
        dag = last_dag(DagFile.of(run.folder))
        assert dag is not None
        log = run.folder.dag / "ccip.dag.dagman.log"
        end = re.compile(rf"^00[59] \({dag.cluster:03d}\.000\..*\n(?:.*return value (\d+)\))?", re.MULTILINE)
        self.pool.wait_until(lambda: end.search(log.read_text()) is not None, f"the end of DAGMan ({log})")
        self.pool.wait_until_nothing_is_left(run.folder.dag)
        found = end.search(log.read_text())
        assert found is not None
        return int(found[1] or 1)

    def row(self, run: Run, node: str) -> NodeRow:
        """What the event logs tell of a node. KeyError if it was not submitted yet."""
        return pool_rows(run)[node]

    def kill(self, run: Run, node: str, words: str) -> None:
        """Kill the process of a node that works in the run folder, as the kernel does when memory is short."""

        def found() -> list[int]:
            pids = []
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    with contextlib.suppress(OSError):
                        line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                        inside = (entry / "cwd").readlink().is_relative_to(run.folder.path)
                        if inside and words in line and line.endswith(node) and "python" in line:
                            pids.append(int(entry.name))
            return pids

        self.pool.wait_until(lambda: bool(found()), f"a process of {node}")
        os.kill(min(found()), signal.SIGKILL)

    def kill_dagman(self, run: Run) -> None:
        """Kill the DAGMan of a run; the schedd starts it again."""
        (pid,) = (
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _is_dagman(entry, run.folder.dag)
        )
        os.kill(pid, signal.SIGKILL)

    def open_again(self, run: Run, *nodes: str) -> None:
        """Take results of nodes out of a finished run."""
        for name in nodes:
            self.pool.run("rm", "-r", str(run.node(run.graph[name]).path))

    def edit(self, path: Path, old: str, new: str) -> None:
        """Change a planned file, as its owner may."""
        text = path.read_text()
        assert re.search(old, text, re.MULTILINE), f"{path.name} has no {old}"
        path.write_text(re.sub(old, new, text, flags=re.MULTILINE))

    def assert_same_products(self, run: Run) -> None:
        """All FITS files have the reference's pixels, bit for bit, and its header but for times and free memory."""
        theirs = Run.read(self.reference.run).folder.products
        assert {path.name for path in theirs.iterdir()} == {path.name for path in run.folder.products.iterdir()}
        names = sorted(path.name for path in theirs.glob("*.fits"))
        assert len(names) == 19
        assert [name for name in names if _content(theirs / name) != _content(run.folder.products / name)] == []

    def result(self, run: Run, node: str) -> NodeResult:
        """The result of a node that is done."""
        result = read_result(run.node(run.graph[node]).result)
        assert result is not None
        return result


def _is_dagman(process: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        line = (process / "cmdline").read_bytes()
        return line.startswith(b"condor_scheduniv_exec") and (process / "cwd").readlink() == folder
    return False


_OF_THE_RUN = ("DATE", "HISTORY", "MEMAVAIL", "CHECKSUM")
"""Header keywords that tell when and where a file was made."""


def _content(path: Path) -> tuple[bytes, list[tuple[str, object]]]:
    with fits.open(path) as hdus:
        cards = [(card.keyword, card.value) for card in hdus[0].header.cards if card.keyword not in _OF_THE_RUN]
        return hdus[0].data.tobytes(), cards


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small disk in the place of a folder; gives the path of a file for `fill`. Only root can."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    owner = folder.stat()
    options = f"size=1g,mode=755,uid={owner.st_uid},gid={owner.st_gid}"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder / "ballast"
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Write a file until the disk is full."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**20))
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(2**10))


def make_reference(pool: RunningPool) -> Reference:
    """Simulate the smallest job and run it with the local engine and the pool's Python; kept for the next time."""
    first = pool.folder.with_name("pool-test") / "work"  # another pool of the tests may have made it
    folder = (first if first.is_dir() else pool.work) / f"reference-{source_hash('ccip_batch')}"
    job, run = folder / "job" / "job.yaml", folder / "run"
    python = str(pool.job_python)
    with alone(folder):
        if not job.is_file():
            pool.run("rm", "-rf", str(folder))
            pool.run("mkdir", str(folder))
            pool.run(python, "-m", "ccip_batch", "simulate", str(job.parent), "--preset", "small")
        pool.run(python, "-m", "ccip_batch", "run", str(job), "--run-dir", str(run), "--set", "execution.keep=all")
    assert json.loads((run / "nodes" / "publish" / "result.json").read_text())
    return Reference(job, run)
