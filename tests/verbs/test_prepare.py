"""Run folders that are not those of the job, or no run folders."""

from __future__ import annotations

from pathlib import Path

from helpers.simulated_runs import ccip_batch, changed


def test_the_run_folder_of_another_job_is_left_alone(small_job: Path, finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "CCIP_parameter.list"
    there = (small_job.parent / "CCIP_parameter.list").read_text()
    other.write_text(there.replace("VLASS", "OTHER", 1))
    before = (finished / "job.resolved.yaml").read_bytes()
    done = ccip_batch(
        "run", changed(small_job, tmp_path, inputs__ccip_parameter_list=str(other)), "--run-dir", finished
    )
    assert done.returncode == 12 and "another job" in done.stderr
    assert (finished / "job.resolved.yaml").read_bytes() == before


def test_a_folder_of_something_else_is_left_alone(small_job: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    done = ccip_batch("run", small_job, "--run-dir", tmp_path)
    assert done.returncode == 12 and "is not a run folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
