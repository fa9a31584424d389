"""The node `publish`: the products of all planes in one folder."""

from __future__ import annotations

import traceback
from pathlib import Path

from ccip_batch import report
from ccip_batch.nodes.workspace import Workspace
from ccip_batch.products.provenance import Provenance
from ccip_batch.run.fingerprint import read_inputs
from ccip_batch.run.results import NodeResult, Outcome, read_result
from ccip_batch.stages.publish import publish_products


def publish(work: Workspace) -> Outcome:
    """Collect the products: FITS files, manifest, checksums, parameter lists."""
    planes: dict[str, tuple[Path, NodeResult]] = {}
    failed = []
    for name in work.node.parents:
        node = work.graph[name]
        if node.kind != "export" or node.group is None:
            continue
        result = read_result(work.run.node(node).result)
        if result is None or not read_result(work.run.node(work.graph[f"image_{node.group.name}"]).result):
            failed.append(node.group.selection)
        else:
            planes[node.group.selection] = (work.run.node(node).out, result)
    report = _report(work)
    results = {node.name: read_result(work.run.node(node).result) for node in work.graph.nodes}
    run = Provenance(
        work.job,
        work.graph,
        read_inputs(work.run),
        {name: result for name, result in results.items() if result and name != work.node.name},
        work.fingerprint,
    )
    files = work.stage("publish", publish_products, run, planes, failed, work.run.path / "nodes", report, work.out)
    missing = f"; missing because they failed: spw {'; '.join(failed)}" if failed else ""
    return Outcome(summary=f"{len(files.files)} files{missing}", files=tuple(files.files))


def _report(work: Workspace) -> Path | None:
    """The report as it is now, to go with the products. None if it cannot be made, which is no failure."""
    try:
        report.write_to(work.run, Path("report"))
    except Exception:
        traceback.print_exc()
        return None
    return Path("report")
