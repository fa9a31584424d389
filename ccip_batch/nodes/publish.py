"""The node `publish`: the products of all planes in one folder."""

from __future__ import annotations

import traceback
from pathlib import Path

from ccip_batch import report
from ccip_batch.nodes.workspace import Workspace
from ccip_batch.products.provenance import Provenance
from ccip_batch.run.results import NodeResult, Outcome
from ccip_batch.stages.publish import publish_products


def publish(work: Workspace) -> Outcome:
    """Collect the products: FITS files, manifest, checksums, parameter lists."""
    planes: dict[str, tuple[Path, NodeResult]] = {}
    failed = []
    for name in work.node.parents:
        node = work.run.graph[name]
        if node.kind != "export" or node.group is None:
            continue
        result = work.run.result(node)
        if result is None or work.run.result(f"image_{node.group.name}") is None:
            failed.append(node.group.selection)
        else:
            planes[node.group.selection] = (work.run.node(node).out, result)
    page = _report(work)
    results = {node.name: work.run.result(node) for node in work.run.graph.nodes}
    run = Provenance(
        work.job,
        work.run.graph,
        work.run.inputs,
        {name: result for name, result in results.items() if result and name != work.node.name},
        work.fingerprint,
    )
    nodes, part = work.run.folder.path / "nodes", work.run.folder.part.exists()
    files = work.stage("publish", publish_products, run, planes, failed, nodes, page, work.out, part=part)
    missing = f"; missing because they failed: spw {'; '.join(failed)}" if failed else ""
    return Outcome(summary=f"{len(files.files)} files{missing}", files=tuple(files.files))


def _report(work: Workspace) -> Path | None:
    """The report as it is now, to go with the products. None if it cannot be made; the node does not fail for that."""
    try:
        report.write_to(work.run, Path("report"))
    except Exception:
        traceback.print_exc()
        return None
    return Path("report")
