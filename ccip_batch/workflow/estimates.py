"""What a node needs: memory, disk, time, from the rows and channels of its data and the pixels of its images.

Measured with CASA 6.7.0.31 and 6.7.6.14 on simulated data, each thing varied by itself: 512, 1024, 2048 and 6250 pixels
a side (a plane took 14.7 GB there, before casa/memory.py was), 5655 and 16887 rows a spw, 8 and 32 channels. Beyond
that the figures are extrapolated. `python tests/bench/bench.py model d` measures again, all but 2048 pixels, and prints
what it finds beside what is said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import Kind

_DISK_BYTES_A_PIXEL = 140
"""Of the whole images of a plane: 121 were counted, seven of four Stokes planes and two masks of one (256 pixels)."""
_CUTOUT_DISK_BYTES_A_PIXEL = 210
"""More, of the cutouts and their FITS files: 202 a pixel of the cutout. The folder of a node had 323 at its fullest,
344 for a moment, where the cutout was the whole image."""
_PREDICTION_DISK_BYTES_A_PIXEL = 350
"""Of the images of the prediction; more than there are."""
_LATTICE_BYTES_A_PIXEL = 60
"""More, of one whose lattices are in files (casa/memory.py; tclean at 4096 pixels)."""
_RESULT_BYTES_A_PIXEL = 48
"""What `image` or `export` leaves of a plane, for each pixel of its cutout: IQU, V and the rms of both as FITS files
(32), and the image itself or the files of the common beam (16)."""
_MASK_BYTES_A_PIXEL = 6
"""A clean mask as `restore` leaves it."""
_V_BYTES_A_PIXEL = 4
"""The V file of a plane, for each pixel of its cutout."""
_SIDE_FILES_BYTES = 6_000_000
"""Of what a node gives back beside them, or with a checkpoint: previews (1.9 MB at 256 pixels; their sides are
limited), samples and logs."""
_MODEL_BYTES_A_PIXEL = 0.018
"""Of a checkpoint: 16 bytes a pixel of zeros and a few components, compressed (0.0177 at 2048 pixels)."""
_MODEL_BYTES_AN_ITERATION = 100
"""More, for each minor iteration. 13 were measured at 256 pixels, for components that are single pixels; one of the
largest scale, 12 pixels, makes 400 if it lies by itself."""
_RESTORED_FACTOR = 2
"""Size of a restored measurement set in that of the same rows of the PIMS: DATA has 32 bytes a visibility, and
WEIGHT_SPECTRUM and SIGMA_SPECTRUM, which statwt adds, 16 each."""
_AT_WORK_FACTOR = 2
"""Size of one that is worked on in that of a restored one: it has three columns of data."""

MEASURED_PIXELS = 6250 * 6250
MEASURED_ROWS = 16887
MEASURED_VISIBILITIES = 5655 * 33
"""The largest that were measured, as `DataSize` gives them (33 for 32 channels). A visibility is a row in one channel
of one spw, with its four correlations."""


class _Linear(NamedTuple):
    """A constant, and so much a pixel, a row and a visibility."""

    constant: float
    a_pixel: float = 0.0
    a_row: float = 0.0
    a_visibility: float = 0.0

    def of(self, job: ResolvedJob, node: Node) -> float:
        """For a node: the pixels of its images, and the rows and visibilities of all spws that it reads."""
        spws = len(node.group.spws) if node.group else len(job.science_spws)
        data = spws * (self.a_row * job.data.rows + self.a_visibility * job.data.visibilities)
        return self.constant + self.a_pixel * pixels(job, node.kind) + data


_MEMORY: dict[Kind, _Linear] = {
    "restore": _Linear(450e6, a_pixel=170, a_visibility=8),
    "image": _Linear(450e6, a_pixel=350, a_visibility=12),
    "analyze": _Linear(350e6),
    "export": _Linear(350e6, a_pixel=120),
    "publish": _Linear(350e6, a_pixel=40),
}
"""Bytes. What comes after `image` works on cutouts: `publish` takes the mean of those of V."""
LARGE_PLANE_PIXELS = 3000 * 3000
"""Planes with more pixels have their lattices in files (casa/memory.py)."""
_LARGE_PLANE_MEMORY = _Linear(450e6, a_pixel=285, a_visibility=12)
"""Bytes of such a plane. Measured with CASA 6.7.0.31: a node at 1024 and 2048 pixels, spw 17, 705 and 1619 MB, and with
lattices in files 1489 MB at 2048; at 2048 pixels, spw 5, 1890 MB; tclean at 4096, spw 5, 6.1 GB and 3.8 GB; a node at
6250, spw 5, 11.5 GB. Low frequencies take more: their primary beam is larger."""
_SECONDS: dict[Kind, _Linear] = {
    "restore": _Linear(30.0, a_pixel=7.2e-5, a_row=4.0e-4, a_visibility=1.9e-5),
    "image": _Linear(15.0, a_pixel=5.5e-5, a_visibility=1.2e-4),
    "analyze": _Linear(7.0),
    "export": _Linear(8.0, a_pixel=1.0e-5),
    "publish": _Linear(10.0),
}
"""Wall time on one core, of a node that has it to itself, with casacore's self-checks off. That of a plane is for some
32 major cycles (niter=200). At the survey's 12500 pixels, 316,000 rows a spw and 64 channels that is 3 h a plane."""
_SELF_CHECKS_FACTOR = 4
"""How much longer large planes take with them (docs/performance.md)."""
_GROUP_MEMORY = _Linear(350e6, a_pixel=120, a_visibility=8)
"""Bytes of each process of `restore` that works on a group; the figure above is for the weight image before that. Both
were measured with CASA 6.7.0.31 at 512 and 2048 pixels, one spw of 5655 rows: 323 and 739 MB, the weight image 333 and
933 MB (of 16 spws at 512 pixels 449 MB)."""
_STATWT_MEMORY = _Linear(350e6, a_visibility=80)
"""Bytes of such a process while statwt works, which holds the data of one spw as a whole, after the images are gone.
Measured with CASA 6.7.0.31, 64 channels: 381 and 446 MB at 0.67 and 2.0 million visibilities."""
_WAITING_BYTES = 350_000_000
"""Of the process that started these, and waits for them."""
_LIMIT_FACTOR = 20
_LEAST_LIMIT_S = 6 * 3600.0


