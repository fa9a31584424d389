"""The largest square degree that a machine of 24 GB and two cores carries within three hours, in a pool of its own.

    python tests/rehearsal/rehearsal.py [full|small] [--data DIR] [--plain] [--resume]

It simulates the job (or takes the one in --data, if it is there), starts a personal pool, plans, submits, and says what
goes on. The first plane that has a checkpoint is evicted; the last one asks for too little memory at first, and is
held for that. At the end stands what each kind of node was estimated to need and what it took, and what that means for
a whole square degree of 16 spws and 12500 pixels. The exit code is 0 if all products came, whole, and the eviction and
the hold were survived.

Time plan of `full` (four spws of 64 channels and 316,000 rows each, 6250 pixels; one major cycle a cleaning call; one
plane at a time, since two have no room in 24 GB):

    simulation                    10 min
    restore, two groups at once   45 min    (81 by its estimate, for one core)
    four planes, 13 min each      52 min    (some 5 of the 32 major cycles of the estimate, which is 77 min a plane)
    what the hold and the eviction lose     15 min at most: a plane is saved every 10 minutes
    four exports, two at once     13 min

It needs 60 GB of disk: a sandbox of `restore` takes up to 30, and what it gives back lies there twice for a while.
`small` takes four minutes: the preset of that name, 256 pixels.

With --resume, one that was killed goes on: nodes that are done are not repeated.

Tars and checkpoints go by http:// URLs to and from a file server on 127.0.0.1; with --plain, HTCondor transfers them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "pool"))
sys.path.insert(0, str(Path(__file__).parents[2] / "condor" / "pool"))

from helpers.file_server import serve
from pool import default_folder
from running_pool import RunningPool, call
from tables import extrapolation, node_table

from ccip_batch.engines.htcondor.dagman import DagFile, last_dag
from ccip_batch.engines.htcondor.event_log import JobState, NodeRow
from ccip_batch.engines.htcondor.state import earlier_holds, pool_rows
from ccip_batch.run.run import Run

SITE = "rehearsal"
PROFILE: dict[str, object] = {
    "description": "The personal pool of the rehearsal, with file transfer",
    "data": "transfer",
    "most_cores": 2,
    "retries": 2,
    "release_after": "10s",
}
_LOOK_S = 2.0
_SAY_S = 300.0
"""How often it is said that nothing has changed."""


@dataclass(frozen=True)
class Size:
    """A rehearsal."""

    preset: str
    checkpoint_s: int
    """Time between checkpoints, and between those that leave the machine."""
    little_memory: float
    """What the last plane asks for, as a share of what it should."""
    longest_h: float
    """Hours after which the run is given up."""


SIZES = {"full": Size("rehearsal", 600, 0.5, 4.0), "small": Size("small", 3, 0.2, 0.5)}


@dataclass
class Watch:
    """Follows the nodes of a run, and says what has changed."""

    run: Run
    began: float = field(default_factory=time.monotonic)
    said: dict[str, str] = field(default_factory=dict)
    last: float = 0.0

    def look(self) -> dict[str, NodeRow]:
        """What the event logs tell now."""
        rows = pool_rows(self.run)
        for name, row in rows.items():
            words = _words(row)
            if self.said.get(name) != words:
                self.said[name] = words
                self.say(f"{name} {words}")
        if time.monotonic() - self.last > _SAY_S:
            running = [name for name, row in rows.items() if row.state is JobState.RUNNING]
            self.say(f"running: {', '.join(running) or 'nothing'}")
        return rows

    def say(self, text: str) -> None:
        self.last = time.monotonic()
        say(f"{(self.last - self.began) / 60:6.1f} min  {text}")


def say(text: str) -> None:
    print(text, flush=True)


def _words(row: NodeRow) -> str:
    words = str(row.state)
    if row.hold is not None:
        words += f": {row.hold.reason}"
    if row.checkpoints:
        words += f", {row.checkpoints} checkpoints"
    return words


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Rehearse a square degree in a personal pool.")
    parser.add_argument("size", nargs="?", choices=SIZES, default="full")
    parser.add_argument("--data", type=Path, help="folder of the simulated job; made if it is not there")
    parser.add_argument("--plain", action="store_true", help="transfer files without URLs")
    parser.add_argument("--resume", action="store_true", help="go on with the rehearsal that is there")
    given = parser.parse_args(arguments)
    size = SIZES[given.size]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the pool is stopped then, too
    os.environ.setdefault("CCIP_POOL", str(default_folder("rehearsal")))
    try:
        pool = _start()
        data = (given.data or pool.work / f"data-{given.size}").absolute()
        with serve(pool.work) as server:
            url = "" if given.plain else server.url("served")
            return _rehearse(Rehearsal(pool, size, url, data, pool.work / f"run-{given.size}", given.resume))
    finally:
        call("down")


def _start() -> RunningPool:
    call("down")  # one that was killed left it
    call("job-python")
    call("up", "--memory-policy")
    for how in ((), ("-forcex",)):
        call("run", "--", "condor_rm", "-all", *how, check=False)
    return RunningPool.present()


@dataclass(frozen=True)
class Rehearsal:
    """What is rehearsed, and where."""

    pool: RunningPool
    size: Size
    url: str
    """Of the folder `served`; empty for transfer without URLs."""
    data: Path
    folder: Path
    resumed: bool
    """Whether a run that was begun before goes on."""

    def ccip(self, *arguments: str | Path) -> str:
        """Output of ccip-batch as the pool's user."""
        sites = f"CCIP_SITES={self.pool.work / 'sites'}"
        return self.pool.run("env", sites, str(self.pool.job_python), "-m", "ccip_batch", *map(str, arguments))

    def simulate(self) -> None:
        """Simulate the job, unless it is there."""
        if (self.data / "job.yaml").is_file():
            return
        began = time.monotonic()
        self.ccip("simulate", self.data, "--preset", self.size.preset)
        say(f"simulated {self.data} in {(time.monotonic() - began) / 60:.1f} min")

    def plan(self) -> Run:
        """Plan it, with too little memory for the last plane."""
        profile = {**PROFILE, "htcondor": self.pool.version, "checkpoint_every": self.size.checkpoint_s}
        served = self.pool.work / "served"
        if self.url:
            profile |= {"urls": {str(served): self.url}, "checkpoint_destination": f"{self.url}/checkpoints"}
        if not self.resumed:
            shutil.rmtree(served, ignore_errors=True)  # the file server, which is this process, put files there
            self.pool.run("rm", "-rf", str(self.folder))
        self.pool.run("mkdir", "-p", str(self.pool.work / "sites"), str(served))
        text = yaml.safe_dump(profile)
        self.pool.run("sh", "-c", 'printf %s "$0" > "$1"', text, str(self.pool.work / "sites" / f"{SITE}.yaml"))
        sets = (
            "execution.engine=htcondor",
            f"execution.site={SITE}",
            f"execution.checkpoint_interval={self.size.checkpoint_s}",
        )
        options = [word for one in sets for word in ("--set", one)]
        self.ccip("plan", self.data / "job.yaml", "--run-dir", self.folder, *options)
        run = Run.read(self.folder)
        dag = run.folder.dag / "ccip.dag"
        text, number = re.subn(
            rf'^(VARS {planes(run)[-1]} .*memory=)"(\d+)"',
            lambda found: f'{found[1]}"{max(128, int(int(found[2]) * self.size.little_memory))}"',
            dag.read_text(),
            flags=re.MULTILINE,
        )
        if number != 1:
            raise SystemExit(f"{dag} has no memory of {planes(run)[-1]} to change")
        self.pool.run("sh", "-c", 'printf %s "$0" > "$1"', text, str(dag))
        return run

    def follow(self, run: Run) -> tuple[int, str]:
        """Submit it and wait; gives DAGMan's exit code, and the node that was evicted after its first checkpoint."""
        self.ccip("resume" if self.resumed else "submit", run.folder.path)
        watch = Watch(run)
        evicted = next((name for name, row in pool_rows(run).items() if row.evictions), "")
        while (dag := last_dag(DagFile.of(run.folder))) is not None and dag.alive:
            rows = watch.look()
            for name in planes(run)[:-1]:
                row = rows.get(name)
                if not evicted and row is not None and row.checkpoints and row.state is JobState.RUNNING:
                    evicted = name
                    watch.say(f"{name} is evicted")
                    self.pool.run("condor_vacate_job", row.job)
            if time.monotonic() - watch.began > 3600 * self.size.longest_h:
                self.ccip("cancel", run.folder.path)
                raise SystemExit(f"given up after {self.size.longest_h} h; {run.folder.path} has what came")
            time.sleep(_LOOK_S)
        watch.look()
        out = (run.folder.dag / "ccip.dag.dagman.out").read_text()
        code = int(out.rpartition("EXITING WITH STATUS")[2].split()[0])
        watch.say(f"the DAG has ended with exit code {code}")
        return code, evicted


