"""Which nodes of a run still have to run."""

from __future__ import annotations

from ccip_batch.job.config import ResolvedJob
from ccip_batch.run.fingerprint import is_done, read_inputs
from ccip_batch.run.folder import RunFolder
from ccip_batch.workflow.graph import Graph


def needed_nodes(run: RunFolder, job: ResolvedJob) -> set[str]:
    """Nodes that are not done with their present parameters, and those of their parents whose output was cleaned."""
    graph, inputs = run.graph(), read_inputs(run)
    needed: set[str] = set()
    for node in reversed(graph.nodes):
        cleaned = run.node(node).cleaned.exists()
        wanted = any(child.kind == "image" and child.name in needed for child in graph.children(node.name))
        if (cleaned and wanted) or not is_done(run, job, inputs, graph, node):
            needed.add(node.name)
    return needed


def with_descendants(graph: Graph, names: set[str]) -> set[str]:
    """These nodes and all that come after them: what they make may change what those make."""
    found = set(names)
    for node in graph.nodes:  # parents come before their children
        if any(parent in found for parent in node.parents):
            found.add(node.name)
    return found
