"""What a node asks of the pool: memory, disk and time, from the estimates, with a margin."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ccip_batch.engines.htcondor.sites import Site
from ccip_batch.errors import ResourceError
from ccip_batch.job.config import ResolvedJob
from ccip_batch.workflow import estimates
from ccip_batch.workflow.graph import Node, build_graph

_MEMORY_MARGIN = 1.3
_MEMORY_STEP_MB = 128
"""Slots come in steps of this size."""
_LITTLE_BYTES = 8_000_000_000
"""Memory that is easily had."""
_DISK_MARGIN = 1.3
_DISK_BASE = 500_000_000
_TIME_MARGIN = 5
"""Machines of a pool differ, and a node that is ended by its time limit loses what it did since its last save."""
_LEAST_SECONDS = 3600


@dataclass(frozen=True)
class Request:
    """What a node asks for."""

    cpus: int
    memory_mb: int
    disk_mb: int
    seconds: int


def request(job: ResolvedJob, site: Site, node: Node) -> Request:
    """The request of a node. Its disk is that of the machine's own; on a shared file system it has little there.

    Raises ResourceError if the site has no machine with so much memory.
    """
    limit = memory_limit_mb(site)
    cpus = estimates.cores(job, node, site.most_cores, _room(job, limit))
    memory = estimates.memory_bytes(job, node, cpus) * _MEMORY_MARGIN
    memory_mb = math.ceil(memory / 2**20 / _MEMORY_STEP_MB) * _MEMORY_STEP_MB
    if limit is not None and memory_mb > limit:
        raise ResourceError(
            f"{node.name} needs some {memory_mb / 1024:.0f} GB of memory, more than the site's machines have "
            f"(memory_limit: {limit / 1024:.0f} GB). Choose another site, or a smaller imaging.imsize."
        )
    return Request(
        cpus=cpus,
        memory_mb=memory_mb,
        disk_mb=math.ceil(
            (_DISK_BASE if site.data == "shared" else _disk_bytes(job, node, cpus)) * _DISK_MARGIN / 2**20
        ),
        seconds=max(_LEAST_SECONDS, math.ceil(_TIME_MARGIN * estimates.seconds(job, node))),
    )


def _room(job: ResolvedJob, limit_mb: int | None) -> int:
    """Bytes within which a node may take more cores: what a plane asks for anyway, or 8 GB, if the site has that."""
    planes = (node for node in build_graph(job.groups).nodes if node.kind == "image")
    room = max(_LITTLE_BYTES, *(estimates.memory_bytes(job, node) for node in planes))
    return room if limit_mb is None else min(room, int(limit_mb * 2**20 / _MEMORY_MARGIN))


def memory_limit_mb(site: Site) -> int | None:
    """Memory of the site's largest machine, MB; None if nothing is known."""
    return None if site.memory_limit is None else int(site.memory_limit) // 2**20


def _disk_bytes(job: ResolvedJob, node: Node, cpus: int) -> int:
    """Disk of a node that works on some cores in a sandbox: what it gets, what it makes, and the tar of that."""
    if node.kind == "restore":
        # the PIMS, what is made of it, and the tar of the groups' measurement sets
        tar = estimates.restored_disk_bytes(job, job.groups)
        return _DISK_BASE + job.data.bytes + estimates.restore_disk_bytes(job, cpus) + tar
    if node.kind == "image":
        data = estimates.restored_disk_bytes(job, [max(job.groups, key=lambda group: len(group.spws))])
        return _DISK_BASE + 2 * data + estimates.plane_disk_bytes(job) + 2 * estimates.result_disk_bytes(job)
    if node.kind == "export":
        return _DISK_BASE + 6 * estimates.result_disk_bytes(job)
    return _DISK_BASE + len(job.groups) * 50_000_000
