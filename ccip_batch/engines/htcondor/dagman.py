"""DAGMan from outside: submit a DAG, remove it, tell whether it is at work, write its rescue file.

The command line tools are called, not the bindings: those on the PATH are always of the pool's version and speak its
security, whatever Python this is.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccip_batch.engines.htcondor.plan import DAG
from ccip_batch.errors import CcipError, ConfigError, RunFolderError
from ccip_batch.records import write_whole
from ccip_batch.run.folder import RunFolder

MOST_SLOTS = 5000
"""So many slots of a large pool tell which machines there are; an ad has some 10 kB."""
_SECONDS = 120
"""A tool that has not answered by then never will."""
_JOB_REMOVED = 3
"""JobStatus of a job that condor_rm was given, until it has left the queue."""
_REMOVAL_S = 120.0
"""DAGMan takes its nodes out of the queue and writes the report before it goes: some seconds."""
_LOOK_S = 1.0
_HEAD = re.compile(r"^(\d{3}) \((\d+)\.\d+\.\d+\)(?:.*[?&]alias=([^&>\s]+))?", re.MULTILINE)
"""The first line of an event: its number, the cluster and, of a submission, HTCondor's name of the host."""
_RESCUE = re.compile(rf"{re.escape(DAG)}\.rescue(\d{{3}})$")


@dataclass(frozen=True)
class DagFile:
    """The file of a DAG: that of a run, or the outer one of a campaign. What DAGMan writes is beside it."""

    folder: Path
    name: str = DAG

    @classmethod
    def of(cls, run: RunFolder) -> DagFile:
        """That of a run."""
        return cls(run.dag)

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name

    @property
    def log(self) -> Path:
        """DAGMan's own event log."""
        return self.folder / f"{self.name}.dagman.log"


@dataclass(frozen=True)
class Dag:
    """The last submission of a run's DAG."""

    cluster: int
    alive: bool
    """Whether its job is in the queue, as far as its event log tells."""
    held: bool
    host: str = ""
    """HTCondor's name of the host whose queue it was put into; empty if its log does not tell."""


@dataclass(frozen=True)
class Queue:
    """What condor_q says of a DAG that is in the queue by its log."""

    status: int | None
    """JobStatus of DAGMan's job, 0 if it is none that is known; None if its job is not there."""
    nodes: int = 0
    """Jobs of its nodes."""
    is_its_own: bool = True
    """Whether it is the queue of the host that the DAG was submitted on."""

    @property
    def has_lost_it(self) -> bool:
        """Whether DAGMan's job has left the queue, and nobody wrote that into its log."""
        return self.status is None and self.is_its_own


def last_dag(file: DagFile) -> Dag | None:
    """The last submission, from DAGMan's own event log; None if there was none. Needs no pool."""
    try:
        text = file.log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    cluster, alive, held, submitted_on = None, False, False, ""
    for number, job, host in _HEAD.findall(text):
        if number == "000":
            cluster, alive, held, submitted_on = int(job), True, False, host
        elif cluster == int(job):
            alive = alive and number not in ("005", "009")
            held = number == "012" or (held and number != "013")
    return None if cluster is None else Dag(cluster, alive, held, submitted_on)


def wait_for_removal(file: DagFile) -> None:
    """Wait until a DAG that is being removed has left the queue, but not for ever."""
    end, said = time.monotonic() + _REMOVAL_S, False
    while (dag := last_dag(file)) and dag.alive and time.monotonic() < end:
        if queue_if_it_answers(file, dag).status != _JOB_REMOVED:
            return
        if not said:
            print(
                f"DAG {dag.cluster} is being removed from the queue: waiting for its end", file=sys.stderr, flush=True
            )
            said = True
        time.sleep(_LOOK_S)


def refuse_while_alive(folder: RunFolder) -> None:
    """Raise RunFolderError if the run's DAG is in the queue, or may be in one that is not to be asked from here.

    One that is being removed is waited for.
    """
    file = DagFile.of(folder)
    wait_for_removal(file)
    dag = last_dag(file)
    if dag is None or not dag.alive:
        return
    queue = queue_if_it_answers(file, dag)
    if not queue.has_lost_it:
        there = f" of {dag.host}" if dag.host and queue.status is None else ""
        lost = f" If that queue is lost, remove {file.log}." if queue.status is None else ""
        raise RunFolderError(
            f"the DAG of {folder.path} is in the queue{there} (job {dag.cluster}). "
            f"Wait for its end, or `ccip-batch cancel` it.{lost}"
        )
    if queue.nodes:
        raise RunFolderError(
            f"{lost_sentence(dag)}, but {queue.nodes} of its nodes are in it. `ccip-batch cancel {folder.path}` first."
        )


def queue_if_it_answers(file: DagFile, dag: Dag) -> Queue:
    """What the queue says; if it does not answer, that it may be another host's."""
    try:
        return ask_queue(file, dag)
    except CcipError:
        return Queue(None, is_its_own=False)


def is_in_queue(file: DagFile) -> bool:
    """Whether a DAG is in the queue, or may be in one that is not to be asked from here."""
    dag = last_dag(file)
    return dag is not None and dag.alive and not queue_if_it_answers(file, dag).has_lost_it


def lost_sentence(dag: Dag) -> str:
    """That a DAG is gone, without the full stop."""
    return f"DAG {dag.cluster} has left the queue without a record"


