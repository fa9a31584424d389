"""What runs before and after each node of a DAG, called as DAGMan calls it, without a pool."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch

NODE = "image_spw02"
LOGS = Path(__file__).parents[2] / "data" / "event_logs"
Script = Callable[..., int]


@pytest.fixture(params=["shared", "transfer"])
def data(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(tmp_path: Path, data: str) -> Path:
    (tmp_path / "here.yaml").write_text(f"description: Here\nhtcondor: 23.9.6\ndata: {data}\n")
    job = make_job(tmp_path / "job", "imaging: {spw: ['2', '3,4']}\nexecution: {engine: htcondor, site: here}\n")
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run", CCIP_SITES=str(tmp_path))
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


@pytest.fixture
def script(run: Path) -> Script:
    def call(verb: str, *words: object, largest_file: int = -1) -> int:
        """largest_file: bytes of a file that can be written, as if the disk were full then."""
        limit = (largest_file, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        return subprocess.run(
            [run / "dag" / "ccip-dag.sh", verb, "..", *map(str, words)],
            cwd=run / "dag",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        ).returncode

    return call


def failure(run: Path, node: str = NODE) -> dict[str, object]:
    content: dict[str, object] = json.loads((run / "nodes" / node / "failure.json").read_text())
    return content


def give(run: Path, files: dict[str, bytes]) -> Path:
    """Put the tar there that HTCondor brought back from a node's machine."""
    archive = run / "dag" / "transfer" / f"{NODE}.out.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"nodes/{NODE}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive


@pytest.mark.parametrize(
    ("node", "code", "retry", "given"),
    [
        (NODE, 31, 0, 31),  # a new try may mend it
        (NODE, 31, 2, 0),  # the other planes go on without it
        (NODE, 11, 0, 0),  # a new try cannot
        ("restore", 31, 0, 31),
        ("restore", 31, 2, 20),
        ("restore", 11, 0, 20),
        ("restore", -9, 0, 31),
    ],
)
@pytest.mark.parametrize("data", ["shared"], indirect=True)
def test_codes(run: Path, script: Script, node: str, code: int, retry: int, given: int) -> None:
    assert script("post", node, code, retry, 2) == given
    assert failure(run, node)["exit_code"] == (code if code > 0 else 31)


@pytest.mark.parametrize("data", ["transfer"], indirect=True)
def test_what_came_back_waits_for_a_disk_with_room(run: Path, script: Script) -> None:
    """A plane that took hours is not lost because the access point's disk is full: neither POST nor PRE removes it."""
    archive = give(run, {"node.log": b"a line\n" * 30_000})
    assert script("post", NODE, 31, 0, 2, largest_file=100_000) == 30
    assert script("pre", NODE, largest_file=100_000) != 0
    assert archive.is_file()
    script("pre", NODE)
    assert not archive.exists() and (run / "nodes" / NODE / "node.log").stat().st_size == 210_000


@pytest.mark.parametrize("data", ["transfer"], indirect=True)
def test_the_failure_is_that_of_the_last_try(run: Path, script: Script) -> None:
    assert script("post", NODE, 31, 0, 2) == 31  # nothing came
    known = run / "nodes" / NODE / "failure.json"
    known.write_text(known.read_text().replace(str(failure(run)["cause"]), "that of the first try"))
    give(run, {})
    (run / "dag" / "logs" / f"{NODE}.7.err").write_text("the disk of the machine is full\n")
    assert script("post", NODE, 30, 1, 2) == 30
    assert failure(run)["cause"] == "the disk of the machine is full"
    assert failure(run)["attempts"] == 2


def test_only_what_ran_short_asks_for_more(run: Path, script: Script) -> None:
    for code, times in ((31, 0), (30, 1), (31, 1), (30, 2), (30, 3), (30, 3)):
        (run / "nodes" / "restore" / "failure.json").unlink(missing_ok=True)  # the node writes its own anew
        assert script("post", "restore", code, 0, 2) == code
        assert script("pre", "restore") == 0
        asked = (run / "dag" / "skip" / "restore.sub").read_text()
        assert asked == f"noop_job = false\nmore = {times}\n", code


@pytest.mark.parametrize("data", ["shared"], indirect=True)
def test_no_machine_has_enough_memory(run: Path, script: Script) -> None:
    """Its job was removed when it was held for its memory: the same again would be in vain."""
    log = (LOGS / "held_memory.jobs.log").read_text()
    (run / "dag" / "jobs.log").write_text(log + "009 (010.000.000) 2026-11-22 11:40:13 Job was aborted.\n...\n")
    assert script("post", NODE, -1001, 0, 2) == 0
    assert failure(run)["exit_code"] == 30 and "more memory than the site offers" in str(failure(run)["cause"])


@pytest.mark.parametrize("data", ["shared"], indirect=True)
def test_a_job_that_somebody_removed_is_tried_again(run: Path, script: Script) -> None:
    log = (LOGS / "held_memory.jobs.log").read_text()
    released = "013 (010.000.000) 2026-11-22 11:40:10 Job was released.\n...\n"
    removed = "009 (010.000.000) 2026-11-22 11:40:13 Job was aborted.\n...\n"
    (run / "dag" / "jobs.log").write_text(log + released + removed)
    assert script("post", NODE, -1001, 0, 2) == 31
    assert "removed from the queue" in str(failure(run)["cause"])
