"""Which nodes have to run again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ccip_batch.run.needed import needed_nodes, with_descendants
from ccip_batch.run.run import Run


def test_a_plane_whose_file_is_gone_is_made_again_and_nothing_else(copy: Path) -> None:
    run = Run.read(copy)
    next(run.node("export_spw17").out.glob("*.fits")).unlink()
    assert needed_nodes(run) == {"export_spw17"}
    assert with_descendants(run.graph, {"export_spw17"}) == {"export_spw17", "publish"}


def test_another_parameter_touches_the_nodes_it_matters_to(copy: Path) -> None:
    run = Run.read(copy)
    rejection = run.job.plane_rejection
    after = rejection.after_imaging.model_copy(update={"flagpct_thresh": 0.123})
    job = run.job.model_copy(update={"plane_rejection": rejection.model_copy(update={"after_imaging": after})})
    assert (
        {"analyze"}
        <= needed_nodes(dataclasses.replace(run, job=job))
        <= {"analyze", "publish"} | {node.name for node in run.graph.nodes if node.kind == "export"}
    )
    other = run.job.model_copy(update={"execution": run.job.execution.model_copy(update={"workers": 7})})
    assert needed_nodes(dataclasses.replace(run, job=other)) == set()
