"""DAGMan from outside: submit a DAG, remove it, tell whether it is at work, write its rescue file.

The command line tools are called, not the bindings: those on the PATH are always of the pool's version and speak its
security, whatever Python this is.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ccip_batch.engines.htcondor.plan import DAG
from ccip_batch.errors import ConfigError, RunFolderError
from ccip_batch.records import write_whole
from ccip_batch.run.folder import RunFolder

MOST_SLOTS = 5000
"""So many slots of a large pool tell which machines there are; an ad has some 10 kB."""
_SECONDS = 120
"""A tool that has not answered by then never will."""
_HEAD = re.compile(r"^(\d{3}) \((\d+)\.\d+\.\d+\)", re.MULTILINE)
_RESCUE = re.compile(rf"{re.escape(DAG)}\.rescue(\d{{3}})$")


@dataclass(frozen=True)
class Dag:
    """The last submission of a run's DAG."""

    cluster: int
    alive: bool
    """Whether its job is in the queue, as far as its event log tells."""
    held: bool


def last_dag(folder: RunFolder) -> Dag | None:
    """The last submission, from DAGMan's own event log; None if there was none. Needs no pool."""
    try:
        text = (folder.dag / f"{DAG}.dagman.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    cluster, alive, held = None, False, False
    for number, job in _HEAD.findall(text):
        if number == "000":
            cluster, alive, held = int(job), True, False
        elif cluster == int(job):
            alive = alive and number not in ("005", "009")
            held = number == "012" or (held and number != "013")
    return None if cluster is None else Dag(cluster, alive, held)


def refuse_while_alive(folder: RunFolder) -> None:
    """Raise RunFolderError if the run's DAG is in the queue."""
    dag = last_dag(folder)
    if dag is not None and dag.alive:
        raise RunFolderError(
            f"the DAG of {folder.path} is in the queue (job {dag.cluster}). "
            "Wait for its end, or `ccip-batch cancel` it."
        )


def submit_dag(folder: RunFolder, rescue: int | None = None) -> int:
    """Submit the DAG, from a rescue file of ours if one is named; gives DAGMan's job number.

    Raises ConfigError if the tools of HTCondor are missing, RunFolderError if they refuse.
    """
    command = ["condor_submit_dag", "-batch-name", folder.path.name]
    # -force moves what an earlier DAG left, rescue files too: not with one that is to be used
    command += ["-force", DAG] if rescue is None else ["-dorescuefrom", str(rescue), "-update_submit", DAG]
    said = _call(command, folder)
    found = re.search(r"submitted to cluster (\d+)", said)
    if found is None:
        raise RunFolderError(f"condor_submit_dag did not name the job it submitted:\n{said}")
    return int(found[1])


def remove_dag(folder: RunFolder, cluster: int) -> None:
    """Remove DAGMan and with it all its nodes; it writes a rescue file and runs the FINAL node."""
    _call(["condor_rm", str(cluster)], folder)


def write_rescue(folder: RunFolder, done: Collection[str]) -> int:
    """Write the next rescue file: these nodes are done. Gives its number."""
    numbers = [int(found[1]) for path in folder.dag.iterdir() if (found := _RESCUE.match(path.name))]
    number = max(numbers, default=0) + 1
    if number > 999:
        raise RunFolderError(f"{folder.dag} has 999 rescue files; remove the old ones.")
    lines = ["# Nodes that are done, from their results. Written by ccip-batch.", *(f"DONE {name}" for name in done)]
    write_whole(folder.dag / f"{DAG}.rescue{number:03d}", "\n".join(lines) + "\n")
    return number


def remove_rescue(folder: RunFolder, number: int) -> None:
    """Remove a rescue file."""
    (folder.dag / f"{DAG}.rescue{number:03d}").unlink(missing_ok=True)


def query_jobs(folder: RunFolder, dag: Dag) -> list[dict[str, object]]:
    """One query: the DAG's job and those of its nodes that are in the queue. Raises ConfigError or RunFolderError."""
    constraint = f"ClusterId == {dag.cluster} || DAGManJobId == {dag.cluster}"
    attributes = "ClusterId,JobStatus,DAGNodeName,HoldReason,RemoteHost"
    text = _call(["condor_q", "-allusers", "-constraint", constraint, "-json", "-attributes", attributes], folder)
    jobs = json.loads(text) if text.strip() else []
    return [job for job in jobs if isinstance(job, dict)]


def idle_job_ads(folder: RunFolder, dag: Dag) -> str:
    """One query: the ClassAds of the nodes of a DAG that wait for a machine. Raises ConfigError or RunFolderError."""
    constraint = f"DAGManJobId == {dag.cluster} && JobStatus == 1"
    return _call(["condor_q", "-allusers", "-constraint", constraint, "-long"], folder)


def slot_ads(folder: RunFolder) -> str:
    """One query: the ClassAds of slots of the pool that are no part of another. Raises as idle_job_ads does."""
    return _call(["condor_status", "-constraint", 'SlotType =!= "Dynamic"', "-limit", str(MOST_SLOTS), "-long"], folder)


def _call(command: Sequence[str], folder: RunFolder) -> str:
    if shutil.which(command[0]) is None:
        raise ConfigError(
            f"{command[0]} is not on the PATH: this needs the client tools of the pool's HTCondor. Log in to an access "
            "point, and plan there: a plan has the paths of the machine that it was made on."
        )

    try:
        done = subprocess.run(
            command, cwd=folder.dag, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise RunFolderError(f"{command[0]} did not answer within {_SECONDS} s: is the pool up?") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise RunFolderError(f"{command[0]} failed (exit code {done.returncode}): " + "\n".join(lines[-8:]))
    return done.stdout
