"""status and explain from recorded event logs, without a pool."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch

pytest.importorskip("htcondor2")

LOGS = Path(__file__).parents[2] / "data" / "event_logs"
TEXT = "imaging: {spw: ['2', '3,4']}\nexecution: {engine: htcondor, site: local}\n"
ALIVE = (
    "000 (001.000.000) 2026-11-22 12:00:00 Job submitted\n...\n"
    "001 (001.000.000) 2026-11-22 12:00:01 Job executing\n...\n"
)
ENDED = ALIVE + "005 (001.000.000) 2026-11-22 12:10:00 Job terminated.\n...\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    job = make_job(tmp_path / "job", TEXT)
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


def record(run: Path, name: str, dagman: str) -> None:
    """Put a recorded log into a run, as if its DAG had made it."""
    shutil.copyfile(LOGS / f"{name}.jobs.log", run / "dag" / "jobs.log")
    nodes = LOGS / f"{name}.nodes.log"
    if nodes.exists():
        shutil.copyfile(nodes, run / "dag" / "ccip.dag.nodes.log")
    (run / "dag" / "ccip.dag.dagman.log").write_text(dagman)


def explain(run: Path, *more: str) -> str:
    done = ccip_batch("explain", run, *more, PATH="/nowhere")
    assert done.returncode == 0, done.stderr
    return done.stdout


def state(run: Path, node: str) -> dict[str, object]:
    done = ccip_batch("status", run, "--json", PATH="/nowhere")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = {row["node"]: row for row in json.loads(done.stdout)}[node]
    return found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("held_memory", "it used more memory than it had asked for"),
        ("held_user", "held by its user"),
        ("held_output", "its output files could not be transferred back: no such file"),
        ("held_input", "its input files could not be transferred to it"),
        ("held_executable", "its program could not be started"),
        ("held_policy", "held by the job's own policy"),
    ],
)
def test_held(name: str, words: str, run: Path) -> None:
    record(run, name, ALIVE)
    node = (LOGS / f"{name}.jobs.log").read_text().partition("DAG Node: ")[2].split()[0]
    assert f"{node} is held: {words}" in explain(run)
    seen = state(run, node)
    assert seen["state"] == "held" and words in str(seen["text"])


def test_a_user_is_told_how_to_release(run: Path) -> None:
    record(run, "held_user", ALIVE)
    assert "condor_release " in explain(run)


def test_running(run: Path) -> None:
    record(run, "running", ALIVE)
    seen = state(run, "restore")
    assert seen["state"] == "running" and seen["host"] and seen["attempts"] == 1
    done = ccip_batch("status", run, PATH="/nowhere")
    assert "by its log" in done.stdout and "not on the PATH" in done.stdout


def test_of_a_dag_that_has_ended_nothing_runs(run: Path) -> None:
    record(run, "running", ENDED)
    assert state(run, "restore")["state"] == "waiting"
    assert "has ended" in ccip_batch("status", run, PATH="/nowhere").stdout


def test_killed_by_a_signal(run: Path) -> None:
    record(run, "signal", ENDED)
    (run / "nodes" / "image_spw02").mkdir(parents=True)
    post = ("-m", "ccip_batch.engines.htcondor.dag_scripts", "post", str(run), "image_spw02", "-11", "1", "1")
    done = subprocess.run([sys.executable, *post])
    assert done.returncode == 0  # the other planes go on
    said = explain(run, "image_spw02")
    assert "SIGSEGV" in said and "killed by signal 11" in said
    assert f"ccip-batch node {run} image_spw02" in said and f"ccip-batch retry {run} image_spw02" in said


def test_removed_after_a_memory_hold(run: Path) -> None:
    """The event of the removal says only that a policy fired; why it was held before is what matters."""
    record(run, "held_memory", ENDED)
    with (run / "dag" / "jobs.log").open("a") as log:
        text = (LOGS / "held_memory.jobs.log").read_text()
        job = text.partition("(")[2].partition(")")[0]
        log.write(f"009 ({job}) 2026-11-22 12:09:00 Job was aborted.\n\tThe job attribute PeriodicRemove fired\n...\n")
    said = explain(run)
    assert "was removed from the queue" in said and "it used more memory than it had asked for" in said


def test_a_good_run_has_nothing_to_explain(run: Path) -> None:
    assert "Nothing failed" in explain(run)
    done = ccip_batch("explain", run, "image_spw99")
    assert done.returncode == 10 and "image_spw02" in done.stderr
