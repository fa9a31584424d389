"""A run keeps to itself: nobody else may write to its files, and it reveals nothing of the user's environment.

The jobs of the tests are made with a umask of 0 and a secret in their environment (see helpers/simulated_runs.py).
"""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.campaigns import simulated_campaign
from helpers.input_files import make_job
from helpers.simulated_runs import SECRET, ccip_batch
from helpers.verbs import VERBS


def world_writable(folder: Path) -> list[str]:
    found = []
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink() and path.stat().st_mode & stat.S_IWOTH:
            found.append(str(path.relative_to(folder)))
    return found


def contents(folder: Path, since: float = 0.0) -> Iterator[tuple[str, bytes]]:
    """Name and content of all files below a folder that were written after a time, those in tarballs too."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.stat().st_mtime < since:
            continue
        yield str(path), path.read_bytes()
        if path.suffix == ".tgz":
            yield str(path), gzip.decompress(path.read_bytes())


def test_nobody_else_may_write_what_a_run_wrote(finished: Path) -> None:
    assert world_writable(finished) == []


def test_products_tell_no_tarball_member_that_everybody_may_write(finished: Path) -> None:
    for path in finished.glob("products/*.tgz"):
        with tarfile.open(path) as tar:
            assert [member.name for member in tar if member.mode & stat.S_IWOTH] == []


def test_a_plan_keeps_to_itself(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", "execution:\n  engine: htcondor\n  site: local\n")
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run", AWS_SECRET_ACCESS_KEY=SECRET)
    assert done.returncode == 0, done.stderr
    assert world_writable(tmp_path / "run") == []
    assert [name for name, content in contents(tmp_path / "run") if SECRET.encode() in content] == []


def test_a_secret_of_the_environment_is_nowhere(finished: Path) -> None:
    assert [name for name, content in contents(finished) if SECRET.encode() in content] == []


CALLS: dict[str, tuple[str, int]] = {
    "campaign cancel": ("CAMPAIGN", 0),
    "campaign explain": ("CAMPAIGN", 0),
    "campaign hold": ("CAMPAIGN", 0),
    "campaign init": ("DATA --out NEW/new", 0),
    "campaign plan": ("CAMPAIGN", 10),
    "campaign release": ("CAMPAIGN", 0),
    "campaign report": ("CAMPAIGN", 0),
    "campaign resume": ("CAMPAIGN", 12),
    "campaign retry": ("CAMPAIGN --failed", 0),
    "campaign run": ("CAMPAIGN", 20),
    "campaign status": ("CAMPAIGN --json", 0),
    "campaign submit": ("CAMPAIGN", 12),
    "campaign throttle": ("CAMPAIGN 3", 0),
    "campaign validate": ("CAMPAIGN", 10),
    "cancel": ("RUN", 0),
    "cube": ("RUN --out NEW/cubes", 0),
    "explain": ("RUN", 0),
    "extract": ("RUN 203.4236 16.6895 --out NEW/spectra.ecsv", 0),
    "mosaic": ("RUN --out NEW/mosaic", 0),
    "node": ("RUN publish", 0),
    "plan": ("JOB --run-dir NEW/run --set execution.engine=htcondor --set execution.site=local", 0),
    "report": ("RUN", 0),
    "resume": ("RUN", 12),
    "retry": ("RUN publish", 12),
    "run": ("JOB --run-dir RUN --set execution.keep=all", 0),
    "schema": ("", 0),
    "simulate": ("RUN", 11),
    "status": ("RUN --json", 0),
    "submit": ("JOB --run-dir NEW/run --set execution.engine=htcondor --set execution.site=local", 10),
    "validate": ("JOB", 0),
    "verify": ("RUN", 0),
}
"""A call of each verb on a finished run, made by the local engine, and its exit code without HTCondor."""


@pytest.mark.parametrize("verb", VERBS)
def test_verbs_tell_no_secret(small_job: Path, finished: Path, tmp_path: Path, verb: str) -> None:
    places = {"RUN": tmp_path / "run", "JOB": small_job, "NEW": tmp_path, "DATA": small_job.parent}
    places["CAMPAIGN"] = simulated_campaign(tmp_path / "campaign", small_job, ["v1"])
    (tmp_path / "campaign" / "lists" / "v1.list").unlink()
    if "RUN" in CALLS[verb][0]:
        shutil.copytree(finished, places["RUN"], ignore=shutil.ignore_patterns("work", "casa_home"), symlinks=True)
    call, code = CALLS[verb]
    for name, place in places.items():
        call = call.replace(name, str(place))
    begun = time.time() - 1  # copies keep the times of the finished run, which was looked at above
    done = ccip_batch(*verb.split(), *call.split(), AWS_SECRET_ACCESS_KEY=SECRET, PATH="/nowhere")
    assert done.returncode == code, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert [name for name, content in contents(tmp_path, begun) if SECRET.encode() in content] == []


def test_the_search_finds_a_secret_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "in").write_text(f"key={SECRET}")
    with tarfile.open(tmp_path / "logs.tgz", "w:gz") as tar:
        tar.add(tmp_path / "in")
    os.chmod(tmp_path / "in", 0o666)  # noqa: PTH101
    assert len([name for name, content in contents(tmp_path) if SECRET.encode() in content]) == 2
    assert world_writable(tmp_path) == ["in"]
