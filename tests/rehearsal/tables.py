"""The tables of the rehearsal: estimate against measurement, and what that means for a whole square degree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ccip_batch.engines.htcondor.plan import planned_site
from ccip_batch.engines.htcondor.requests import request
from ccip_batch.engines.htcondor.state import earlier_holds, pool_rows
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.data_size import DataSize
from ccip_batch.job.spw_groups import SCIENCE_SPWS, SpwGroup
from ccip_batch.run.results import NodeResult
from ccip_batch.run.run import Run
from ccip_batch.stages.makeimages import PlaneImages
from ccip_batch.stages.splitgroups import SplitResult
from ccip_batch.workflow import estimates
from ccip_batch.workflow.graph import Node, build_graph
from ccip_batch.workflow.kinds import KINDS

SURVEY_PIXELS = 12500
SURVEY_ROWS = 316_000
SURVEY_CHANNELS = 64
ESTIMATED_CYCLES = 32
"""Major cycles of a plane that the estimate of its time is for."""
_HEADER = re.compile(r"^(\d{3}) \((\d+)\.\d+\.\d+\) (\S+ \S+)", re.MULTILINE)
_SUBMITTED = re.compile(r"^000 \((\d+)\.[^\n]*\n\s*DAG Node: (\S+)", re.MULTILINE)
_STARTED, _STOPPED = "001", ("004", "005", "009", "012")


@dataclass(frozen=True)
class Used:
    """What a node was estimated to need, asked for, and took. Bytes and seconds."""

    node: Node
    memory: tuple[float, float, float]
    """Estimated, asked for, measured."""
    disk: tuple[float, float]
    """Asked for, measured (0: it worked on the access point)."""
    seconds: tuple[float, float, float]
    """Estimated; on a machine, over all its starts, transfers among them; that for the major cycles of the estimate."""
    cores: int
    disturbed: bool
    """Whether it was evicted or held, so that work was done twice."""
    moved: tuple[float, float]
    """To it and back, checkpoints among that; in its last submission."""
    cycles: int
    """Major cycles of a plane, else 0."""


def used(run: Run) -> list[Used]:
    """Of all nodes that are done."""
    site, rows = planned_site(run), pool_rows(run)
    log = (run.folder.dag / "jobs.log").read_text(errors="replace")
    found = []
    for node in run.graph.nodes:
        result, row = run.result(node), rows.get(node.name)
        if result is None or row is None or _is_empty(node, result):
            continue
        asked = request(run.job, site, node)
        cycles = sum(one.major_cycles for one in result.of(PlaneImages).iterations) + 1 if node.kind == "image" else 0
        cleaning = sum(stage.elapsed_s for stage in result.stages if stage.name == PlaneImages.stage)
        more = cleaning * (ESTIMATED_CYCLES / cycles - 1) if cycles else 0.0
        busy = _busy(log, node.name)
        peak = max(result.usage.peak_memory_bytes, (row.memory_used or 0) * 2**20)
        found.append(
            Used(
                node,
                (estimates.memory_bytes(run.job, node, asked.cpus), asked.memory_mb * 2**20, peak),
                (asked.disk_mb * 2**20, _disk(log, row.job)),
                (estimates.seconds(run.job, node), busy, busy + more),
                asked.cpus,
                row.evictions > 0 or bool(earlier_holds(run.folder, node)),
                (row.bytes_received or 0, row.bytes_sent or 0),
                cycles,
            )
        )
    return found


def _is_empty(node: Node, result: NodeResult) -> bool:
    """Whether it is a plane without data, which costs nothing."""
    return node.kind == "image" and all(stage.name != PlaneImages.stage for stage in result.stages)


def _disk(log: str, job: str) -> float:
    """Largest disk that a job was seen to take, bytes."""
    ends = re.findall(rf"^005 \(0*{job.partition('.')[0]}\..*?^\.\.\.", log, re.MULTILINE | re.DOTALL)
    sizes = [int(size) for end in ends for size in re.findall(r"Disk \(KB\)\s*:\s*(\d+)\s+\d+\s+\d+", end)]
    return max(sizes, default=0) * 1024.0


def _busy(log: str, name: str) -> float:
    """Seconds that a node was on machines, transfers among them, over all its jobs."""
    jobs = {int(job) for job, note in _SUBMITTED.findall(log) if note == name}
    busy, since = 0.0, None
    for kind, job, text in _HEADER.findall(log):
        if int(job) not in jobs:
            continue
        moment = datetime.fromisoformat(text)
        if kind == _STARTED:
            since = moment
        elif kind in _STOPPED and since is not None:
            busy, since = busy + (moment - since).total_seconds(), None
    return busy


def node_table(run: Run) -> str:
    """A row for each kind of node: of its nodes the largest memory and disk, the mean time, all bytes moved.

    The time is that of nodes that were left in peace, as long as there are some.
    """
    heads = (
        "node", "number", "memory, GB: estimate", "asked", "measured", "disk, GB: asked", "measured",
        "minutes: estimate", "on the machine", f"for {ESTIMATED_CYCLES} cycles", "GB to it", "GB back",
    )  # fmt: skip
    lines = []
    for kind, nodes in _by_kind(used(run)):
        cycles = max(node.cycles for node in nodes)
        lines.append(
            [f"{kind} ({cycles} major cycles)" if cycles else kind, str(len(nodes))]
            + [f"{max(node.memory[n] for node in nodes) / 1e9:.2f}" for n in range(3)]
            + [f"{max(node.disk[n] for node in nodes) / 1e9:.2f}" for n in range(2)]
            + [f"{_mean_seconds(nodes, n) / 60:.1f}" for n in range(3)]
            + [f"{sum(node.moved[n] for node in nodes) / 1e9:.2f}" for n in range(2)]
        )
    data = run.job.data
    title = (
        f"{len(run.job.groups)} planes of {estimates.pixels(run.job) ** 0.5:.0f} pixels, {data.rows} rows of "
        f"{data.channels} channels a spw, {data.bytes / 1e9:.1f} GB"
    )
    return f"\n{title}\n\n{_markdown(heads, lines)}\n"


def extrapolation(run: Run) -> str:
    """What the survey's square degree would need: the estimates for it, times measured to estimated here."""
    whole = survey(run.job)
    graph = build_graph(whole.groups)
    sizes = run.result("restore")
    data = sum(sizes.of(SplitResult).bytes.values()) / len(run.job.groups) if sizes else 0.0
    more_pixels = SURVEY_PIXELS**2 / estimates.pixels(run.job)
    more_spws = len(whole.groups) / len(run.job.groups)
    lines, hours, moved = [], 0.0, 0.0
    for kind, nodes in _by_kind(used(run)):
        there = [node for node in graph.nodes if node.kind == kind]
        memory = max(estimates.memory_bytes(whole, node) for node in there)
        measured = max(node.memory[2] / node.memory[0] for node in nodes)
        time = estimates.seconds(whole, there[0]) / 3600
        there_h = time * nodes[0].cores * _mean_seconds(nodes, 2) / _mean_seconds(nodes, 0)
        to, back = (sum(node.moved[n] for node in nodes) / len(nodes) for n in range(2))
        if kind == "image":
            to, back = data + (to - data) * more_pixels, back * more_pixels
        elif kind == "analyze" or not KINDS[kind].per_group:
            to, back = to * more_spws, back * more_spws  # the pixels of the archive grow as much
        else:
            to, back = to * more_pixels, back * more_pixels
        hours, moved = hours + len(there) * there_h, moved + len(there) * (to + back)
        lines.append(
            [
                kind,
                str(len(there)),
                f"{memory / 1e9:.1f}",
                f"{memory * measured / 1e9:.1f}",
                f"{time:.2f}",
                f"{there_h:.2f}",
            ]
            + [f"{len(there) * size / 1e9:.1f}" for size in (to, back)]
        )
    heads = (
        "node", "number", "memory, GB: estimate", "as measured here", "hours: estimate", "core hours as measured here",
        "GB to all", "GB back",
    )  # fmt: skip
    title = (
        f"A whole square: {len(whole.groups)} planes of {SURVEY_PIXELS} pixels, {SURVEY_ROWS} rows of "
        f"{SURVEY_CHANNELS} channels a spw, {ESTIMATED_CYCLES} major cycles a plane"
    )
    total = f"Together {hours:.0f} core hours and {moved / 1e9:.0f} GB moved, with checkpoints as often as here."
    return f"\n{title}\n\n{_markdown(heads, lines)}\n\n{total}\n"