def pixels(job: ResolvedJob, kind: Kind = "image") -> int:
    """Pixels of one Stokes plane of what a node works on: the prediction, a plane, or a plane's cutout."""
    if kind == "restore":
        width, height = job.prediction_size()
    elif kind == "image":
        width, height = job.image_size()
    else:
        width, height = job.cutout_size()
    return width * height


def _is_large(job: ResolvedJob, kind: Kind) -> bool:
    """Whether it is a plane whose lattices are in files."""
    return kind == "image" and pixels(job) > LARGE_PLANE_PIXELS


def memory_bytes(job: ResolvedJob, node: Node, cores: int = 1) -> int:
    """Resident memory of a node's processes, of which `cores` are at work at a time."""
    memory = (_LARGE_PLANE_MEMORY if _is_large(job, node.kind) else _MEMORY[node.kind]).of(job, node)
    if node.kind == "restore":
        largest = max(job.groups, key=lambda group: len(group.spws))
        spw = replace(largest, spws=largest.spws[:1])
        one = max(_GROUP_MEMORY.of(job, replace(node, group=largest)), _STATWT_MEMORY.of(job, replace(node, group=spw)))
        memory = max(memory, _WAITING_BYTES + cores * one)
    return int(memory)


def cores(job: ResolvedJob, node: Node, at_most: int, memory: int | None = None) -> int:
    """How many cores a node can keep busy, at least one: `restore` one for each spw group, within the memory (bytes).

    They change no bit of what it makes.
    """
    if node.kind != "restore":
        return 1
    grouped = {spw for group in job.groups for spw in group.spws}
    number = max(1, min(at_most, len(job.groups) + len(set(job.science_spws) - grouped)))
    while number > 1 and memory is not None and memory_bytes(job, node, number) > memory:
        number -= 1
    return number


def plane_disk_bytes(job: ResolvedJob, kind: Kind = "image") -> int:
    """Disk that all images of one plane, or of the prediction, take while a node of that kind works on them."""
    if kind != "image":
        return _PREDICTION_DISK_BYTES_A_PIXEL * pixels(job, kind)
    whole = (_DISK_BYTES_A_PIXEL + _LATTICE_BYTES_A_PIXEL * _is_large(job, kind)) * pixels(job)
    return whole + _CUTOUT_DISK_BYTES_A_PIXEL * pixels(job, "export")


def result_disk_bytes(job: ResolvedJob) -> int:
    """Disk that the FITS files and cutouts of one plane take."""
    return _RESULT_BYTES_A_PIXEL * pixels(job, "export")


