"""status and explain from recorded event logs, without a pool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
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
    assert "condor_release " in explain(run) and "by itself" not in explain(run)


def test_other_holds_are_released_by_themselves(run: Path) -> None:
    record(run, "held_output", ALIVE)
    said = explain(run)
    assert re.search(r"released by itself, up to 4 times; after that, release it: condor_release \d+\.0", said)
    assert re.search(r"tried again from the start: condor_rm \d+\.0", said)


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


@pytest.fixture
def idle_run(tmp_path: Path) -> Path:
    """A run of which one node runs and four wait, each for a reason of its own."""
    job = make_job(tmp_path / "job", TEXT.replace("'3,4'", "'3', '4', '5', '6'"))
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    record(tmp_path / "run", "idle", ALIVE)
    submitted(tmp_path / "run", datetime.now() - timedelta(days=3))
    return tmp_path / "run"


def submitted(run: Path, time: datetime) -> None:
    """Let all jobs have been submitted at another time than that of the record."""
    log = run / "dag" / "jobs.log"
    text = re.sub(r"^(000 \S+ )\S+ \S+", rf"\g<1>{time.isoformat(' ', 'seconds')}", log.read_text(), flags=re.MULTILINE)
    log.write_text(text)


@pytest.fixture
def tools(tmp_path: Path) -> str:
    """A PATH with the tools of a pool, which say what those of the personal pool said."""
    (tmp_path / "bin").mkdir()
    for name, file in (("condor_q", "idle.queue.ads"), ("condor_status", "idle.slots.ads")):
        tool = tmp_path / "bin" / name
        tool.write_text(f'#!/bin/sh\n[ "$4" = -json ] || exec cat {LOGS / file}\n')
        tool.chmod(0o755)
    return f"{tmp_path / 'bin'}:/usr/bin:/bin"


def test_idle_nodes_in_short(idle_run: Path, tools: str) -> None:
    said = ccip_batch("explain", idle_run, PATH=tools).stdout
    told = [line for line in said.splitlines() if not line.startswith(" ")]
    assert [line.split()[0] for line in told] == ["image_spw03", "image_spw04", "image_spw05", "image_spw06"]
    assert "0 of the pool's 1 slots could run it; the condition `HasLustre is true` excludes 1 of them" in told[1]
    assert "1 of the pool's 1 slots could run it when they are free, 0 of them now." in told[2]


def test_idle_nodes_of_the_same_kind_are_told_together(idle_run: Path) -> None:
    assert "image_spw03 and 3 more have been idle for " in explain(idle_run)


def test_who_waits_for_a_moment_is_told_of_only_if_no_machine_could_run_it(idle_run: Path, tools: str) -> None:
    submitted(idle_run, datetime.now())
    said = ccip_batch("explain", idle_run, PATH=tools).stdout
    assert "image_spw04 has been idle" in said and "image_spw05" not in said
    assert "Nothing failed" in explain(idle_run)
    assert "image_spw05 is idle" in explain(idle_run, "image_spw05")


def test_an_idle_node_in_full(idle_run: Path, tools: str) -> None:
    said = ccip_batch("explain", idle_run, "image_spw05", PATH=tools).stdout
    assert said.startswith("image_spw05 is idle: it has waited for a machine for ")
    assert "it asks for 2 cores, 0.07 GB of memory, 0.01 GB of disk" in said  # as the queue has it
    assert "condor_q -better-analyze " in said and "in 7 days (idle_limit" in said


def test_an_idle_node_without_a_pool(idle_run: Path) -> None:
    """What it asks for is then what the plan says, doubled as often as it was too little."""
    said = explain(idle_run, "image_spw03")
    asked = re.search(r'^VARS image_spw03 .*memory="(\d+)"', (idle_run / "dag" / "ccip.dag").read_text(), re.MULTILINE)
    assert asked is not None
    assert f"it asks for 1 core, {int(asked[1]) * 2**20 / 1e9:.2f} GB of memory" in said
    assert "condor_q is not on the PATH" in said
    skip = idle_run / "dag" / "attempts" / "image_spw03.sub"
    skip.write_text(skip.read_text().replace("more = 0", "more = 2"))
    assert f"1 core, {int(asked[1]) * 4 * 2**20 / 1e9:.2f} GB of memory" in explain(idle_run, "image_spw03")


def test_after_a_hold_for_memory_it_asks_for_twice_as_much(run: Path) -> None:
    record(run, "held_memory", ALIVE)
    with (run / "dag" / "jobs.log").open("a") as log:
        log.write("013 (010.000.000) 2026-11-22 11:40:10 Job was released.\n\tvia condor_release\n...\n")
    text = (run / "dag" / "ccip.dag").read_text()
    asked = re.search(r'^VARS image_spw02 .*memory="(\d+)"', text, re.MULTILINE)
    assert asked is not None
    assert f"1 core, {int(asked[1]) * 2 * 2**20 / 1e9:.2f} GB of memory" in explain(run, "image_spw02")


def test_a_pool_that_says_something_else(idle_run: Path, tools: str, tmp_path: Path) -> None:
    (tmp_path / "bin" / "condor_status").write_text("#!/bin/sh\necho 'Memory = '\n")
    done = ccip_batch("explain", idle_run, "image_spw03", PATH=tools)
    assert done.returncode == 0 and "cannot be read" in done.stdout and "image_spw03 is idle" in done.stdout


def test_status_of_an_idle_node(idle_run: Path) -> None:
    seen = state(idle_run, "image_spw03")
    assert seen["state"] == "idle" and isinstance(seen["idle_s"], float) and seen["idle_s"] // 3600 == 72
    assert seen["memory_asked_bytes"] and seen["cpus_asked"] == 1 and seen["disk_asked_bytes"]
    assert state(idle_run, "image_spw02")["idle_s"] is None
    said = ccip_batch("status", idle_run, PATH="/nowhere", COLUMNS="80").stdout
    assert re.search(r"^image_spw03 +idle .* waits for 72:00:\d\d *$", said, re.MULTILINE)
    assert f"ccip-batch explain {idle_run}" in said


def test_of_a_dag_that_has_ended_nothing_waits(idle_run: Path, tools: str) -> None:
    (idle_run / "dag" / "ccip.dag.dagman.log").write_text(ENDED)
    assert "Nothing failed" in ccip_batch("explain", idle_run, PATH=tools).stdout
    assert state(idle_run, "image_spw03")["idle_s"] is None


def test_a_good_run_has_nothing_to_explain(run: Path) -> None:
    record(run, "completed", ENDED)
    assert "Nothing failed" in explain(run)
    done = ccip_batch("explain", run, "image_spw99")
    assert done.returncode == 10 and "image_spw02" in done.stderr
