"""What a stage is in the report: tables of cells, and what became of it in the nodes that run it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ccip_batch.casa.images import RestoringBeam
from ccip_batch.report.facts import NodeFacts, RunFacts
from ccip_batch.report.tables import Cell, shade
from ccip_batch.report.words import count, duration, moment

R = TypeVar("R")
Columns = Sequence[tuple[str, Callable[[R], Cell]]]
"""The columns of a table: the title of each, and what makes its cell of a row."""


@dataclass(frozen=True)
class Block:
    """A table of a stage."""

    title: str
    columns: Sequence[str]
    """Titles; a table of names and values has two that are empty."""
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Stage:
    """A stage, or the parts of it that several nodes ran."""

    name: str
    title: str
    verdict: str
    """What became of it, and why."""
    level: str = "good"
    """`good`, `attention`, `bad`, or `waiting`."""
    when: str = ""
    blocks: Sequence[Block] = ()
    warnings: Sequence[str] = ()
    nodes: Sequence[NodeFacts] = ()
    """The nodes that run it; the page links their logs and CASA calls."""
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By call or choice: the values by name."""


def text(value: object) -> Cell:
    """A cell with words."""
    shown = str(value)
    return Cell(shown, shown)


def beam_text(beam: RestoringBeam) -> Cell:
    """A cell with a beam: axes in arcsec, position angle in degrees."""
    return text(f"{beam.major_arcsec:.2f} × {beam.minor_arcsec:.2f}, {beam.pa_deg:.1f}")


def table(title: str, columns: Columns[R], rows: Iterable[R], note: str = "") -> Block:
    """A table with a row for each of `rows`."""
    return Block(title, [name for name, _ in columns], [[cell(row) for _, cell in columns] for row in rows], note)


def pairs(title: str, items: Mapping[str, object]) -> Block:
    """A table of names and values."""
    return Block(title, ("", ""), [[text(name), text(value)] for name, value in items.items()])


def shaded(block: Block) -> Block:
    """The same table with the numbers shaded that are far from the median of their column."""
    columns = [shade(column) for column in zip(*block.rows, strict=True)]
    return replace(block, rows=list(zip(*columns, strict=True)))


def of_node(stage: Stage, node: NodeFacts, record: str) -> Stage:
    """A stage that one node runs: as given if the node has finished it, else with what became of it instead.

    record: the name under which the node records the stage.
    """
    stage = replace(stage, nodes=(node,))
    found = node.record(record)
    if found:
        return replace(stage, when=f"{moment(found.started)}, {duration(found.elapsed_s)}, {found.cpu_s:.1f} CPU s")
    if node.failure and node.failure.stage == record:
        return replace(stage, level="bad", verdict=node.failure.cause)
    if node.failure:
        return replace(stage, level="waiting", verdict=f"not reached: {node.node.name} failed earlier")
    now = node.state == "running" and node.status.stage == record
    return replace(stage, level="waiting", verdict="under way" if now else "not yet")


def of_planes(stage: Stage, facts: RunFacts, record: str) -> Stage:
    """A stage that the node of every plane runs: as given if all have finished it, else with how far they are.

    record: the name under which the nodes record the stage.
    """
    nodes = [plane.image for plane in facts.planes]
    records = [found for node in nodes if (found := node.record(record))]
    failed = [node for node in nodes if node.failure and not node.record(record)]
    asked = sum(plane.state not in ("empty", "rejected before imaging") for plane in facts.planes)
    stage = replace(stage, nodes=nodes)
    if records:
        first, last = min(r.started for r in records), max(r.started + r.elapsed_s for r in records)
        elapsed, cpu = sum(r.elapsed_s for r in records), sum(r.cpu_s for r in records)
        used = f"{duration(elapsed)} and {cpu:.1f} CPU s over {count(len(records), 'plane')}"
        stage = replace(stage, when=f"{moment(first)} to {moment(last)}, {used}")
    if failed:
        here = any(node.failure and node.failure.stage == record for node in failed)
        names = ", ".join(f"spw {node.node.group.selection}" for node in failed if node.node.group)
        verdict = f"{len(records)} of {asked} planes; {'failed' if here else 'failed earlier'}: {names}"
        return replace(stage, level="bad" if here else "waiting", verdict=verdict)
    if len(records) < asked:
        return replace(stage, level="waiting", verdict=f"{len(records)} of {asked} planes so far")
    return stage
