"""The graph of a job: its nodes and what each waits for, from the table of kinds. Pure data, no files touched."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.workflow.kinds import KINDS, Kind


@dataclass(frozen=True)
class Node:
    """One process of the job, in a folder of its own."""

    name: str
    kind: Kind
    group: SpwGroup | None
    """The plane it works on; None for nodes that serve all planes."""
    parents: tuple[str, ...]
    """Nodes that must have ended before this one starts."""
    may_fail: tuple[str, ...] = ()
    """Those of the parents without which this node goes on, and says so."""

    def reads_of(self, parent: Node) -> tuple[str, ...]:
        """Names and patterns of what it reads of a parent's output; none if it reads the result alone."""
        group = self.group.name if self.group else ""
        return tuple(one.format(group=group) for one in KINDS[self.kind].reads.get(parent.kind, ()))

    def reads(self, parent: Node, name: str) -> bool:
        """Whether it reads a file or folder of this name of a parent's output."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.reads_of(parent))


class Graph:
    """All nodes of a job, in an order in which they could run."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self._by_name = {node.name: node for node in nodes}

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def children(self, name: str) -> list[Node]:
        """The nodes that wait for a node."""
        return [node for node in self.nodes if name in node.parents]


def build_graph(groups: Sequence[SpwGroup]) -> Graph:
    """The graph of a job with these spw groups. Names are zero-padded, so that they sort."""
    nodes: list[Node] = []
    for kind, about in KINDS.items():
        for group in groups if about.per_group else [None]:
            before = {one: _names(one, groups if group is None else [group]) for one in about.parents}
            nodes.append(
                Node(
                    name=kind if group is None else _name(kind, group),
                    kind=kind,
                    group=group,
                    parents=tuple(name for names in before.values() for name in names),
                    may_fail=tuple(name for one in about.may_fail for name in before[one]),
                )
            )
    return Graph(nodes)


def _names(kind: Kind, groups: Sequence[SpwGroup]) -> list[str]:
    """The nodes of a kind that serve these groups."""
    return [_name(kind, group) for group in groups] if KINDS[kind].per_group else [kind]


def _name(kind: Kind, group: SpwGroup) -> str:
    return f"{kind}_{group.name}"
