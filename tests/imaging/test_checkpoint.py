"""Checkpoints: what is on the disk when a save says that it is whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ccip_batch.imaging.checkpoint import CHANGING, CONSTANT, FINAL, Checkpoint, State


def test_all_is_on_the_disk_before_the_state_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in (*CONSTANT, *CHANGING, *FINAL):
        table = Path("plane.mask" if kind == "mask" else f"plane.{kind}.tt0")
        (table / "SUB").mkdir(parents=True)
        for name in ("table.dat", "SUB/table.dat"):
            (table / name).write_text(kind)
    synced: list[Path] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        really(descriptor)
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "checkpoint"
    state = State(
        fingerprint="f", iteration=3, ended=True, iterations=5, major_cycles=2, convergence={}, results=[], cycle_s=1.0,
        script_bytes=0, folder="save_1",
    )  # fmt: skip
    Checkpoint(folder, "f").save("plane", state, final=True)
    assert Checkpoint(folder, "f").load() == state
    written = next(place for place, path in enumerate(synced) if "state.json" in path.name)
    saved = {path for path in folder.rglob("*") if path.name != "state.json"}
    assert len([path for path in saved if path.is_file()]) == 2 * len((*CONSTANT, *CHANGING, *FINAL))
    assert saved <= set(synced[:written])
    assert synced[-1] == folder  # the name state.json too
