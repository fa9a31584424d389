"""Nodes that wait for a machine: for how long, what they ask for, and which machines of the pool could run them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ccip_batch.engines.htcondor.asked import Asked
from ccip_batch.engines.htcondor.dagman import Dag, DagFile, idle_job_ads, last_dag, slot_ads
from ccip_batch.engines.htcondor.event_log import NodeRow
from ccip_batch.engines.htcondor.matching import Matches, QueuedJob, match_jobs
from ccip_batch.engines.htcondor.state import asked_of
from ccip_batch.errors import CcipError
from ccip_batch.run.run import Run

LONG_S = 600
"""Who waits longer than this is told of without being asked for."""


@dataclass(frozen=True)
class Waiting:
    """A node whose job is idle."""

    node: str
    job: str
    """HTCondor's number of it."""
    idle_s: float
    asked: Asked | None
    """None if neither the pool nor dag/ tells."""
    matches: Matches | None
    note: str = ""
    """Why it is not known which machines could run it."""

    @property
    def is_notable(self) -> bool:
        """Whether it has waited for long, or no machine could run it."""
        return self.idle_s > LONG_S or (self.matches is not None and self.matches.could == 0)


def waiting_nodes(run: Run, rows: Mapping[str, NodeRow]) -> dict[str, Waiting]:
    """The nodes that wait for a machine, of those in `rows`. The pool is asked twice, however many there are."""
    dag = last_dag(DagFile.of(run.folder))
    idle = {name: (row, row.idle_s) for name, row in rows.items() if row.idle_s is not None}
    if dag is None or not dag.alive or not idle:
        return {}
    asked = asked_of(run, rows)
    queued, note = _ask_pool(run, dag)
    found = {}
    for name, (row, idle_s) in idle.items():
        job = queued.get(name)
        if job is None:
            found[name] = Waiting(
                name, row.job, idle_s, asked.get(name), None, note or "the queue no longer lists it as idle"
            )
        else:
            here = "" if job.matches else "HTCondor starts it on the access point itself"
            found[name] = Waiting(name, row.job, idle_s, job.asked, job.matches, here)
    return found


def _ask_pool(run: Run, dag: Dag) -> tuple[dict[str, QueuedJob], str]:
    """The idle jobs in the queue by node, or why nothing is known of them."""
    try:
        return match_jobs(idle_job_ads(DagFile.of(run.folder), dag), slot_ads(DagFile.of(run.folder))), ""
    except CcipError as error:
        return {}, f"which machines could run it is not known: {str(error).splitlines()[0]}"
