"""One case of the fault suite: a run folder of the smallest job, in which some nodes have to run again."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from astropy.io import fits

ROOT = Path(__file__).parents[2]
NODES = {
    "restore": "restore",
    "image": "image_spw17",
    "analyze": "analyze",
    "export": "export_spw17",
    "publish": "publish",
}
"""A node of each kind, that of the plane that has data."""
SIZES = {"channels": 2, "fields": 1, "pixels": 112, "cell": 8.0, "niter": 20}
"""The smallest job: one plane that is imaged, and an empty one."""
OPTIONS = ("imaging.spw=['9', '17']", "imaging.nmajor=2", "execution.keep=all")
LONGEST_S = 1800
"""No command of a case takes longer; it hangs if it does."""


class LostError(Exception):
    """The fault was not survived: data lost, a wrong product, a hang, a process left, an error that says nothing."""


class MissedError(Exception):
    """The fault could not be set this time: the run was over before the moment came."""


class ImpossibleError(Exception):
    """This machine does not permit the fault."""


class Reference:
    """The finished run that all cases start from, made once a build folder."""

    def __init__(self, folder: Path) -> None:
        self.inputs = folder / "inputs"
        self.run = folder / "run"
        self._make()
        self.digest = digest(self.run)
        self.input_sums = sums_of(self.inputs)

    def _make(self) -> None:
        from ccip_batch.simulate import simulate

        if not (self.inputs / "job.yaml").is_file():
            shutil.rmtree(self.inputs, ignore_errors=True)
            simulate(self.inputs, "small", 1, print, **SIZES)  # type: ignore[arg-type]
        done = subprocess.run(command(self.inputs / "job.yaml", self.run), stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise SystemExit(f"the job without any fault ended with exit code {done.returncode}; see {self.run}")

    def bytes_of(self, node: str) -> int:
        """Disk that a node takes while it works."""
        return sum(path.stat().st_size for path in (self.run / "nodes" / node).rglob("*") if path.is_file())


class Case:
    """A copy of the finished run, in which some nodes are to run again."""

    def __init__(self, reference: Reference, folder: Path, rng: random.Random) -> None:
        self.reference = reference
        self.folder = folder
        self.rng = rng
        self.inputs = reference.inputs
        self.run = folder / "run"
        self.process: subprocess.Popen[str] | None = None
        self.notes: list[str] = []
        """What was done, for the record."""

    def prepare(self, *kinds: str) -> None:
        """Copy the run and forget the nodes of these kinds; `restore` takes the rest with it."""
        kinds = tuple(NODES) if "restore" in kinds else kinds
        shutil.copytree(self.reference.run, self.run, symlinks=True, ignore=shutil.ignore_patterns("work", "casa_home"))
        for kind in kinds:
            shutil.rmtree(self.node(kind))
            for out in {"export": ["planes/spw17"], "publish": ["products"]}.get(kind, []):
                shutil.rmtree(self.run / out)

    def own_inputs(self) -> None:
        """Give the case inputs of its own."""
        self.inputs = self.folder / "inputs"
        shutil.copytree(self.reference.inputs, self.inputs)

    def node(self, kind: str) -> Path:
        """Folder of the node of a kind."""
        return self.run / "nodes" / NODES[kind]

    def start(self, *options: str, **environment: str) -> None:
        """Start `ccip-batch run`."""
        self.process = subprocess.Popen(
            command(self.inputs / "job.yaml", self.run, *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,  # a Ctrl-C at the suite itself is not one of its faults
        )

    def end(self) -> tuple[int, str]:
        """Wait for the run to end; gives its exit code and what it printed."""
        assert self.process is not None
        try:
            printed, _ = self.process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise LostError(f"ccip-batch run hung for {LONGEST_S} s") from None
        if "\nTraceback" in f"\n{printed}":  # those of a node's log are indented
            raise LostError(f"an error without an explanation:\n{printed}")
        return self.process.returncode, printed

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something happens. Raises MissedError if the run is done before, LostError if it failed."""
        assert self.process is not None
        end = time.monotonic() + LONGEST_S
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                code, printed = self.end()
                if code != 0:
                    raise LostError(f"the run failed by itself with exit code {code}:\n{printed}")
                raise MissedError("the run ended before")
            time.sleep(0.002)

    def processes(self) -> list[psutil.Process]:
        """All processes of this run."""
        return [one for one in psutil.process_iter() if str(self.run) in _words(one)]

    def worker(self) -> psutil.Process:
        """The process that does a node's work. Raises MissedError if there is none."""
        return self._process("ccip_batch.nodes.worker")

    def supervisor(self) -> psutil.Process:
        """The process that watches the worker. Raises MissedError if there is none."""
        return self._process("node")

    def _process(self, word: str) -> psutil.Process:
        for one in self.processes():
            if word in _words(one):
                return one
        raise MissedError(f"no process {word}")

    def fails(self, *words: str) -> None:
        """The run must end with an error that has one of these words in it."""
        code, printed = self.end()
        self.notes.append(f"exit code {code}")
        if code == 0:
            raise MissedError("the run ended well")
        if words and not any(word in printed for word in words):
            raise LostError(f"exit code {code}, and nothing of {words} in what was printed:\n{printed}")
        self._explained()

    def _explained(self) -> None:
        """No node may have failed with an error that was not foreseen."""
        for path in self.run.glob("nodes/*/failure.json"):
            failure = json.loads(path.read_bytes())
            if failure["exit_code"] == 1:
                raise LostError(f"{failure['node']} failed with what nobody foresaw: {failure['cause']}")

    def finish(self, tries: int = 1) -> None:
        """Run again, `tries` times at most: the same products, to the last pixel, and nothing left running."""
        self._nothing_left()
        for left in reversed(range(tries)):
            self.start()
            code, printed = self.end()
            if code == 0:
                break
            self.notes.append(f"exit code {code}: {printed.strip().splitlines()[-1]}")
            self._explained()
            if not left:
                raise LostError(f"running again ended with exit code {code}:\n{printed}")
        self.check()

    def check(self) -> None:
        """The products are those of the run without a fault, the inputs as they were, and no process is left."""
        self._nothing_left()
        now = digest(self.run)
        if now != self.reference.digest:
            names = sorted(
                name for name in {**now, **self.reference.digest} if now.get(name) != self.reference.digest.get(name)
            )
            raise LostError(f"differs from the run without a fault: {', '.join(names)}")
        if sums_of(self.inputs) != self.reference.input_sums:
            raise LostError("the inputs were changed")

    def _nothing_left(self) -> None:
        for _ in range(600):
            if not self.processes():
                return
            time.sleep(0.1)
        raise LostError(f"processes are left: {[_words(one) for one in self.processes()]}")

    def stop(self) -> None:
        """End what is left of the case."""
        for one in self.processes():
            one.kill()


