"""What runs before and after each node of a DAG, called as DAGMan calls it, without a pool."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.finished_runs import write_result
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch

from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.run import Run

NODE = "image_spw02"
LOGS = Path(__file__).parents[2] / "data" / "event_logs"
Script = Callable[..., int]


@pytest.fixture(params=["shared", "transfer"])
def data(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A planned run for each kind of site."""
    runs = {}
    for kind in ("shared", "transfer"):
        folder = tmp_path_factory.mktemp(kind)
        (folder / "here.yaml").write_text(f"description: Here\nhtcondor: 23.9.6\ndata: {kind}\n")
        job = make_job(folder / "job", "imaging: {spw: ['2', '3,4']}\nexecution: {engine: htcondor, site: here}\n")
        done = ccip_batch("plan", job, "--run-dir", folder / "run", CCIP_SITES=str(folder))
        assert done.returncode == 0, done.stderr
        runs[kind] = folder / "run"
    return runs


@pytest.fixture
def run(planned: dict[str, Path], tmp_path: Path, data: str) -> Path:
    """A copy of one of them."""
    shutil.copytree(planned[data], tmp_path / "run")
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
    archive = run / "dag" / "transfer" / f"{NODE}.out.none.tar"
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
    said = ccip_batch("explain", run).stdout
    assert f"{NODE} has given its output back" in said and "the disk of the access point was full" in said
    assert f"it waits in {archive} " in said and f"ccip-batch resume {run}" in said
    larger = archive.stat().st_size + shutil.disk_usage(run).free + 10**9
    os.truncate(archive, larger)  # zeros after the end of a tar; they take no room
    assert "the disk of the access point is full" in ccip_batch("explain", run, NODE).stdout
    script("pre", NODE)
    assert not archive.exists() and (run / "nodes" / NODE / "node.log").stat().st_size == 210_000


