"""Planning and submitting: options that do not fit, and runs that are in the queue."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch


def test_run_and_submit_options_that_do_not_fit(tmp_path: Path) -> None:
    """`submit` of a run folder takes no options of a job config; what was not planned is not submitted."""
    job = make_job(tmp_path / "job", "execution: {engine: htcondor, site: local}\n")
    assert ccip_batch("plan", job, "--run-dir", tmp_path / "run").returncode == 0
    done = ccip_batch("submit", tmp_path / "run", "--set", "imaging.niter=5", PATH="/nowhere")
    assert done.returncode == 10 and "is a run folder" in done.stderr
    result = tmp_path / "run" / "nodes" / "restore" / "result.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    assert ccip_batch("retry", tmp_path / "run", "restore", PATH="/nowhere").returncode == 10
    assert result.is_file() and not list((tmp_path / "run" / "dag").glob("*.rescue*"))


def test_a_run_whose_dag_is_in_the_queue_is_left_to_it(small_job: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    sets = ("--set", "execution.engine=htcondor", "--set", "execution.site=local")
    assert ccip_batch("plan", small_job, "--run-dir", run, *sets).returncode == 0
    submitted = "000 (007.000.000) 2026-11-22 12:00:00 Job submitted from host: <127.0.0.1:9618>\n...\n"
    (run / "dag" / "ccip.dag.dagman.log").write_text(submitted)
    done = ccip_batch("run", small_job, "--run-dir", run)
    assert done.returncode == 12 and "is in the queue (job 7)" in done.stderr


@pytest.mark.parametrize("verb", ["submit", "resume", "retry"])
@pytest.mark.parametrize("script", ["exec python -m ccip_batch.dag_scripts\n", "", None])
def test_a_dag_that_another_version_planned_is_refused(tmp_path: Path, verb: str, script: str | None) -> None:
    path = planned(tmp_path) / "dag" / "ccip-dag.sh"
    path.unlink()
    if script is not None:
        path.write_text(script)
    done = ccip_batch(verb, tmp_path / "run", *(["restore"] if verb == "retry" else []))
    assert done.returncode == 12 and "another version" in done.stderr and "`ccip-batch plan` again" in done.stderr


@pytest.mark.parametrize("content", [b"{}", b"\xff\xfe"])
def test_a_retry_that_cannot_be_submitted_loses_no_result(tmp_path: Path, content: bytes) -> None:
    """Here nobody takes the DAG, and then its rescue file cannot be written."""
    run = planned(tmp_path)
    result = run / "nodes" / "restore" / "result.json"
    result.parent.mkdir(parents=True)
    result.write_bytes(content)
    without_tools = {"PATH": str(tmp_path)}
    done = ccip_batch("retry", run, "restore", **without_tools)
    assert done.returncode != 0 and "Traceback" not in done.stderr and result.read_bytes() == content
    (run / "dag" / "ccip.dag.rescue999").touch()
    done = ccip_batch("retry", run, "restore", **without_tools)
    assert done.returncode == 12 and "999 rescue files" in done.stderr and result.read_bytes() == content


def planned(folder: Path) -> Path:
    job = make_job(folder / "job", "execution: {engine: htcondor, site: local}\n")
    done = ccip_batch("plan", job, "--run-dir", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"
