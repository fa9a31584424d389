"""HTCondor alone, without this package: input, output and checkpoints of a job at http:// URLs, by its curl plugin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest
from helpers.file_server import FileServer, serve
from running_pool import RunningPool

pytestmark = [pytest.mark.pool, pytest.mark.both]

SUBMIT = """\
executable = /bin/sh
arguments = job.sh
transfer_executable = false
log = jobs.log
output = job.out
error = job.err
request_cpus = 1
request_memory = 64M
request_disk = 10M
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
transfer_input_files = job.sh, {url}in.tar
transfer_output_files = out.tar
transfer_output_remaps = "out.tar = {url}out.1.tar"
checkpoint_exit_code = 85
transfer_checkpoint_files = state.tar
checkpoint_destination = {url}checkpoints
queue
"""
# Saves its work three times, then waits for a file if one is named.
JOB = """\
n=$(cat state.tar 2>/dev/null || echo 0)
echo "start at $n"
[ $n -lt 3 ] && { echo $((n+1)) > state.tar; exit 85; }
while [ -n "$1" ] && [ ! -e "$1" ]; do sleep 0.2; done
{ cat in.tar; echo "done at $n"; } > out.tar
"""


@dataclass(frozen=True)
class UrlJob:
    """A submitted job and the server of its files."""

    pool: RunningPool
    server: FileServer
    folder: Path
    number: str

    @property
    def log(self) -> str:
        return (self.folder / "jobs.log").read_text()

    def ended(self) -> bool:
        return "\n005 " in self.log

    def put(self, number: int) -> bool:
        """Whether a checkpoint is on the server."""
        return any(
            re.fullmatch(rf"checkpoints/[^/]+/{number:04}/state\.tar", path) for path in self.server.paths("PUT")
        )

    def kept(self) -> list[str]:
        """All files on the server."""
        files = (path for path in self.server.folder.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.server.folder)) for path in files)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    (tmp_path / "in.tar").write_text("visibilities\n")
    with serve(tmp_path) as server:
        yield server


def start(pool: RunningPool, server: FileServer, wait_for: str = "") -> UrlJob:
    submit = SUBMIT.format(url=server.url()).replace("job.sh\n", f"job.sh {wait_for}\n", 1)
    folder = pool.make("urls", {"job.sub": submit, "job.sh": JOB})
    said = pool.run("condor_submit", "job.sub", cwd=folder)
    number = re.search(r"cluster (\d+)", said)
    assert number is not None and "WARNING" not in said
    return UrlJob(pool, server, folder, f"{number[1]}.0")


def test_goes_on_from_a_checkpoint_at_a_url(pool: RunningPool, server: FileServer) -> None:
    """Nothing but the log and the terminal output comes to the access point; old checkpoints are deleted."""
    flag = pool.work / f"go-on-{server.port}"
    job = start(pool, server, str(flag))
    pool.wait_until(lambda: job.put(2), "the third checkpoint")
    pool.wait_until(lambda: job.log.count(" Finished transferring output files") == 3, "its end")
    pool.run("condor_vacate_job", job.number)
    pool.wait_until(lambda: "\n004 " in job.log and job.log.count("\n001 ") == 2, "a second start")
    pool.run("touch", str(flag))
    pool.wait_until(job.ended, "the end of the job")
    assert (server.folder / "out.1.tar").read_text() == "visibilities\ndone at 3\n"
    assert (job.folder / "job.out").read_text().splitlines()[-1] == "start at 3"
    assert sorted(path.name for path in job.folder.iterdir()) == ["job.err", "job.out", "job.sh", "job.sub", "jobs.log"]
    assert server.paths("PUT").count("out.1.tar") == 1
    got = [path for path in server.paths("GET") if path.endswith("state.tar")]
    assert [path.split("/")[2] for path in got] == ["0002"]
    pool.wait_until(lambda: job.kept() == ["in.tar", "out.1.tar"], "the checkpoints to be deleted")


@pytest.mark.slow
def test_keeps_the_last_two_checkpoints(pool: RunningPool, server: FileServer) -> None:
    flag = pool.work / f"go-on-{server.port}"
    job = start(pool, server, str(flag))
    pool.wait_until(lambda: job.put(2), "the third checkpoint")
    pool.wait_until(lambda: not any("/0000/" in path for path in job.kept()), "the first one to be deleted")
    numbers = {path.split("/")[2] for path in job.kept() if path.startswith("checkpoints")}
    assert numbers == {"0001", "0002"}
    pool.run("condor_rm", job.number)
    pool.wait_until(lambda: job.kept() == ["in.tar"], "all checkpoints of a removed job to be deleted")


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        pytest.param("in.tar", 13, "Transfer input files failure .*error: 404 .*in.tar", marks=pytest.mark.slow),
        pytest.param("out.1.tar", 12, "Transfer output files failure .*error: 404 .*out.1.tar", marks=pytest.mark.slow),
        ("checkpoints", 36, "failed to upload checkpoint"),
    ],
)
def test_server_that_refuses(pool: RunningPool, server: FileServer, path: str, code: int, words: str) -> None:
    """The job is held, and goes on when it is released and the server does its work again."""
    server.refused[path] = HTTPStatus.NOT_FOUND
    job = start(pool, server)
    pool.wait_until(lambda: "\n012 " in job.log, "the hold")
    held = job.log.partition("\n012 ")[2]
    assert f"Code {code} Subcode" in held and re.search(words, held)
    server.refused.clear()
    pool.run("condor_release", job.number)
    pool.wait_until(job.ended, "the end of the job")
    assert (server.folder / "out.1.tar").read_text() == "visibilities\ndone at 3\n"