@pytest.mark.parametrize("data", ["shared"], indirect=True)
def test_a_failure_that_cannot_be_written_is_told(run: Path) -> None:
    limit = (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    done = subprocess.run(
        [run / "dag" / "ccip-dag.sh", "post", "..", "restore", "-9", "0", "2"],
        cwd=run / "dag",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 31 and "restore: its job was killed (SIGKILL)" in done.stderr


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
        asked = (run / "dag" / "attempts" / "restore.sub").read_text()
        assert asked.startswith(f"noop_job = false\nmore = {times}\n"), code


@pytest.mark.parametrize("version", ["", "25.14"])
@pytest.mark.parametrize("data", ["shared"], indirect=True)
def test_no_machine_has_enough_memory(run: Path, script: Script, version: str) -> None:
    """Its job was removed when it was held for its memory, with all that there is: the same again would be in vain."""
    site = run / "dag" / "site.yaml"
    site.write_text(site.read_text() + "memory_limit: 300 MB\n")
    log = (LOGS / version / "held_memory.jobs.log").read_text()
    job = log.partition("(")[2].partition(")")[0]
    (run / "dag" / "jobs.log").write_text(log + f"009 ({job}) 2026-11-22 11:40:13 Job was aborted.\n...\n")
    assert script("post", NODE, -1001, 0, 2) == 0
    assert failure(run)["exit_code"] == 30
    assert "more memory than the 0.3 GB that the site's machines have" in str(failure(run)["cause"])


@pytest.mark.parametrize("data", ["shared"], indirect=True)
def test_removed_before_it_had_asked_for_all_that_there_is(run: Path, script: Script) -> None:
    """Then nobody knows that it is too large."""
    log = (LOGS / "held_memory.jobs.log").read_text()
    (run / "dag" / "jobs.log").write_text(log + "009 (010.000.000) 2026-11-22 11:40:13 Job was aborted.\n...\n")
    assert script("post", NODE, -1001, 0, 2) == 31
    assert "was removed from the queue" in str(failure(run)["cause"])


@pytest.mark.parametrize("data", ["shared"], indirect=True)
def test_a_job_that_somebody_removed_is_tried_again(run: Path, script: Script) -> None:
    log = (LOGS / "held_memory.jobs.log").read_text()
    released = "013 (010.000.000) 2026-11-22 11:40:10 Job was released.\n...\n"
    removed = "009 (010.000.000) 2026-11-22 11:40:13 Job was aborted.\n...\n"
    (run / "dag" / "jobs.log").write_text(log + released + removed)
    assert script("post", NODE, -1001, 0, 2) == 31
    assert "removed from the queue" in str(failure(run)["cause"])


@pytest.mark.parametrize("data", ["shared"], indirect=True)
def test_no_machine_took_it(run: Path, script: Script) -> None:
    """Not tried again, since it would wait as long; the other planes go on; it asks for no more when it is retried."""
    shutil.copyfile(LOGS / "removed_idle.jobs.log", run / "dag" / "jobs.log")
    assert script("post", NODE, -1001, 0, 2) == 0
    cause = str(failure(run)["cause"])
    assert failure(run)["exit_code"] == 30
    assert re.match(r"no machine of the pool took it in \d seconds; it asks for 1 core, \d", cause)

    policy = "009 (010.000.000) 2026-11-23 11:40:13 Job was aborted.\n\tThe job attribute PeriodicRemove fired\n...\n"
    released = "013 (010.000.000) 2026-11-22 11:40:10 Job was released.\n\tvia condor_release\n...\n"
    (run / "dag" / "jobs.log").write_text((LOGS / "held_memory.jobs.log").read_text() + released + policy)
    assert script("post", NODE, -1001, 0, 2) == 0
    once, twice = (
        float(re.findall(r"([0-9.]+) GB of memory", text)[0]) for text in (cause, str(failure(run)["cause"]))
    )
    assert twice == pytest.approx(2 * once, abs=0.02) and "in 24 hours" in str(failure(run)["cause"])

    assert script("pre", NODE) == 0
    assert "more = 0" in (run / "dag" / "attempts" / f"{NODE}.sub").read_text()


@pytest.mark.parametrize("data", ["shared"], indirect=True)
@pytest.mark.parametrize(
    ("submitted", "removed", "cause"),
    [
        ("11/29 12:00:00", "11/30 12:00:00", "took it in 24 hours"),
        ("12/31 12:00:00", "01/01 12:00:00", "took it in 24 hours"),
        ("02/28 12:00:00", "02/29 12:00:00", "took it in 24 hours"),
        ("2026-11-29 12:00:00", "2026-13-45 12:00:00", "was removed from the queue"),
        ("02/30 12:00:00", "03/01 12:00:00", "was removed from the queue"),
    ],
)
def test_dates_of_the_old_form_and_none_at_all(
    run: Path, script: Script, submitted: str, removed: str, cause: str
) -> None:
    text = (LOGS / "removed_idle.jobs.log").read_text()
    for number, time in (("000", submitted), ("009", removed)):
        text = re.sub(
            rf"^({number} \S+) \S+ \S+", lambda found, time=time: f"{found[1]} {time}", text, flags=re.MULTILINE
        )
    (run / "dag" / "jobs.log").write_text(text)
    script("post", NODE, -1001, 0, 2)
    assert cause in str(failure(run)["cause"])


@pytest.mark.parametrize("data", ["shared"], indirect=True)
@pytest.mark.parametrize(
    "end",
    ["via condor_rm (by user observer)", "The system macro SYSTEM_PERIODIC_REMOVE expression 'x' evaluated to TRUE"],
)
def test_an_idle_job_that_others_removed_is_tried_again(run: Path, script: Script, end: str) -> None:
    log = re.sub(r"\tThe job attribute .*", lambda _: f"\t{end}", (LOGS / "removed_idle.jobs.log").read_text())
    (run / "dag" / "jobs.log").write_text(log)
    assert script("post", NODE, -1001, 0, 2) == 31


@pytest.mark.parametrize("data", ["transfer"], indirect=True)
def test_a_plane_that_is_gone_is_told_before_publish(run: Path, script: Script) -> None:
    plane = ProductFile(name="a.fits", bytes=7, sha256="0" * 64)
    write_result(Run.read(run), "analyze")
    write_result(Run.read(run), "export_spw02", [plane])
    assert script("pre", "publish") == 20  # DAGMan is not to try again
    told = failure(run, "publish")
    assert "planes/spw02/a.fits is gone. Run again" in str(told["cause"]) and told["exit_code"] == 11
    (run / "planes" / "spw02").mkdir(parents=True)
    (run / "planes" / "spw02" / "a.fits").write_bytes(b"SIMPLE ")
    assert script("pre", "publish") == 0
    (packed,) = (run / "dag" / "transfer").glob("publish.in.*.tar")
    with tarfile.open(packed) as tar:
        assert "dag/pool.json" in tar.getnames()


def test_at_the_end_nothing_is_drawn(run: Path, script: Script) -> None:
    """The page of a DAG that did not come to publish: what failed, and how to make the pictures."""
    assert script("post", "restore", 11, 0, 2) == 20
    assert script("final", 2) == 20
    page = (run / "report" / "index.html").read_text()
    assert "Failed before any plane could be imaged" in page and f"ccip-batch report {run}" in page
    assert {path.name for path in (run / "report").iterdir()} == {"index.html", "report.js", "style.css"}
    assert (run / "dag" / "logs.tgz").is_file()


@pytest.mark.parametrize("data", ["shared"], indirect=True)
def test_removed_after_a_hold_with_a_negative_sub_code(run: Path, script: Script) -> None:
    """36/-1: a checkpoint could not be put to its URL. An earlier hold for memory is not the reason."""
    log = (LOGS / "held_memory.jobs.log").read_text()
    released = "013 (010.000.000) 2026-11-22 11:40:10 Job was released.\n...\n"
    held = "012 (010.000.000) 2026-11-22 11:40:12 Job was held.\n\tfailed to upload\n\tCode 36 Subcode -1\n...\n"
    (run / "dag" / "jobs.log").write_text(
        log + released + held + "009 (010.000.000) 2026-11-22 11:40:13 Job aborted.\n...\n"
    )
    site = run / "dag" / "site.yaml"
    site.write_text(site.read_text() + "memory_limit: 300 MB\n")
    assert script("post", NODE, -1002, 0, 2) == 31
    assert script("post", NODE, -1002, 2, 2) == 0
    assert "removed from the queue" in str(failure(run)["cause"])


@pytest.mark.parametrize("data", ["transfer"], indirect=True)
def test_a_post_script_that_runs_twice_loses_nothing(run: Path, script: Script) -> None:
    """As DAGMan runs it again that was cut off before it noted the end of the script."""
    write_result(Run.read(run), "restore")
    content = (run / "nodes" / "restore" / "result.json").read_bytes()
    (run / "nodes" / "restore" / "result.json").unlink()
    archive = run / "dag" / "transfer" / "restore.out.none.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("nodes/restore/result.json", "nodes/restore/out/x"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert [script("post", "restore", 0, 0, 2) for _ in range(2)] == [0, 0]
    assert (run / "nodes" / "restore" / "result.json").read_bytes() == content


@pytest.mark.parametrize("data", ["transfer"], indirect=True)
def test_a_plane_that_gave_no_result_does_not_stop_the_others(run: Path, script: Script) -> None:
    give(run, {"node.log": b"all went well"})
    assert script("post", NODE, 0, 2, 2) == 0
    assert "what it gave back is not there" in str(failure(run)["cause"])


@pytest.mark.parametrize("text", ["", "noop_job = true\nmore = x\n"])
def test_a_damaged_note_of_an_attempt(run: Path, script: Script, text: str) -> None:
    (run / "dag" / "attempts" / "restore.sub").write_text(text)
    assert script("pre", "restore") == 0
    assert "attempt = 2" in (run / "dag" / "attempts" / "restore.sub").read_text()