def command(job: Path, run: Path, *options: str) -> list[str]:
    """The command line that runs the smallest job."""
    settings = [word for option in (*OPTIONS, *options) for word in ("--set", option)]
    return [sys.executable, "-m", "ccip_batch", "run", str(job), "--run-dir", str(run), *settings]


def _words(process: psutil.Process) -> list[str]:
    try:
        return [] if process.status() == psutil.STATUS_ZOMBIE else process.cmdline()
    except psutil.Error:
        return []


def sums_of(folder: Path) -> dict[str, str]:
    """Checksums of all files in a folder but CASA's lock files."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "table.lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def digest(run: Path) -> dict[str, str]:
    """What must be the same after every fault: all pixels, samples, and what `analyze` decided."""
    found = {}
    for folder in ("products", "planes", "nodes"):
        for path in sorted((run / folder).rglob("*.fits")):
            if "work" not in path.relative_to(run).parts:
                header, data = fits.getheader(path), fits.getdata(path)
                cards = [
                    repr(header.get(key)) for key in ("VLASSRJ", "VLASSSPW", "BMAJ", "BMIN", "BPA", "CRVAL1", "CRVAL2")
                ]
                found[str(path.relative_to(run))] = _hash(str(cards).encode() + data.tobytes())
    for path in sorted(run.glob("nodes/*/out/*.npz")):
        with np.load(path) as arrays:
            found[str(path.relative_to(run))] = _hash(b"".join(arrays[name].tobytes() for name in sorted(arrays)))
    for node, stage in ((NODES["analyze"], "analyzestokescubes"), (NODES["restore"], "editimlist_cube")):
        found[f"{node} {stage}"] = _hash(json.dumps(_stage(run, node, stage), sort_keys=True).encode())
    found["products"] = _hash("\n".join(sorted(path.name for path in (run / "products").iterdir())).encode())
    return found


def _stage(run: Path, node: str, stage: str) -> Any:
    records = json.loads((run / "nodes" / node / "result.json").read_bytes())["stages"]
    return next(record["result"] for record in records if record["name"] == stage)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
