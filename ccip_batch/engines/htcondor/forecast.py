"""What a run will ask of a pool and of the access point, from the estimates, before anything is submitted."""

from __future__ import annotations

from dataclasses import dataclass

from ccip_batch.engines.htcondor.requests import Request, request
from ccip_batch.engines.htcondor.sites import Site
from ccip_batch.job.config import ResolvedJob
from ccip_batch.workflow import estimates
from ccip_batch.workflow.graph import Node, build_graph
from ccip_batch.workflow.kinds import KINDS, Kind


@dataclass(frozen=True)
class KindForecast:
    """The nodes of a kind: what the largest of them asks for, and what each of them moves."""

    kind: Kind
    nodes: int
    request: Request
    seconds: float
    """Time of one node on one core, as estimated."""
    limit_s: float
    """After so many seconds on a machine it is ended."""
    bytes_in: int
    """To the machine of one node; 0 on a shared file system."""
    bytes_out: int
    """From it, without checkpoints."""
    checkpoints: int
    """How many checkpoints leave the machine of one node."""


def forecast(job: ResolvedJob, site: Site) -> list[KindForecast]:
    """What the nodes of a job ask of a site. Raises ResourceError if no machine is large enough."""
    nodes = build_graph(job.groups).nodes
    return [_of_kind(job, site, kind, [node for node in nodes if node.kind == kind]) for kind in KINDS]


def _of_kind(job: ResolvedJob, site: Site, kind: Kind, nodes: list[Node]) -> KindForecast:
    largest = max(nodes, key=lambda node: len(node.group.spws) if node.group else 0)
    seconds = estimates.seconds(job, largest)
    asked = request(job, site, largest)
    limits = [asked.seconds, estimates.time_limit_s(job, largest)]
    if asked.category is not None:
        limits.append(site.job_durations[asked.category])
    moves = site.data == "transfer"
    saves = moves and KINDS[kind].checkpoints
    return KindForecast(
        kind=kind,
        nodes=len(nodes),
        request=asked,
        seconds=seconds,
        limit_s=min(limits),
        bytes_in=estimates.input_bytes(job, largest) if moves else 0,
        bytes_out=estimates.output_bytes(job, largest) if moves else 0,
        checkpoints=int(seconds // site.checkpoint_every) if saves else 0,
    )
