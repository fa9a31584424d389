"""Which nodes of a run still have to run."""

from __future__ import annotations

from ccip_batch.run.run import Run
from ccip_batch.workflow.graph import Graph


def needed_nodes(run: Run) -> set[str]:
    """Nodes that are not done with their present parameters, and those of their parents whose output was cleaned."""
    needed: set[str] = set()
    for node in reversed(run.graph.nodes):
        children = [child for child in run.graph.children(node.name) if child.name in needed]
        if any(node in run.lacks_output_of(child) for child in children) or not run.is_done(node):
            needed.add(node.name)
    return needed


def with_descendants(graph: Graph, names: set[str]) -> set[str]:
    """These nodes and all that come after them: what they make may change what those make."""
    found = set(names)
    for node in graph.nodes:  # parents come before their children
        if any(parent in found for parent in node.parents):
            found.add(node.name)
    return found
