"""A run that is read once: what is done in it, what has to run again."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from ccip_batch.errors import ConfigError, RunFolderError
from ccip_batch.run.cleaning import bad_products, clean
from ccip_batch.run.needed import needed_nodes, with_descendants
from ccip_batch.run.run import Run


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, with links for the files that no test changes."""
    shutil.copytree(finished, tmp_path / "run", symlinks=True, ignore=shutil.ignore_patterns("work", "casa_home"))
    return tmp_path / "run"


def test_a_copied_run_is_done_and_frozen(copy: Path) -> None:
    run = Run.read(copy)
    assert needed_nodes(run) == set()
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.job = run.job  # type: ignore[misc]


def test_nodes_by_their_names(copy: Path) -> None:
    run = Run.read(copy)
    assert run.named("restore") == run.graph["restore"]
    with pytest.raises(ConfigError, match="has no node restor; it has restore, image_spw09"):
        run.named("restor")
    with pytest.raises(RunFolderError, match="is not a run folder"):
        Run.read(copy / "nodes")


def test_a_plane_whose_file_is_gone_is_made_again_and_nothing_else(copy: Path) -> None:
    run = Run.read(copy)
    next(run.node("export_spw17").out.glob("*.fits")).unlink()
    assert needed_nodes(run) == {"export_spw17"}
    assert with_descendants(run.graph, {"export_spw17"}) == {"export_spw17", "publish"}


def test_a_result_that_was_changed_or_marked_is_not_done(copy: Path) -> None:
    run = Run.read(copy)
    run.node("image_spw17").damaged.touch()
    assert not run.is_done(run.graph["image_spw17"]) and run.is_done(run.graph["image_spw10"])
    path = run.node("image_spw10").result
    path.write_text(json.dumps({**json.loads(path.read_text()), "summary": "all is well"}))
    assert run.result("image_spw10") is None and not run.is_done(run.graph["image_spw10"])


def test_what_was_cleaned_is_needed_again_for_a_plane_alone(copy: Path) -> None:
    run = Run.read(copy)
    clean(run)
    assert not any(run.node("restore").out.iterdir())
    assert needed_nodes(run) == set()
    run.node("export_spw17").result.unlink()
    assert "restore" not in needed_nodes(run)
    run.node("image_spw17").result.unlink()
    assert run.lacks_output_of(run.graph["image_spw17"]) == [run.graph["restore"]]
    assert {"restore", "image_spw17", "export_spw17"} <= needed_nodes(run)


def test_products_that_were_changed_are_named_and_made_again(copy: Path) -> None:
    run = Run.read(copy)
    assert bad_products(run) == []
    victim = next(run.folder.products.glob("*spw17*.fits"), None) or next(run.folder.products.glob("*.fits"))
    victim.write_bytes(victim.read_bytes()[:-1])
    assert bad_products(run) == [victim.name]
    assert "publish" in needed_nodes(run) and any(name.startswith("export_") for name in needed_nodes(run))


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
