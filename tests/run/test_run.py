"""A run that is read once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from ccip_batch.errors import ConfigError, RunFolderError
from ccip_batch.run.needed import needed_nodes
from ccip_batch.run.run import Run


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


def test_a_result_that_was_changed_or_marked_is_not_done(copy: Path) -> None:
    run = Run.read(copy)
    run.node("image_spw17").damaged.touch()
    assert not run.is_done(run.graph["image_spw17"]) and run.is_done(run.graph["image_spw10"])
    path = run.node("image_spw10").result
    path.write_text(json.dumps({**json.loads(path.read_text()), "summary": "all is well"}))
    assert run.result("image_spw10") is None and not run.is_done(run.graph["image_spw10"])
