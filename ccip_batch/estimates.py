"""What a node needs: memory, disk, time, from the rows and channels of its data and the pixels of its images.

The figures a pixel were measured with CASA 6.7.6.14 on simulated data of 9 fields, 6318 rows and 8 channels a spw, with
512 to 2048 pixels a side; the constants in the demo, with CASA 6.7.0.31 and 6.7.6.14. Those a visibility (one row in
one channel of one spw, four correlations) are a careful guess of a megabyte a second; `python tests/bench/bench.py
model` varies rows, channels and pixels by themselves and fits all. Beyond the range that was measured the figures are
extrapolated.
"""

from __future__ import annotations

from typing import NamedTuple

from ccip_batch.config import ResolvedJob
from ccip_batch.workflow import Kind, Node

_DISK_BYTES_A_PIXEL = 320
"""Of all images of one plane while it is worked on."""
_RESULT_BYTES_A_PIXEL = 60
"""FITS files and cutouts of one plane."""

MEASURED_PIXELS = 2048 * 2048
MEASURED_VISIBILITIES = 5655 * 10
"""The largest that were measured."""


class _Linear(NamedTuple):
    """A constant, and so much a pixel and a visibility."""

    constant: float
    a_pixel: float = 0.0
    a_visibility: float = 0.0

    def __call__(self, size: int, visibilities: float) -> float:
        return self.constant + self.a_pixel * size + self.a_visibility * visibilities


_MEMORY: dict[Kind, _Linear] = {
    "restore": _Linear(450e6, 365),
    "image": _Linear(450e6, 365),
    "analyze": _Linear(350e6),
    "export": _Linear(350e6, 120),
    "publish": _Linear(350e6, 12),
}
"""Bytes. `publish` takes the mean of the V images: 40 bytes a pixel of a cutout, which has a quarter of the pixels."""
_SECONDS: dict[Kind, _Linear] = {
    "restore": _Linear(40.0, 1.5e-4, 3.3e-5),
    "image": _Linear(15.0, 3.0e-4, 3.3e-5),
    "analyze": _Linear(7.0),
    "export": _Linear(8.0, 1.0e-5),
    "publish": _Linear(10.0),
}
"""Wall time on one core, of a node that has it to itself."""
_LIMIT_FACTOR = 20
_LEAST_LIMIT_S = 6 * 3600.0


def pixels(job: ResolvedJob, kind: Kind = "image") -> int:
    """Pixels of one Stokes plane of what a node images: `restore` that of the prediction, the others a plane."""
    width, height = (job.prediction() if kind == "restore" else job.iteration(0))["imsize"]
    return int(width) * int(height)


def _visibilities(job: ResolvedJob, node: Node) -> float:
    """Rows times channels, over all spws that a node reads."""
    return job.data.visibilities * (len(node.group.spws) if node.group else len(job.science_spws))


def memory_bytes(job: ResolvedJob, node: Node) -> int:
    """Resident memory of a node's processes."""
    return int(_MEMORY[node.kind](pixels(job, node.kind), _visibilities(job, node)))


def plane_disk_bytes(job: ResolvedJob, kind: Kind = "image") -> int:
    """Disk that all images of one plane, or of the prediction, take while a node of that kind works on them."""
    return _DISK_BYTES_A_PIXEL * pixels(job, kind)


def result_disk_bytes(job: ResolvedJob) -> int:
    """Disk that the FITS files and cutouts of one plane take."""
    return _RESULT_BYTES_A_PIXEL * pixels(job)


def disk_bytes(job: ResolvedJob, at_once: int) -> int:
    """Disk that a run folder takes at its fullest: the data, its groups, `at_once` planes at work, and all planes."""
    at_work = min(at_once, len(job.groups)) * plane_disk_bytes(job)
    return 5 * job.data.bytes + at_work + 2 * len(job.groups) * result_disk_bytes(job)


def time_limit_s(job: ResolvedJob, node: Node) -> float:
    """Seconds after which a node is taken to hang. The estimates are rough, machines differ: so it is far beyond."""
    return job.execution.time_limit or max(_LEAST_LIMIT_S, _LIMIT_FACTOR * seconds(job, node))


def seconds(job: ResolvedJob, node: Node) -> float:
    """Rough wall time of a node on one core."""
    return _SECONDS[node.kind](pixels(job, node.kind), _visibilities(job, node))


def extrapolated(job: ResolvedJob) -> list[str]:
    """A sentence for each size that is beyond what was measured."""
    sizes = (
        ("pixels an image", max(pixels(job), pixels(job, "restore")), MEASURED_PIXELS),
        ("rows times channels a spw", job.data.visibilities, MEASURED_VISIBILITIES),
    )
    return [
        f"what nodes need was measured up to {limit} {what}; for {size:.0f} it is extrapolated"
        for what, size, limit in sizes
        if size > limit
    ]
