"""A DAG that left the queue without a record: a schedd whose spool was lost, condor_rm -forcex, a new access point."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from helpers.input_files import make_job

from ccip_batch.cli import main

pytest.importorskip("htcondor2")

LOGS = Path(__file__).parents[2] / "data" / "event_logs"
HOST = "access.example.org"
SUBMITTED = f"000 (041.000.000) 2026-11-22 12:00:00 Job submitted from host: <127.0.0.1:9618?alias={HOST}&noUDP>\n...\n"
GONE = "DAG 41 has left the queue without a record"


class Place:
    """A planned run whose DAG is in the queue by its log, and the tools of a pool as its access point has them."""

    def __init__(self, folder: Path, planned: Path) -> None:
        self.job = planned / "job" / "job.yaml"
        self.run = folder / "run"
        shutil.copytree(planned / "run", self.run)
        self.tools = folder / "bin"
        self.tools.mkdir()
        self.tell(SUBMITTED)
        self.answer([])
        self.tool("condor_config_val", f"echo {HOST}")
        self.tool("condor_submit_dag", "echo 1 job submitted to cluster 52.")
        self.tool("condor_rm", f'echo "$@" > {folder}/removed')
        self.removed = folder / "removed"

    def tool(self, name: str, script: str) -> None:
        (self.tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.tools / name).chmod(0o755)

    def tell(self, log: str) -> None:
        (self.run / "dag" / "ccip.dag.dagman.log").write_text(log)

    def answer(self, jobs: list[dict[str, object]]) -> None:
        """What condor_q says."""
        (self.tools / "jobs").write_text(json.dumps(jobs, indent=1) if jobs else "")
        self.tool("condor_q", f"exec cat {self.tools}/jobs")

    def give(self, *words: str | Path) -> Result:
        return command(*words, PATH=f"{self.tools}:/usr/bin:/bin")


def command(*words: str | Path, **environment: str) -> Result:
    """The command line, in this process: there are many of them here."""
    done = CliRunner().invoke(main, [str(word) for word in words], env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planned")
    job = make_job(folder / "job", "imaging: {spw: ['2', '3,4']}\nexecution: {engine: htcondor, site: local}\n")
    assert command("plan", job, "--run-dir", folder / "run").exit_code == 0
    return folder


@pytest.fixture
def place(tmp_path: Path, planned: Path) -> Place:
    return Place(tmp_path, planned)


def verbs(place: Place) -> list[tuple[str | Path, ...]]:
    plan = ("plan", place.job, "--run-dir", place.run)
    return [("submit", place.run), ("resume", place.run), ("retry", place.run, "restore"), plan]


def test_the_verbs_go_on(place: Place) -> None:
    for words in verbs(place):
        done = place.give(*words)
        assert done.exit_code == 0, done.stderr


def test_status_and_cancel_say_so(place: Place) -> None:
    assert f"{GONE}; go on with: ccip-batch resume {place.run}" in place.give("status", place.run).stdout
    done = place.give("cancel", place.run)
    assert done.exit_code == 0 and GONE in done.stdout and not place.removed.exists()


def test_its_nodes_are_not_at_work_any_more(place: Place) -> None:
    (place.run / "dag" / "jobs.log").write_bytes((LOGS / "held_memory.jobs.log").read_bytes())
    said = place.give("explain", place.run).stdout
    assert GONE in said and "condor_release" not in said
    rows = json.loads(place.give("status", place.run, "--json").stdout)
    assert not [row for row in rows if row["state"] == "held"]


def test_nodes_that_it_left_behind_are_removed_first(place: Place) -> None:
    place.answer([{"ClusterId": 44, "JobStatus": 2, "Iwd": str(place.run / "dag")}])
    for words in verbs(place):
        done = place.give(*words)
        assert done.exit_code == 12 and "1 of its nodes are in it" in done.stderr
    assert "remove them with: ccip-batch cancel" in place.give("status", place.run).stdout
    assert "Removed the 1 nodes" in place.give("cancel", place.run).stdout
    assert place.removed.read_text() == f'-constraint DAGManJobId == 41 && Iwd == "{place.run}/dag"\n'


def test_the_number_is_now_that_of_another_job(place: Place) -> None:
    """On an access point that was installed anew; it is not removed."""
    other = place.tools
    place.answer([{"ClusterId": 41, "JobStatus": 2, "Iwd": str(other)}, {"ClusterId": 43, "Iwd": str(other)}])
    assert GONE in place.give("status", place.run).stdout
    assert place.give("cancel", place.run).exit_code == 0 and not place.removed.exists()
    assert place.give("resume", place.run).exit_code == 0


@pytest.mark.parametrize("iwd", ["run/dag", "where it was before it was moved/dag"])
def test_a_dag_that_is_in_the_queue_is_left_to_it(place: Place, tmp_path: Path, iwd: str) -> None:
    place.answer([{"ClusterId": 41, "JobStatus": 2, "Iwd": str(tmp_path / iwd)}])
    for words in verbs(place):
        done = place.give(*words)
        assert done.exit_code == 12 and "is in the queue (job 41)" in done.stderr
    assert "DAG 41 runs, 0 nodes in the queue" in place.give("status", place.run).stdout
    assert place.give("cancel", place.run).exit_code == 0 and place.removed.read_text() == "41\n"


def test_a_dag_that_is_being_removed_is_waited_for(place: Place) -> None:
    """As right after `cancel`: its job is in the queue until DAGMan has removed its nodes and has ended."""
    job = [{"ClusterId": 41, "JobStatus": 3, "Iwd": str(place.run / "dag")}]
    log = place.run / "dag" / "ccip.dag.dagman.log"
    for words in verbs(place):
        place.tell(SUBMITTED)
        place.answer(job)
        place.tool("condor_q", f"cat {place.tools}/jobs; echo '009 (041.000.000) 2026 Job was aborted.' >> {log}")
        done = place.give(*words)
        assert done.exit_code == 0, done.stderr
        assert done.stderr.count("DAG 41 is being removed from the queue: waiting for its end") == 1


@pytest.mark.parametrize(
    ("tool", "script"),
    [
        ("condor_q", "exit 1"),
        ("condor_q", "echo The schedd is busy"),
        ("condor_config_val", "echo other.example.org"),
        ("condor_config_val", "exit 1"),
    ],
)
def test_without_an_answer_of_its_own_queue_it_counts_as_alive(place: Place, tool: str, script: str) -> None:
    place.tool(tool, script)
    for words in verbs(place):
        done = place.give(*words)
        assert done.exit_code == 12 and f"is in the queue of {HOST} (job 41)" in done.stderr
        assert "If that queue is lost, remove" in done.stderr
    said = place.give("status", place.run).stdout
    assert "is in the queue by its log" in said and GONE not in said
    assert place.give("cancel", place.run).exit_code == 12 and not place.removed.exists()


def test_a_log_that_does_not_name_its_host(place: Place) -> None:
    place.tell(SUBMITTED.replace(f"?alias={HOST}&noUDP", ""))
    assert "its log does not tell where it was submitted" in place.give("status", place.run).stdout
    assert place.give("resume", place.run).exit_code == 12 and place.give("cancel", place.run).exit_code == 12


@pytest.mark.parametrize("status", ['"odd"', "null", "2.5", "[]", "99"])
def test_what_else_condor_q_may_say(place: Place, status: str) -> None:
    """Warnings before the JSON, bytes that are no UTF-8, a state that does not exist."""
    text = f'[\n{{"ClusterId": 41, "JobStatus": {status}, "Iwd": "{place.run}/dag", "Owner": "\xe9"}}\n]\n'
    (place.tools / "jobs").write_bytes(b"WARNING: \xff\n[1] old\n" + text.encode("latin-1"))
    done = place.give("status", place.run)
    assert done.exit_code == 0 and "DAG 41 is in the queue, 0 nodes in the queue" in done.stdout
