"""What a node asks of the pool: memory, disk and time, from the estimates, with a margin."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ccip_batch.engines.htcondor.sites import Site
from ccip_batch.errors import ResourceError
from ccip_batch.job.config import ResolvedJob
from ccip_batch.workflow import estimates
from ccip_batch.workflow.graph import Node, build_graph

_MEMORY_STEP_MB = 128
"""Slots come in steps of this size."""
_LITTLE_BYTES = 8_000_000_000
"""Memory that is easily had."""
_DISK_BASE = 500_000_000
_LEAST_SECONDS = 3600


@dataclass(frozen=True)
class Request:
    """What a node asks for."""

    cpus: int
    memory_mb: int
    disk_mb: int
    seconds: int
    category: str | None = None
    """JobDurationCategory, where the site has such."""


def request(job: ResolvedJob, site: Site, node: Node) -> Request:
    """The request of a node. Its disk is that of the machine's own; on a shared file system it has little there.

    Raises ResourceError if the site has no machine with so much memory.
    """
    cpus = estimates.cores(job, node, site.most_cores, _room(job, site))
    memory = estimates.memory_bytes(job, node, cpus) * site.margins.memory
    disk = (_DISK_BASE if site.data == "shared" else _disk_bytes(job, node, cpus)) * site.margins.disk
    asked = Request(
        cpus=cpus,
        memory_mb=math.ceil(memory / 2**20 / _MEMORY_STEP_MB) * _MEMORY_STEP_MB,
        disk_mb=math.ceil(disk / 2**20),
        seconds=max(_LEAST_SECONDS, math.ceil(site.margins.time * estimates.seconds(job, node))),
    )
    _refuse(node, asked.memory_mb, site.memory_limit, "memory")
    _refuse(node, asked.disk_mb, site.disk_limit, "disk")
    return replace(asked, category=_category(site, asked.seconds))


def _refuse(node: Node, asked_mb: int, limit: int | None, what: str) -> None:
    """Raise ResourceError for a node that asks for more than the site has of something."""
    if limit is not None and asked_mb > limit // 2**20:
        raise ResourceError(
            f"{node.name} would ask for {gigabytes(asked_mb):.1f} GB of {what}, more than the site's machines have "
            f"({what}_limit: {limit / 1e9:.1f} GB; margins.{what} is in what it asks for). Choose another site, or a "
            "smaller imaging.imsize."
        )


def _category(site: Site, seconds: int) -> str | None:
    """The first of the site's categories that a node fits into; the last one if it fits into none."""
    for name, limit in site.job_durations.items():
        if seconds <= limit:
            return name
    return next(reversed(site.job_durations), None)


def _room(job: ResolvedJob, site: Site) -> int:
    """Bytes within which a node may take more cores: what a plane asks for anyway, or 8 GB, if the site has that."""
    planes = (node for node in build_graph(job.groups).nodes if node.kind == "image")
    room = max(_LITTLE_BYTES, *(estimates.memory_bytes(job, node) for node in planes))
    return room if site.memory_limit is None else min(room, int(site.memory_limit / site.margins.memory))


def megabytes(limit: int | None) -> int | None:
    """A limit of a profile, MB; None if nothing is known."""
    return None if limit is None else int(limit) // 2**20


def gigabytes(size_mb: int) -> float:
    """HTCondor's megabytes (2**20 bytes) as GB, for people."""
    return size_mb * 2**20 / 1e9


def largest_file_bytes(job: ResolvedJob) -> int:
    """The largest file that is transferred."""
    nodes = build_graph(job.groups).nodes
    return max(max(estimates.input_bytes(job, node), estimates.output_bytes(job, node)) for node in nodes)


def _disk_bytes(job: ResolvedJob, node: Node, cpus: int) -> int:
    """Disk of a node in a sandbox: what it gets and its tar, what it makes and its tar, and what it works on."""
    moved = _DISK_BASE + 2 * estimates.input_bytes(job, node) + 2 * estimates.output_bytes(job, node)
    if node.kind == "restore":
        return moved + estimates.restore_disk_bytes(job, cpus)
    if node.kind == "image":
        return moved + estimates.plane_disk_bytes(job)
    return moved + estimates.result_disk_bytes(job)
