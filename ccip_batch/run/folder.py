"""The run folder: one job's whole memory. Its layout stands here and nowhere else.

job.yaml  job.resolved.yaml        the config as given; with everything decided
dag/                               fingerprints of the inputs; what an engine writes to run the job
nodes/<node>/                      a node's work, logs and result
planes/<group>/                    the FITS files of a plane
products/                          what goes to the archive
report/index.html
faraday/                           pictures of `cube --rm`, which the report shows
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ccip_batch.errors import RunFolderError, says_disk_is_full
from ccip_batch.job.config import ResolvedJob
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import KINDS


class NodeFolder:
    """The folder of one node, and where it leaves what the next nodes need."""

    def __init__(self, run: Path, node: Node) -> None:
        self.path = run / "nodes" / node.name
        self.work = self.path / "work"
        """CASA's working folder, removed when the node is done."""
        self.result = self.path / "result.json"
        """Written last: if it is there and fits, the node is done."""
        self.failure = self.path / "failure.json"
        self.error = self.path / "error.json"
        """What the worker process says of its failure, before its supervisor judges it."""
        self.progress = self.path / "progress.json"
        self.stages = self.path / "stages"
        """One JSON file per stage, while the node runs."""
        self.log = self.path / "node.log"
        self.supervisor_log = self.path / "supervisor.log"
        """What the supervisor printed, if the local engine ran it."""
        self.casa_log = self.path / "casa.log"
        self.casa_commands = self.path / "casa_commands.py"
        self.checkpoint = self.path / "checkpoint"
        """Saves of the imaging, there until the node is done."""
        self.lock = self.path / ".lock"
        self.out_now = self.work / "out"
        """Where the running node puts what it gives to others."""
        self.out_before = run / "nodes" / node.name / "out.before"
        """Output of an earlier try, while the new one takes its place."""
        self.damaged = self.path / "damaged"
        """Exists when another node found a file of this one changed: the next run repeats it."""
        self.cleaned = self.path / "cleaned"
        """Exists when what the node gave to others was removed after the export."""
        group = node.group.name if node.group else ""
        self.out = run / KINDS[node.kind].leaves.format(node=node.name, group=group)

    @property
    def out_place(self) -> Path:
        """Where `out` is or will be: on another disk, if it is a link to there (engines/htcondor/staging.py)."""
        return self.out.resolve()


class RunFolder:
    """A run folder and what is read from it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # so that what a node finds from its working folder is inside
        self.job = self.path / "job.yaml"
        self.resolved = self.path / "job.resolved.yaml"
        self.dag = self.path / "dag"
        self.inputs = self.dag / "inputs.json"
        self.history = self.dag / "history.jsonl"
        """A line each time an engine starts and ends."""
        self.pool = self.dag / "pool.json"
        """What the pool's event logs tell of the nodes."""
        self.part = self.path / ".part"
        """Exists in the sandbox of a node: of what other nodes left, only what that node needs is here."""
        self.tidied = self.path / "tidied"
        """Exists when the run is done and its nodes were removed."""
        self.products = self.path / "products"
        self.report = self.path / "report"
        self.faraday = self.path / "faraday"

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """An existing run folder. Raises RunFolderError if `path` is not one."""
        run = cls(path)
        if not run.resolved.is_file():
            raise RunFolderError(f"{path} is not a run folder: it has no {run.resolved.name}.")
        return run

    @classmethod
    def around(cls, path: Path) -> RunFolder:
        """The run folder that is at `path`, or that `path` is in. Raises RunFolderError if there is none."""
        for folder in (path.absolute(), *path.resolve().parents) if path.exists() else ():
            if cls(folder).resolved.is_file():
                return cls(folder)
        if path == Path():
            raise RunFolderError("the current folder is in no run folder. Name one.")
        try:
            here = cls.around(Path()).path
        except RunFolderError:
            return cls.existing(path)
        raise RunFolderError(f"{path} is not a run folder here, in {here}. Leave it out: that run is taken.")

    def read_job(self) -> ResolvedJob:
        """The resolved job. Raises RunFolderError or ConfigError."""
        try:
            return ResolvedJob.from_yaml(self.resolved.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise RunFolderError(
                f"{self.path} is not a run folder, or {self.resolved.name} is damaged: {error}"
            ) from error

    def disk_taken(self) -> int:
        """Bytes of disk that it takes; a file with two names in it counts once, and links are not followed."""
        seen: set[tuple[int, int]] = set()
        total = 0
        for root, _, names in os.walk(self.path):
            for name in names:
                try:
                    found = os.lstat(Path(root, name))
                except OSError:  # it was removed just now
                    continue
                if (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    total += found.st_blocks * 512
        return total

    def node(self, node: Node) -> NodeFolder:
        """The folder of a node."""
        return NodeFolder(self.path, node)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other engines out. Raises RunFolderError if one is at work here."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"{self.path} cannot be made: {error}. Give another folder with --run-dir.") from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise RunFolderError(f"you may not write to {self.path}. Give another folder with --run-dir.")
        with lock_file(self.path / ".lock") as held:
            if held is None:
                raise RunFolderError(f"{self.path} is in use by another run. Wait for it, or stop it, and try again.")
            yield


@contextmanager
def lock_file(path: Path, wait_s: float = 0.0) -> Iterator[int | None]:
    """Hold a lock on a file; gives its descriptor, or None if somebody else holds it for longer than `wait_s`.

    The lock ends with the last process that has the descriptor, however that process ends.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if says_disk_is_full(error):
            raise
        raise RunFolderError(
            f"{path} cannot be opened: {error.strerror}. Does the run folder belong to somebody else?"
        ) from error
    try:
        yield descriptor if _lock(descriptor, wait_s) else None
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock on a file; not, where there are no locks. Needs no permission to write."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # who only reads needs none
        return False
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int, wait_s: float) -> bool:
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.1)
        except OSError as error:
            raise RunFolderError(f"this file system has no locks, which a run needs: {error}") from error
