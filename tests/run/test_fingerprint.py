"""Fingerprints: what they see of files, and what a node follows from."""

from __future__ import annotations

from pathlib import Path

from ccip_batch.run.fingerprint import of_inputs, of_path, stamps
from ccip_batch.run.run import Run

LARGE = 3 << 20


def test_of_a_folder_names_sizes_and_contents_count_but_no_lock(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "table.dat").write_bytes(b"x")
    before = of_path(tmp_path)
    (tmp_path / "a" / "table.lock").write_bytes(b"y")
    assert of_path(tmp_path) == before and len(stamps(tmp_path)) == 1
    (tmp_path / "a" / "table.dat").write_bytes(b"z")
    other = of_path(tmp_path)
    (tmp_path / "a" / "table.dat").rename(tmp_path / "a" / "table.f0")
    assert len({before, other, of_path(tmp_path)}) == 3


def test_of_a_large_file_both_ends_and_the_size_count(tmp_path: Path) -> None:
    path, seen = tmp_path / "large", set()
    for content in (b"\0" * LARGE, b"\1" + b"\0" * (LARGE - 1), b"\0" * (LARGE - 1) + b"\1", b"\0" * (LARGE + 1)):
        path.write_bytes(content)
        seen.add(of_path(path))
    assert len(seen) == 4


def test_the_inputs_of_a_run_are_what_they_were(finished: Path) -> None:
    run = Run.read(finished)
    assert of_inputs(run.job) == dict(run.inputs)


def test_a_plane_follows_from_its_target_and_not_from_other_planes(finished: Path) -> None:
    run = Run.read(finished)
    image = run.graph["image_spw17"]
    assert run.fingerprint(image) == run.result(image).fingerprint  # type: ignore[union-attr]
    fewer = run.job.model_copy(update={"groups": run.job.groups[1:]})
    changed = Run(run.folder, fewer, run.graph, run.inputs)
    assert changed.fingerprint(image) == run.fingerprint(image)
    assert changed.fingerprint(run.graph["restore"]) != run.fingerprint(run.graph["restore"])
    other = Run(run.folder, run.job, run.graph, {**run.inputs, "vis": "another"})
    assert other.fingerprint(image) != run.fingerprint(image)
