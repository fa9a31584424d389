"""The graph of a job: its nodes, what each waits for and what it runs. Pure data, no files touched.

restore -> image (one a spw group) -> analyze -> export (one a spw group) -> publish
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ccip_batch.job.spw_groups import SpwGroup

Kind = Literal["restore", "image", "analyze", "export", "publish"]

KINDS: tuple[Kind, ...] = ("restore", "image", "analyze", "export", "publish")


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
    images = tuple(f"image_{group.name}" for group in groups)
    exports = tuple(f"export_{group.name}" for group in groups)
    nodes = [Node("restore", "restore", None, ())]
    nodes += [Node(name, "image", group, ("restore",)) for name, group in zip(images, groups, strict=True)]
    nodes.append(Node("analyze", "analyze", None, ("restore", *images), may_fail=images))
    nodes += [
        Node(export, "export", group, ("restore", image, "analyze"))
        for export, image, group in zip(exports, images, groups, strict=True)
    ]
    nodes.append(Node("publish", "publish", None, ("analyze", *exports), may_fail=exports))
    return Graph(nodes)
