"""Time and resources: what each node used against what it requested, and what to request next time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.report.facts import NodeFacts, RunFacts
from ccip_batch.stages.splitgroups import SplitResult
from ccip_batch.workflow.kinds import KINDS

MARGIN = 1.25
"""Memory to request over the largest peak of the kind."""
ROUND = 100_000_000
"""Bytes; the memory to request is a multiple of this."""


@dataclass(frozen=True)
class NodeUse:
    """What a node that has ended used: seconds, and bytes."""

    facts: NodeFacts
    wall_s: float
    cpu_s: float
    casa_cpu_s: float
    peak: int
    requested: int
    reads: int | None
    """Visibilities and FITS files; None if the results do not tell."""
    writes: int | None


@dataclass(frozen=True)
class Advice:
    """What to request next time for the nodes of a kind."""

    kind: str
    nodes: int
    longest_s: float
    peak: int
    memory: int


def node_uses(facts: RunFacts) -> list[NodeUse]:
    """All nodes that have ended, in the order of the graph."""
    uses = []
    for node in facts.nodes.values():
        end = node.failure or node.result
        if end is None:
            continue
        reads, writes = _moved(facts, node)
        uses.append(
            NodeUse(
                facts=node,
                wall_s=end.usage.wall_s,
                cpu_s=end.usage.cpu_s,
                casa_cpu_s=sum(record.casa_cpu_s for record in node.records),
                peak=end.usage.peak_memory_bytes,
                requested=node.requested_memory,
                reads=reads,
                writes=writes,
            )
        )
    return uses


def _moved(facts: RunFacts, node: NodeFacts) -> tuple[int | None, int | None]:
    split = facts.nodes["restore"].found(SplitResult)
    given = sum(file.bytes for file in node.result.files) if node.result else 0
    group = node.node.group.selection if node.node.group else ""
    if node.node.kind == "restore":
        summary = node.stage("importdata", MsSummary)
        return (summary.bytes if summary else None), (sum(split.bytes.values()) if split else None)
    if node.node.kind == "image":
        native = next((plane.native for plane in facts.planes if plane.image is node), None)
        return (split.bytes.get(group) if split else None), (sum(f.bytes for f in native.files) if native else None)
    if node.node.kind == "export":
        return None, given or None
    if node.node.kind == "publish":
        return given or None, given or None
    return None, None


def advice(uses: Sequence[NodeUse]) -> list[Advice]:
    """For each kind of node: the longest time, the largest peak, and the memory that leaves a margin above it."""
    found = []
    for kind in KINDS:
        alike = [use for use in uses if use.facts.node.kind == kind and use.facts.result]
        if alike:
            peak = max(use.peak for use in alike)
            found.append(
                Advice(
                    kind=kind,
                    nodes=len(alike),
                    longest_s=max(use.wall_s for use in alike),
                    peak=peak,
                    memory=math.ceil(peak * MARGIN / ROUND) * ROUND,
                )
            )
    return found
