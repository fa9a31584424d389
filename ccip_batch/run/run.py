"""A run: its folder, its job, its graph and the fingerprints of its inputs, read once and handed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccip_batch.errors import ConfigError, RunFolderError
from ccip_batch.job.config import ResolvedJob
from ccip_batch.run.failures import NodeFailure, read_failure
from ccip_batch.run.fingerprint import of_node, read_inputs
from ccip_batch.run.folder import NodeFolder, RunFolder
from ccip_batch.run.results import NodeResult, read_result
from ccip_batch.workflow.graph import Graph, Node, build_graph


@dataclass(frozen=True)
class Run:
    """A run as its folder says when it is read. What nodes have left since then is always read anew."""

    folder: RunFolder
    job: ResolvedJob
    graph: Graph
    inputs: Mapping[str, str]
    """Fingerprints of the inputs when the run was started, by their keys in the config."""

    @classmethod
    def read(cls, folder: RunFolder | Path) -> Run:
        """Read a run folder. Raises RunFolderError if it is not a run folder, or is damaged."""
        folder = RunFolder.existing(folder) if isinstance(folder, Path) else folder
        job = folder.read_job()
        return cls(folder, job, build_graph(job.groups), read_inputs(folder))

    def refuse_tidied(self) -> None:
        """Raise RunFolderError if the run is done, and its nodes were removed."""
        if self.folder.tidied.exists():
            raise RunFolderError(
                f"{self.folder.path} is done and was tidied: its products are in {self.folder.products.resolve()}"
                + (f", its report is {report}." if (report := self.folder.report / "index.html").is_file() else ".")
            )

    def named(self, name: str) -> Node:
        """A node by its name. Raises ConfigError, listing the nodes, if the name is unknown."""
        if name not in self.graph:
            known = ", ".join(node.name for node in self.graph.nodes)
            raise ConfigError(f"{self.folder.path} has no node {name}; it has {known}.")
        return self.graph[name]

    def node(self, node: Node | str) -> NodeFolder:
        """The folder of a node."""
        return self.folder.node(self.graph[node] if isinstance(node, str) else node)

    def result(self, node: Node | str) -> NodeResult | None:
        """What a node left; None if it is not done, or its result is damaged."""
        return read_result(self.node(node).result)

    def failure(self, node: Node | str) -> NodeFailure | None:
        """How a node failed; None if it did not."""
        return read_failure(self.node(node).failure)

    def missing_planes(self) -> list[str]:
        """Spw groups that `publish` had to leave out because their nodes failed; none if it has not run."""
        result = self.result("publish")
        return list(result.stage("publish")["failed"]) if result else []

    def fingerprint(self, node: Node) -> str:
        """Fingerprint of a node's work as it would be now, from the results of its parents as they are."""
        return of_node(self.job, self.inputs, node, {name: self.result(name) for name in node.parents})

    def is_done(self, node: Node) -> bool:
        """Whether a node's result is there, is that of its present parameters and parents, and its files are there.

        Of files and folders only sizes are looked at; who reads one compares its checksum. In a part of a run folder
        the result is enough.
        """
        folder, result = self.node(node), self.result(node)
        if result is None or folder.damaged.exists() or result.fingerprint != self.fingerprint(node):
            return False
        if self.folder.part.exists():  # its files were looked at where they are
            return True
        sizes = {path.name: path.stat().st_size for path in folder.out.glob("*")} if result.files else {}
        left = () if folder.cleaned.exists() else result.outputs
        return all(sizes.get(file.name) == file.bytes for file in result.files) and all(
            output.has_size_in(folder.out) for output in left
        )

    def lacks_output_of(self, node: Node) -> list[Node]:
        """Parents whose output a node reads, but was removed when the products were verified."""
        parents = (self.graph[name] for name in node.parents)
        return [parent for parent in parents if node.reads_of(parent) and self.node(parent).cleaned.exists()]
