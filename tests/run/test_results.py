"""A node's result is what was written, or nothing."""

from __future__ import annotations

from pathlib import Path

from ccip_batch.run.results import NodeResult, StageRecord, Usage, read_result


def write_result(path: Path) -> NodeResult:
    stage = StageRecord(
        name="pbcor", started=1.5e9, elapsed_s=0.1, cpu_s=0.1, casa_cpu_s=0.0, result={"beam": [3.5, 1e-9]}
    )
    result = NodeResult(
        node="image_spw02",
        kind="image",
        spw="2",
        fingerprint="0123",
        summary="imaged: 3 × 2 arcsec",
        started=1.5e9,
        ended=1.5e9 + 0.7,
        host="here",
        attempts=1,
        usage=Usage(cpu_s=0.3, peak_memory_bytes=7, wall_s=0.7),
        versions={"python": "3.11"},
        stages=[stage],
    ).sealed()
    result.save(path)
    return result


def test_a_result_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert read_result(path) is None
    assert write_result(path) == read_result(path)


def test_a_figure_that_was_changed_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path)
    text = path.read_text()
    assert text.count("3.5") == 1
    path.write_text(text.replace("3.5", "3.6"))
    assert read_result(path) is None


def test_a_result_that_was_cut_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert read_result(path) is None
