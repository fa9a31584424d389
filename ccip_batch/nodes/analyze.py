"""The node `analyze`: what looks at all planes together."""

from __future__ import annotations

from pathlib import Path

from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.nodes.workspace import Workspace
from ccip_batch.run.results import NodeResult, Outcome
from ccip_batch.stages.analyzeplanes import analyze_planes
from ccip_batch.stages.editimlist import CubeTargets


def analyze(work: Workspace) -> Outcome:
    """Plane rejection after imaging, stage 11, the common beam. It goes on with the planes there are."""
    restored = work.parent("restore")
    targets = restored.of(CubeTargets)
    images: dict[str, tuple[NodeResult, Path]] = {}
    failed = []
    for plane in targets.planes:
        node = work.run.graph[f"image_{SpwGroup.parse(plane.spw).name}"]
        result = work.run.result(node)
        if result is None:
            failed.append(plane.spw)
        elif plane.state == "imaged":
            images[plane.spw] = (result, Path(work.parent_out(node.name), "samples.npz"))
    result_of_all = work.stage(
        "analyzestokescubes",
        analyze_planes,
        lambda: work.casa,
        targets,
        images,
        failed,
        work.job.plane_rejection.after_imaging,
    )
    return Outcome(summary=result_of_all.sentence())