def ask_queue(file: DagFile, dag: Dag) -> Queue:
    """Ask the queue of this host for the DAG and its nodes. Raises ConfigError or RunFolderError if it does not answer.

    After an access point was installed anew, its clusters are numbered from 1 again: a job counts only if it is of this
    run folder.
    """
    constraint = f"ClusterId == {dag.cluster} || DAGManJobId == {dag.cluster}"
    attributes = "ClusterId,JobStatus,Iwd"
    said = _call(["condor_q", "-allusers", "-constraint", constraint, "-json", "-attributes", attributes], file)
    jobs = [job for job in _jobs_in(said) if _is_of(file, job)]
    own = [job.get("JobStatus") for job in jobs if job.get("ClusterId") == dag.cluster]
    if own:
        return Queue(own[0] if isinstance(own[0], int) else 0, len(jobs) - len(own))
    return Queue(None, len(jobs), bool(dag.host) and dag.host == _this_host(file))


def _jobs_in(said: str) -> list[dict[str, object]]:
    """The jobs of condor_q's answer, in which warnings may stand before the JSON; nothing at all means no jobs."""
    if not said.strip():
        return []
    for found in re.finditer(r"^\[", said, re.MULTILINE):
        with contextlib.suppress(ValueError, RecursionError):
            jobs = json.loads(said[found.start() :])
            if all(isinstance(job, dict) for job in jobs):
                return list(jobs)
    raise RunFolderError(f"condor_q did not answer with JSON: {said.strip()[:200]!r}")


def _is_of(file: DagFile, job: Mapping[str, object]) -> bool:
    """Whether a job is of this run, by the folder that it was submitted in; that may be gone if the run was moved."""
    there = Path(str(job.get("Iwd") or file.folder))
    try:
        return there.samefile(file.folder)
    except FileNotFoundError:
        return True
    except OSError:  # of somebody else
        return False


def _this_host(file: DagFile) -> str:
    """HTCondor's name of this host, as event logs have it; empty if it does not tell."""
    try:
        return _call(["condor_config_val", "FULL_HOSTNAME"], file).strip()
    except CcipError:
        return ""


def submit_dag(file: DagFile, batch: str, rescue: int | None = None) -> int:
    """Submit the DAG, from a rescue file of ours if one is named; gives DAGMan's job number.

    batch: what condor_q calls it.

    Raises ConfigError if the tools of HTCondor are missing, RunFolderError if they refuse.
    """
    command = ["condor_submit_dag", "-batch-name", batch]
    # -force moves what an earlier DAG left, rescue files too: not with one that is to be used
    command += ["-force", file.name] if rescue is None else ["-dorescuefrom", str(rescue), "-update_submit", file.name]
    said = _call(command, file)
    found = re.search(r"submitted to cluster (\d+)", said)
    if found is None:
        raise RunFolderError(f"condor_submit_dag did not name the job it submitted:\n{said}")
    return int(found[1])


def remove_dag(file: DagFile, cluster: int) -> None:
    """Remove DAGMan and with it all its nodes; it writes a rescue file and runs the FINAL node."""
    _call(["condor_rm", str(cluster)], file)


def remove_nodes(file: DagFile, dag: Dag) -> str:
    """Remove the nodes that a DAG has left behind in the queue; gives the constraint that names them."""
    constraint = f"DAGManJobId == {dag.cluster} && Iwd == {json.dumps(str(file.folder), ensure_ascii=False)}"
    _call(["condor_rm", "-constraint", constraint], file)
    return constraint


def write_rescue(file: DagFile, done: Collection[str]) -> int:
    """Write the next rescue file: these nodes are done. Gives its number."""
    numbers = [int(found[1]) for path in file.folder.iterdir() if (found := _RESCUE.match(path.name))]
    number = max(numbers, default=0) + 1
    if number > 999:
        raise RunFolderError(f"{file.folder} has 999 rescue files; remove the old ones.")
    lines = ["# Nodes that are done, from their results. Written by ccip-batch.", *(f"DONE {name}" for name in done)]
    write_whole(file.folder / f"{file.name}.rescue{number:03d}", "\n".join(lines) + "\n")
    return number


def remove_rescue(file: DagFile, number: int) -> None:
    """Remove a rescue file."""
    (file.folder / f"{file.name}.rescue{number:03d}").unlink(missing_ok=True)


def idle_job_ads(file: DagFile, dag: Dag) -> str:
    """One query: the ClassAds of the nodes of a DAG that wait for a machine. Raises ConfigError or RunFolderError."""
    constraint = f"DAGManJobId == {dag.cluster} && JobStatus == 1"
    return _call(["condor_q", "-allusers", "-constraint", constraint, "-long"], file)


def slot_ads(file: DagFile) -> str:
    """One query: the ClassAds of slots of the pool that are no part of another. Raises as idle_job_ads does."""
    return _call(["condor_status", "-constraint", 'SlotType =!= "Dynamic"', "-limit", str(MOST_SLOTS), "-long"], file)


def _call(command: Sequence[str], file: DagFile) -> str:
    if shutil.which(command[0]) is None:
        raise ConfigError(
            f"{command[0]} is not on the PATH: this needs the client tools of the pool's HTCondor. Log in to an access "
            "point, and plan there: a plan has the paths of the machine that it was made on."
        )

    try:
        done = subprocess.run(
            command,
            cwd=file.folder,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise RunFolderError(f"{command[0]} did not answer within {_SECONDS} s: is the pool up?") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise RunFolderError(f"{command[0]} failed (exit code {done.returncode}): " + "\n".join(lines[-8:]))
    return done.stdout