def survey(job: ResolvedJob) -> ResolvedJob:
    """The same job with the survey's spws, pixels and rows."""
    size = {"imsize": [SURVEY_PIXELS, SURVEY_PIXELS]}
    spws = len(SCIENCE_SPWS)
    a_row = job.data.bytes / (job.data.rows * job.data.spws) * SURVEY_CHANNELS / job.data.channels
    return job.model_copy(
        update={
            "groups": tuple(SpwGroup((spw,)) for spw in SCIENCE_SPWS),
            "science_spws": SCIENCE_SPWS,
            "prediction_call": {**job.prediction_call, **size},
            "iteration_calls": tuple({**call, **size} for call in job.iteration_calls),
            "data": DataSize(
                bytes=int(a_row * SURVEY_ROWS * spws), spws=spws, rows=SURVEY_ROWS, channels=SURVEY_CHANNELS
            ),
        }
    )


def _mean_seconds(nodes: Sequence[Used], which: int) -> float:
    """Mean of the estimates (0), of the measured times (1), or of those for the major cycles of the estimate (2)."""
    calm = [node for node in nodes if not node.disturbed] or nodes
    return sum(node.seconds[which] for node in calm) / len(calm)


def _by_kind(nodes: Sequence[Used]) -> Iterator[tuple[str, list[Used]]]:
    for kind in KINDS:
        of_kind = [one for one in nodes if one.node.kind == kind]
        if of_kind:
            yield kind, of_kind


def _markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    import sys

    shown = Run.read(Path(sys.argv[1]))
    print(node_table(shown), extrapolation(shown))
