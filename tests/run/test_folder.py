"""The run folder: where nodes leave what they make, and who may work in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ccip_batch.errors import RunFolderError
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.run.folder import RunFolder, is_locked, lock_file
from ccip_batch.workflow.graph import build_graph


def test_every_node_has_places_of_its_own(tmp_path: Path) -> None:
    run, graph = RunFolder(tmp_path), build_graph([SpwGroup((2,)), SpwGroup((3, 4))])
    places = [run.node(node).out.relative_to(tmp_path.resolve()) for node in graph.nodes]
    assert len(set(places)) == len(places)
    assert run.node(graph["export_spw03_04"]).out == tmp_path.resolve() / "planes" / "spw03_04"
    assert run.node(graph["publish"]).out == run.products


def test_one_engine_at_a_time(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "new")
    with run.locked():
        assert is_locked(run.path / ".lock")
        with pytest.raises(RunFolderError, match="in use by another run"), RunFolder(run.path).locked():
            pass
    assert not is_locked(run.path / ".lock")


def test_disk_is_counted_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    (run.path / "planes").mkdir(parents=True)
    (run.path / "planes" / "a").write_bytes(b"x" * 100_000)
    before = run.disk_taken()
    assert before >= 100_000
    os.link(run.path / "planes" / "a", run.path / "again")
    (tmp_path / "elsewhere").write_bytes(b"x" * 100_000)
    (run.path / "link").symlink_to(tmp_path / "elsewhere")
    assert run.disk_taken() < before + 50_000 and RunFolder(tmp_path / "none").disk_taken() == 0


def test_a_lock_lasts_as_long_as_its_descriptor(tmp_path: Path) -> None:
    with lock_file(tmp_path / "lock") as held:
        assert held is not None
        kept = os.dup(held)
    assert is_locked(tmp_path / "lock")
    os.close(kept)
    assert not is_locked(tmp_path / "lock")


def test_what_is_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"is not a run folder: it has no job\.resolved\.yaml"):
        RunFolder.existing(tmp_path)
    (tmp_path / "job.resolved.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RunFolderError, match="is damaged"):
        RunFolder.existing(tmp_path).read_job()