def checkpoint_bytes(job: ResolvedJob) -> int:
    """Bytes of what leaves the machine with a checkpoint of a plane: its model, previews and logs.

    Of 12500 pixels some 15 MB, of which 3 MB are the empty model.
    """
    iterations = sum(int(job.iteration(n)["niter"]) for n in range(len(job.iteration_calls)))
    return int(_SIDE_FILES_BYTES + _MODEL_BYTES_A_PIXEL * pixels(job) + _MODEL_BYTES_AN_ITERATION * iterations)


def restored_disk_bytes(job: ResolvedJob, groups: Sequence[SpwGroup]) -> int:
    """Disk that the restored measurement sets of some groups take."""
    spws = sum(len(group.spws) for group in groups)
    return _RESTORED_FACTOR * job.data.bytes * spws // (job.data.spws or len(job.science_spws))


def restore_disk_bytes(job: ResolvedJob, cores: int) -> int:
    """Disk that `restore` takes with `cores` groups at work: the copy of the PIMS, all restored groups, the images."""
    largest = max(job.groups, key=lambda group: len(group.spws))
    at_work = cores * _AT_WORK_FACTOR * restored_disk_bytes(job, [largest])
    return (1 + _RESTORED_FACTOR) * job.data.bytes + at_work + plane_disk_bytes(job, "restore")


def disk_bytes(job: ResolvedJob, at_once: int) -> int:
    """Disk that a run folder takes at its fullest, with as many groups of `restore` or planes at work at a time.

    With file transfer none is (`at_once` is 0): there are the tar with the PIMS, and what `restore` made with its tar.
    """
    results = 2 * len(job.groups) * result_disk_bytes(job)
    if not at_once:
        return (1 + 2 * _RESTORED_FACTOR) * job.data.bytes + results
    at_once = min(at_once, len(job.groups))
    planes = (1 + _RESTORED_FACTOR) * job.data.bytes + at_once * plane_disk_bytes(job)
    return max(restore_disk_bytes(job, at_once), planes) + results


def input_bytes(job: ResolvedJob, node: Node) -> int:
    """Bytes that a node reads of the PIMS or of its parents' output: what goes to it where files are transferred."""
    if node.kind == "restore":
        return job.data.bytes
    if node.kind == "image":
        masks = 2 * _MASK_BYTES_A_PIXEL * pixels(job)
        return restored_disk_bytes(job, [node.group] if node.group else []) + masks
    if node.kind == "export":
        return result_disk_bytes(job) + _SIDE_FILES_BYTES
    planes = _V_BYTES_A_PIXEL * pixels(job, "publish") if node.kind == "publish" else 0
    return len(job.groups) * (planes + _SIDE_FILES_BYTES)


def output_bytes(job: ResolvedJob, node: Node) -> int:
    """Bytes that a node leaves: what comes back from it where files are transferred."""
    if node.kind == "restore":
        return restored_disk_bytes(job, job.groups) + 2 * _MASK_BYTES_A_PIXEL * pixels(job)
    if node.kind == "analyze":
        return _SIDE_FILES_BYTES
    if node.kind == "publish":
        return _V_BYTES_A_PIXEL * pixels(job, "publish") + len(job.groups) * _SIDE_FILES_BYTES
    return result_disk_bytes(job) + _SIDE_FILES_BYTES


def time_limit_s(job: ResolvedJob, node: Node) -> float:
    """Seconds after which a node is assumed to hang. The estimates are rough, machines differ: so it is far beyond."""
    return job.execution.time_limit or max(_LEAST_LIMIT_S, _LIMIT_FACTOR * seconds(job, node))


def seconds(job: ResolvedJob, node: Node) -> float:
    """Rough wall time of a node on one core."""
    slower = _SELF_CHECKS_FACTOR if node.kind == "image" and job.execution.casa_self_checks else 1
    return slower * _SECONDS[node.kind].of(job, node)


def extrapolated(job: ResolvedJob) -> list[str]:
    """A sentence for each size that is beyond what was measured."""
    sizes = (
        ("pixels an image", max(pixels(job), pixels(job, "restore")), MEASURED_PIXELS),
        ("rows a spw", job.data.rows, MEASURED_ROWS),
        ("rows times channels a spw", job.data.visibilities, MEASURED_VISIBILITIES),
    )
    return [
        f"what nodes need was measured up to {limit} {what}; for {size:.0f} it is extrapolated"
        for what, size, limit in sizes
        if size > limit
    ]