def planes(run: Run) -> list[str]:
    """The nodes that image."""
    return [node.name for node in run.graph.nodes if node.kind == "image"]


def _rehearse(rehearsal: Rehearsal) -> int:
    rehearsal.simulate()
    run = rehearsal.plan()
    code, evicted = rehearsal.follow(run)
    say(node_table(run))
    say(extrapolation(run))
    rows = pool_rows(run)
    last = planes(run)[-1]
    checks: dict[str, Callable[[], bool]] = {
        "the DAG has ended well": lambda: code == 0,
        "the products are whole": lambda: bool(rehearsal.ccip("verify", run.folder.path)),
        f"{evicted or 'a plane'} was evicted and went on": lambda: (
            rows[evicted].evictions > 0 and run.result(evicted) is not None
        ),
        f"{last} was held for its memory and went on": lambda: (
            bool(earlier_holds(run.folder, run.graph[last])) and run.result(last) is not None
        ),
    }
    return 1 if [what for what, check in checks.items() if not _passed(what, check)] else 0


def _passed(what: str, check: Callable[[], bool]) -> bool:
    try:
        passed, why = check(), ""
    except (AssertionError, KeyError) as error:
        passed, why = False, f": {error}"
    say(f"{'yes' if passed else 'NO '}  {what}{why}")
    return passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
