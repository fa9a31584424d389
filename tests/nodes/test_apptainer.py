"""What is bound into an image, and what is found to be wrong with it, before Apptainer is started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest
from helpers.input_files import ROOT, make_job
from helpers.simulated_runs import ccip_batch

from ccip_batch import processes
from ccip_batch.casa.measures import Reach
from ccip_batch.casa.probe import Finding
from ccip_batch.job.config import ResolvedJob, load_job
from ccip_batch.job.resolve import resolve
from ccip_batch.nodes import apptainer


@pytest.fixture
def sif(tmp_path: Path) -> Path:
    """A file that has the mark of an image."""
    path = tmp_path / "image.sif"
    path.write_bytes(b"\0" * 32 + b"SIF_MAGIC\0" + b"\0" * 100)
    return path


def resolved(job: Path, image: Path) -> ResolvedJob:
    return resolve(load_job(job, [f"execution.container={image}"]))


def binds(job: Path, run: Path) -> dict[str, tuple[str, bool]]:
    """Of the local engine: path inside -> (path here, whether it can be written)."""
    there = apptainer.of_job(resolved(job, job.parent / "image.sif"), run)
    assert there is not None
    return {str(bind.inside): (str(bind.source), bind.writable) for bind in there.binds}


def test_run_folder_and_inputs_are_bound_and_nothing_else(tmp_path: Path) -> None:
    job = make_job(tmp_path / "data")
    run = tmp_path / "a run"
    data = tmp_path / "data"
    names = (f"{ROOT}.ms", "reimaging_resources.tgz", "SEIP_parameter.list", "CCIP_parameter.list")
    expected = {str(data / name): (str(data / name), False) for name in names}
    assert binds(job, run) == {str(run): (str(run), True), **expected}


def test_links_are_followed(tmp_path: Path) -> None:
    """The measurement set is a link; one of its tables is a link out of it, one a link inside of it."""
    job = make_job(tmp_path / "data")
    vis = tmp_path / "data" / f"{ROOT}.ms"
    store = tmp_path / "store"
    store.mkdir()
    vis.rename(store / "real.ms")
    vis.symlink_to(store / "real.ms")
    (vis / "ANTENNA").rename(store / "ANTENNA")
    (vis / "ANTENNA").symlink_to("../ANTENNA")
    (vis / "SOURCE").symlink_to("FIELD")

    found = binds(job, tmp_path / "run")
    assert found[str(vis)] == (str(store / "real.ms"), False)
    # Inside, the link starts from the place where the job sees the measurement set.
    assert found[str(tmp_path / "data" / "ANTENNA")] == (str(store / "ANTENNA"), False)
    assert len(found) == 6
    order = list(found)
    assert order == sorted(order, key=lambda path: len(Path(path).parts))


def test_linked_folders_of_the_run_can_be_written(tmp_path: Path) -> None:
    job = make_job(tmp_path / "data")
    run, disk = tmp_path / "run", tmp_path / "disk"
    (run / "nodes").mkdir(parents=True)
    disk.mkdir()
    (run / "planes").symlink_to(disk)
    assert binds(job, run)[str(disk)] == (str(disk), True)


def test_paths_are_quoted() -> None:
    path = Path('/a, "b":c')
    assert apptainer.Bind("x", path, path).option()[1] == (
        'type=bind,"source=/a, ""b"":c","destination=/a, ""b"":c",ro'
    )


def test_newer_casa_data_are_bound_over_those_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = tmp_path / "newer"
    newer.mkdir()
    monkeypatch.setenv("CCIP_CASA_DATA", str(newer))
    job = make_job(tmp_path / "data")
    assert binds(job, tmp_path / "run")["/opt/ccip/data"] == (str(newer), False)
    there = apptainer.of_job(resolved(job, job.parent / "image.sif"), tmp_path / "run")
    assert there is not None
    assert [bind.complaint() for bind in there.binds if bind.complaint()] == []


def test_nodes_of_a_pool_are_not_started_in_an_image_here(tmp_path: Path, sif: Path) -> None:
    job = make_job(tmp_path / "data", "execution: {engine: htcondor, site: local}\n")
    assert apptainer.of_job(resolved(job, sif), tmp_path / "run") is None


@pytest.mark.parametrize(
    ("place", "said"),
    [("/proc/run", "the image has its own /proc"), ("/", "would hide"), ("/opt/ccip/run", "has its own /opt/ccip")],
)
def test_places_that_cannot_be_bound(tmp_path: Path, sif: Path, place: str, said: str) -> None:
    done = ccip_batch("validate", make_job(tmp_path / "data"), "--container", sif, "--run-dir", place)
    assert done.returncode == 10
    assert f"the run folder: {place} cannot be bound" in done.stderr and said in done.stderr


def test_bad_images(tmp_path: Path) -> None:
    job = make_job(tmp_path / "data")
    text = tmp_path / "text.sif"
    text.write_text("no image")
    for image, said in (
        ("absent.sif", f"{Path.cwd() / 'absent.sif'} does not exist"),
        (str(text), "is not an Apptainer image"),
        (str(tmp_path), "is not a file"),
        ("docker://debian", "apptainer pull"),
    ):
        done = ccip_batch("validate", job, "--container", image)
        assert done.returncode == 10, image
        assert "execution.container" in done.stderr and said in done.stderr


def test_without_apptainer(tmp_path: Path, sif: Path) -> None:
    job = make_job(tmp_path / "data")
    done = ccip_batch("validate", job, "--container", sif, CCIP_APPTAINER="no-such-program")
    assert done.returncode == 10 and "CCIP_APPTAINER=no-such-program is not a program" in done.stderr
    done = ccip_batch("run", job, "--container", sif, "--run-dir", tmp_path / "run", CCIP_APPTAINER="no-such-program")
    assert done.returncode == 10 and "CCIP_APPTAINER=no-such-program is not a program" in done.stderr


def test_an_apptainer_that_fails_is_quoted(tmp_path: Path, sif: Path) -> None:
    broken = tmp_path / "apptainer"
    broken.write_text("#!/bin/sh\necho 'FATAL:   kernel too old' >&2\nexit 255\n")
    broken.chmod(0o755)
    done = ccip_batch("validate", make_job(tmp_path / "data"), "--container", sif, CCIP_APPTAINER=str(broken))
    assert done.returncode == 10
    assert "cannot be started (exit code 255): FATAL:   kernel too old" in done.stderr


def test_a_process_ends_with_who_holds_its_standard_input() -> None:
    """Killed, the holder takes the process with it, though that one is busy and in a session of its own."""
    child = "from ccip_batch import processes; processes.die_with_parent(); print('up', flush=True)\nwhile True: pass"
    holder = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE, start_new_session=True)\n"
        "print(child.pid, flush=True)\ntime.sleep(60)"
    )
    environment = {**os.environ, processes.PARENT_VARIABLE: processes.STANDARD_INPUT}
    with subprocess.Popen(
        [sys.executable, "-c", holder], env=environment, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        lines = {started.stdout.readline().strip(), started.stdout.readline().strip()}
        assert "up" in lines
        pid = int(next(line for line in lines if line != "up"))
        time.sleep(0.3)
        os.kill(pid, 0)
        started.send_signal(signal.SIGKILL)
    end = time.monotonic() + 30
    while _is_alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("day", "said"),
    [(date(2025, 1, 1), ""), (date(2025, 3, 1), "uses predictions"), (date(2026, 3, 1), "no Earth orientation at all")],
)
def test_warning_of_old_measures_tables(day: date, said: str) -> None:
    reach = Reach(measured=date(2025, 1, 1), predicted=date(2025, 12, 31))
    warnings = Finding(versions={}, reach=reach, observed=day).warnings()
    assert len(warnings) == bool(said)
    assert said in "".join(warnings) and (not said or "CCIP_CASA_DATA" in warnings[0])
