"""Checkpoints: what is on the disk when a save says that it is whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ccip_batch.imaging.checkpoint import Checkpoint, State, pixel_sum


def make_table(folder: Path, text: str) -> Path:
    """A table as CASA makes it: files, one of them with pixels, and another table inside."""
    (folder / "logtable").mkdir(parents=True, exist_ok=True)
    for name in ("table.dat", "table.f0_TSM0", "logtable/table.dat"):
        (folder / name).write_text(text)
    return folder


def save(checkpoint: Checkpoint, table: Path, iteration: int) -> State:
    state = State(
        fingerprint="f", iteration=iteration, ended=True, iterations=5, major_cycles=2, convergence={}, results=[],
        cycle_s=1.0, script_bytes=0, model=checkpoint.save_model(table), residual=pixel_sum(table),
    )  # fmt: skip
    checkpoint.save(state)
    return state


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_model_comes_back_as_it_was(tmp_path: Path) -> None:
    table = make_table(tmp_path / "plane.model.tt0", "some")
    checkpoint = Checkpoint(tmp_path / "checkpoint", "f")
    state = save(checkpoint, table, 1)
    before = contents(table)
    make_table(table, "other")
    (table / "more").touch()
    checkpoint.restore_model(state, table)
    assert contents(table) == before


def test_only_the_last_save_is_kept(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint", "f")
    for iteration in (1, 2):
        state = save(checkpoint, make_table(tmp_path / "model", f"of {iteration}"), iteration)
    assert checkpoint.load() == state
    assert {path.name for path in checkpoint.folder.iterdir()} == {"state.json", state.model.name}


def test_until_a_save_is_whole_the_one_before_counts(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint", "f")
    state = save(checkpoint, make_table(tmp_path / "model", "first"), 1)
    checkpoint.save_model(make_table(tmp_path / "model", "second"))
    assert checkpoint.load() == state
    assert Checkpoint(checkpoint.folder, "other parameters").load() is None


def test_the_sum_of_the_pixels_is_of_these_alone(tmp_path: Path) -> None:
    table = make_table(tmp_path / "image", "first")
    before = pixel_sum(table)
    (table / "table.dat").write_text("second")
    assert pixel_sum(table) == before
    (table / "table.f0_TSM0").write_text("second")
    assert pixel_sum(table) != before


def test_all_is_on_the_disk_before_the_state_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        really(descriptor)
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", fsync)
    checkpoint = Checkpoint(tmp_path / "checkpoint", "f")
    state = save(checkpoint, make_table(tmp_path / "model", "some"), 3)
    written = next(place for place, path in enumerate(synced) if "state.json" in path.name)
    assert {checkpoint.folder / state.model.name, checkpoint.folder} <= set(synced[:written])
    assert synced[-1] == checkpoint.folder  # the name state.json too
