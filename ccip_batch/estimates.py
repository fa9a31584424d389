"""What a node needs: memory, disk, time, from the size of its images.

The figures were measured with CASA 6.7.6.14 on simulated data of 9 fields, 6318 rows and 8 channels a spw, with 512 to
2048 pixels a side; beyond that they are extrapolated.
"""

from __future__ import annotations

from ccip_batch.config import ResolvedJob
from ccip_batch.workflow import Kind, Node

_IMAGE_BASE_BYTES = 400_000_000
_IMAGE_BYTES_A_PIXEL = 365
_BASE_BYTES = 350_000_000
_DISK_BYTES_A_PIXEL = 320
"""Of all images of one plane while it is worked on."""
_EXPORT_BYTES_A_PIXEL = 120
_SECONDS: dict[Kind, tuple[float, float]] = {
    "restore": (15.0, 1.5e-4),
    "image": (15.0, 3.0e-4),
    "analyze": (4.0, 0.0),
    "export": (5.0, 1.0e-5),
    "publish": (2.0, 0.0),
}
"""Seconds: a constant, and so much a pixel."""


def pixels(job: ResolvedJob) -> int:
    """Pixels of one Stokes plane."""
    width, height = job.iteration(0)["imsize"]
    return int(width) * int(height)


def memory_bytes(job: ResolvedJob, node: Node) -> int:
    """Resident memory of a node's processes."""
    if node.kind in ("image", "restore"):
        return _IMAGE_BASE_BYTES + _IMAGE_BYTES_A_PIXEL * pixels(job)
    if node.kind == "export":
        return _BASE_BYTES + _EXPORT_BYTES_A_PIXEL * pixels(job)
    return _BASE_BYTES


def disk_bytes(job: ResolvedJob, vis_bytes: int) -> int:
    """Disk that a run folder may take at its fullest: the restored data, its groups, all planes."""
    return 5 * vis_bytes + len(job.groups) * _DISK_BYTES_A_PIXEL * pixels(job)


def seconds(job: ResolvedJob, node: Node) -> float:
    """Rough wall time of a node on one core."""
    constant, a_pixel = _SECONDS[node.kind]
    return constant + a_pixel * pixels(job)
