"""Runs one node: its folder, its worker process, what became of it, the exit code.

The supervisor here never touches CASA: CASA may abort its process, and somebody must be left to say what happened.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from ccip_batch import processes
from ccip_batch.errors import CcipError, DataError, ExitCode, RunFolderError, says_disk_is_full
from ccip_batch.imaging.checkpoint import Checkpoint
from ccip_batch.nodes import apptainer
from ccip_batch.records import sync_tree
from ccip_batch.run.failures import Ending, NodeFailure, attempt_number, judge, judge_supervisor, make_failure, tail_of
from ccip_batch.run.folder import RunFolder, lock_file
from ccip_batch.run.results import OUTCOME, NodeResult, Outcome, StageRecord, Usage
from ccip_batch.run.run import Run
from ccip_batch.workflow.estimates import time_limit_s
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import KINDS

LOCK_WAIT_S = 20.0
"""How long a process of the node that was killed may take to go."""

POLL_S = 0.1
POLLS_A_LOOK = 10
"""Polls from one look at the memory to the next."""
KILL_WAIT_S = 60.0
"""How long to wait for a worker that was killed: it may hang in the kernel, on a file server that is gone."""

FULL_BYTES = 16 << 20
"""A disk with less than this is full: CASA does not always say why it failed, and not always in words."""

TIDY_S = 30.0
"""How long Apptainer may take to tidy up: it may have unpacked the image."""


class Stopped(BaseException):
    """SIGTERM or SIGINT came."""


def run_node(run: Run, name: str) -> ExitCode:
    """Run a node unless it is done, and say on standard error what went wrong if something did."""
    node = run.named(name)
    folder = run.node(node)
    folder.path.mkdir(parents=True, exist_ok=True)
    with lock_file(folder.lock, LOCK_WAIT_S) as descriptor:
        if descriptor is None:
            raise RunFolderError(f"node {name} is being run by another process.")
        run = Run.read(run.folder)  # the job may have changed while this waited
        if run.is_done(node) and not folder.cleaned.exists():
            print(f"{name} is already done", flush=True)
            return ExitCode.DONE
        for parent in node.parents:
            if parent not in node.may_fail and run.result(parent) is None:
                raise DataError(f"{name} needs {parent}, which is not done; run it first.")
        gone = [parent.name for parent in run.lacks_output_of(node)]
        if gone:
            raise DataError(
                f"{name} needs what {gone[0]} made, which was removed after the export; run {gone[0]} first."
            )
        return _Attempt(run, node, descriptor).start()


class _Attempt:
    """One try at a node."""

    def __init__(self, run: Run, node: Node, lock: int) -> None:
        self.run = run
        self.node = node
        self.folder = run.node(node)
        self.fingerprint = run.fingerprint(node)
        self.lock = lock
        self.container = apptainer.of_node(run.job, run.folder.path)
        self.attempts = attempt_number(run.failure(node) or run.result(node), self.fingerprint)
        self.started = time.time()
        self.limit_s = time_limit_s(run.job, node)
        self.timed_out = False
        self.peak_memory = 0
        """Largest resident set of all processes of the worker together, as far as it was seen, bytes."""

    def start(self) -> ExitCode:
        self._prepare()
        try:
            code, usage = self._work()
        except Stopped:
            print(f"{self.node.name}: stopped by the user", file=sys.stderr, flush=True)
            return ExitCode.INTERRUPTED
        if code == 0 and (self.folder.work / OUTCOME).is_file():
            self._finish(usage)
            return ExitCode.DONE
        if code == ExitCode.CHECKPOINT:
            print(f"{self.node.name}: saved its work, to go on from there", flush=True)
            return ExitCode.CHECKPOINT
        return self._fail(code, usage)

    def _prepare(self) -> None:
        """Empty the folder of what an earlier try left, but for its logs, which are kept aside once."""
        folder = self.folder
        old = [folder.result, folder.failure, folder.error, folder.cleaned, folder.damaged, folder.progress]
        checkpoint = Checkpoint(folder.checkpoint, self.fingerprint)
        goes_on = KINDS[self.node.kind].checkpoints and checkpoint.load() is not None
        if not goes_on:
            checkpoint.clear()
            old.append(folder.casa_commands)
        for path in old:
            path.unlink(missing_ok=True)
        if folder.out_before.exists() and not folder.out.exists():
            folder.out_before.rename(folder.out_place)
        shutil.rmtree(folder.out_before, ignore_errors=True)
        for path in (folder.work, folder.stages):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
        shutil.rmtree(folder.path / "replay", ignore_errors=True)
        folder.out_now.mkdir()
        for log in (folder.casa_log, folder.log):
            if log.exists() and not goes_on:
                log.replace(log.with_name(log.name + ".before"))

    def _work(self) -> tuple[int, Usage]:
        """Run the worker to its end; gives its exit code (negative: the signal) and what it used."""
        clock = time.monotonic()
        worker = self._start_worker()
        signals = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, _stop) for number in signals}
        try:
            status, used = self._wait(worker)
        except Stopped:
            for number in signals:  # another one would break off the end of the worker
                signal.signal(number, signal.SIG_IGN)
            _end(worker)
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        worker.returncode = os.waitstatus_to_exitcode(status)
        return worker.returncode, Usage(
            cpu_s=used.ru_utime + used.ru_stime,
            peak_memory_bytes=max(used.ru_maxrss * 1024, self.peak_memory),
            wall_s=time.monotonic() - clock,
            cores=processes.cores(),
        )

    def _wait(self, worker: subprocess.Popen[bytes]) -> tuple[int, resource.struct_rusage]:
        """Wait for the worker, and kill it when its time is over; gives its status and what it used.

        Polls are counted, so that time in which a batch system suspended both processes does not count.
        """
        ended = _reap(worker.pid, self.limit_s, self._look_at_memory)
        if ended is None:
            self.timed_out = True
            if worker.stdin is not None:  # tells the process in the image
                worker.stdin.close()
                ended = _reap(worker.pid, TIDY_S)
        if ended is None:
            os.kill(worker.pid, signal.SIGKILL)
            ended = _reap(worker.pid, KILL_WAIT_S)
        return ended or (signal.SIGKILL, resource.getrusage(resource.RUSAGE_CHILDREN))

    def _look_at_memory(self, worker: int) -> None:
        """The kernel tells the peak of the largest process alone, but `restore` has several."""
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(worker)
            now = sum(one.memory_info().rss for one in (first, *first.children(recursive=True)))
            self.peak_memory = max(self.peak_memory, now)

    def _start_worker(self) -> subprocess.Popen[bytes]:
        command = processes.python_module(
            "ccip_batch.nodes.worker", str(self.run.folder.path), self.node.name, self.fingerprint
        )
        if self.container is None:
            stdin, environment = subprocess.DEVNULL, processes.child_environment()
        else:  # in there a process cannot see this one, but it notices when a pipe is closed
            command = self.container.command("python3", *command[1:])
            stdin, environment = (
                subprocess.PIPE,
                apptainer.environment(
                    {
                        processes.PARENT_VARIABLE: processes.STANDARD_INPUT,
                        "OMP_NUM_THREADS": "1",
                        processes.CORES_VARIABLE: str(processes.cores()),
                    }
                ),
            )
        with self.folder.log.open("a") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=stdin,
                env={**environment, "OMP_NUM_THREADS": "1"},
                pass_fds=(self.lock,),  # whoever is left of the two keeps the node to itself
            )

    def _finish(self, usage: Usage) -> None:
        """Give the output its place, then write the result: in this order, for the result says that all is there."""
        folder = self.folder
        outcome = Outcome.model_validate_json((folder.work / OUTCOME).read_bytes())
        folder.out_place.parent.mkdir(parents=True, exist_ok=True)
        if folder.out.exists():
            folder.out_place.rename(folder.out_before)
        folder.out_now.rename(folder.out_place)
        sync_tree(folder.out)
        stages = [StageRecord.model_validate_json(path.read_bytes()) for path in sorted(folder.stages.glob("*.json"))]
        result = NodeResult(
            node=self.node.name,
            kind=self.node.kind,
            spw=self.node.group.selection if self.node.group else None,
            fingerprint=self.fingerprint,
            summary=outcome.summary,
            started=self.started,
            ended=time.time(),
            host=socket.gethostname(),
            attempts=self.attempts,
            usage=usage,
            versions={**outcome.versions, **self._image_version()},
            self_checks=outcome.self_checks,
            stages=stages,
            files=outcome.files,
            outputs=outcome.outputs,
        )
        result.sealed().save(folder.result)
        shutil.rmtree(folder.out_before, ignore_errors=True)
        shutil.rmtree(folder.stages, ignore_errors=True)
        shutil.rmtree(folder.checkpoint, ignore_errors=True)
        folder.progress.unlink(missing_ok=True)
        if self.run.job.execution.keep != "all":
            shutil.rmtree(folder.work, ignore_errors=True)
            shutil.rmtree(folder.path / "casa_home", ignore_errors=True)
        print(f"{self.node.name}: {outcome.summary}", flush=True)

    def _image_version(self) -> dict[str, str]:
        image = self.run.job.versions.get("image")
        return {"image": image} if image else {}

    def _fail(self, code: int, usage: Usage) -> ExitCode:
        tail = tail_of(self.folder.log)
        exit_code, cause = judge(self._ending(code, tail))
        failure = make_failure(
            self.run.folder.path,
            self.node,
            exit_code,
            cause,
            fingerprint=self.fingerprint,
            attempts=self.attempts,
            stage=self._stage(),
            started=self.started,
            usage=usage,
            tail=tail,
        )
        if _disk_is_full(self.folder.path):  # make room to say so; what a checkpoint saved stays
            shutil.rmtree(self.folder.work, ignore_errors=True)
        print(f"{self.node.name} failed: {cause}", file=sys.stderr, flush=True)
        failure.save(self.folder.failure)
        return exit_code

    def _ending(self, code: int, tail: list[str]) -> Ending:
        return Ending(
            code=code,
            tail=tail,
            said=self._said(),
            limit_s=self.limit_s if self.timed_out else None,
            disk_is_full=_disk_is_full(self.folder.path),
            image=str(self.container.image) if self.container else "",
            not_started=self.container is not None and code == apptainer.NOT_STARTED,
        )

    def _said(self) -> tuple[ExitCode, str] | None:
        """What the worker said of its failure."""
        try:
            said = json.loads(self.folder.error.read_bytes())
            return ExitCode(said["exit_code"]), str(said["cause"])
        except (OSError, ValueError, KeyError):
            return None

    def _stage(self) -> str | None:
        try:
            return str(json.loads(self.folder.progress.read_bytes())["stage"])
        except (OSError, ValueError, KeyError):
            return None


def supervisor_failure(run: Run, node: Node, code: int, started: float) -> NodeFailure:
    """Write the failure of a node whose supervisor ended without saying so itself."""
    folder = run.node(node)
    tail = tail_of(folder.supervisor_log)
    exit_code, cause = judge_supervisor(code, tail, _disk_is_full(run.folder.path))
    used = Usage(cpu_s=0.0, peak_memory_bytes=0, wall_s=time.time() - started)
    failure = make_failure(run.folder.path, node, exit_code, cause, started=started, usage=used, tail=tail)
    with contextlib.suppress(OSError):  # on a full disk it is told on the terminal alone
        failure.save(folder.failure)
    return failure


def _reap(
    worker: int, seconds: float, look: Callable[[int], None] = lambda _: None
) -> tuple[int, resource.struct_rusage] | None:
    """Wait for a child to end; gives its status and what it used, None if it has not ended in that time.

    look: called with its id about once a second.
    """
    for poll in range(1 + round(seconds / POLL_S)):
        pid, status, used = os.wait4(worker, os.WNOHANG)
        if pid:
            return status, used
        if poll % POLLS_A_LOOK == 0:
            look(worker)
        time.sleep(POLL_S)
    return None


def _disk_is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < FULL_BYTES


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End a worker. One in an image is told by its standard input, so that Apptainer can tidy up after it."""
    if worker.stdin is not None:
        worker.stdin.close()
        try:
            worker.wait(TIDY_S)
        except subprocess.TimeoutExpired:
            worker.kill()
    else:
        worker.kill()
    worker.wait()


def _stop(number: int, frame: object) -> None:
    raise Stopped


def main(folder: RunFolder, name: str) -> ExitCode:
    """What `ccip-batch node` does. Errors that have an explanation are printed; the exit code is returned."""
    processes.die_with_parent()
    try:
        return run_node(Run.read(folder), name)
    except CcipError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except OSError as error:
        if not says_disk_is_full(error):
            raise
        with contextlib.suppress(OSError):  # where this goes to a file, there may be no room for it either
            print(f"{name}: the disk is full: {error}", file=sys.stderr, flush=True)
        return ExitCode.RESOURCES
