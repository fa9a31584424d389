"""A job whose nodes run in the image, started from a Python that has no CASA."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers.simulated_runs import ccip_batch

from ccip_batch.run.run import Run

pytestmark = pytest.mark.container

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
Host = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def base_install(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The package's Python as it is without the extra `casa`: command and search path."""
    folder = _packages_without_casa(tmp_path_factory.mktemp("base"))
    return [getattr(sys, "_base_executable", sys.executable), f"{ROOT}:{folder}"]


def _packages_without_casa(folder: Path) -> Path:
    for entry in Path(np.__file__).parents[1].iterdir():
        if not entry.name.startswith("casa"):
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def host(base_install: list[str], apptainer: str) -> Host:
    """Runs ccip-batch on this machine without CASA."""
    python, path = base_install

    def run(*arguments: str | Path, **options: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": path, "CCIP_APPTAINER": apptainer, **options}
        words = [python, "-m", "ccip_batch", *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)

    without = subprocess.run(
        [
            python,
            "-c",
            "from ccip_batch.job import versions; print(versions.casa_is_installed(), versions.casa_versions())",
        ],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert without.stdout.strip() == "False {}"
    return run


@pytest.fixture(scope="session")
def linked_job(small_job: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated job in a folder with blanks; the measurement set is a link, and one of its tables too."""
    folder = tmp_path_factory.mktemp("data with, blanks")
    store = tmp_path_factory.mktemp("store")
    for entry in small_job.parent.iterdir():
        if entry.is_file():
            shutil.copy2(entry, folder)
    (vis,) = small_job.parent.glob("*.ms")
    shutil.copytree(vis, store / "data.ms")
    (store / "data.ms" / "ANTENNA").rename(store / "ANTENNA")
    (store / "data.ms" / "ANTENNA").symlink_to(store / "ANTENNA")
    (folder / vis.name).symlink_to(store / "data.ms")
    return folder / "job.yaml"


@pytest.fixture(scope="session")
def run_in_image(host: Host, image: Path, linked_job: Path) -> Run:
    """The finished run of that job."""
    folder = linked_job.parent / "a run"
    done = host("run", linked_job, "--run-dir", folder, "--container", image, "--set", "execution.keep=all")
    assert done.returncode == 0, done.stderr
    return Run.read(folder)


def versions(run: Run, node: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((run.folder.path / "nodes" / node / "result.json").read_text())["versions"]
    return found


def test_results_name_the_image_and_its_versions(run_in_image: Run, image: Path) -> None:
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    lock = (ROOT / "container" / "requirements.txt").read_text()
    for node in ("restore", "image_spw10", "publish"):
        found = versions(run_in_image, node)
        assert found["image"] == f"sha256:{digest}"
        assert f"casatools=={found['casatools']} " in lock
        assert found["python"].startswith("3.13.")
    assert run_in_image.job.versions["image"] == f"sha256:{digest}"


def test_pixels_are_those_of_a_run_outside(run_in_image: Run, finished: Path) -> None:
    """To 1e-4 of each image's peak; bit for bit with the same CASA and C library.

    The calibration that `restore` applies takes float functions of the C library, which changed with glibc 2.41.
    """
    assert_same_pixels(run_in_image, Run.read(finished), 19)


@pytest.mark.slow
def test_the_demo_in_the_image(inside: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The whole application in the image, cut off from the host, makes of the demo's inputs what `make demo` made."""
    demo = ROOT / "build" / "demo"
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(demo / "run-in-image", ignore_errors=True)
    done = inside("ccip-batch", "run", "job.yaml", "--run-dir", "run-in-image", folder=demo)
    assert done.returncode == 0, done.stderr
    assert_same_pixels(Run.read(demo / "run-in-image"), Run.read(demo / "run"), 37)


def assert_same_pixels(inside: Run, outside: Run, files: int) -> None:
    """To 1e-4 of each image's peak, or identical; see `test_pixels_are_those_of_a_run_outside`."""
    keys = ("casatools", "libc")
    ours, theirs = ([versions(run, "restore")[key] for key in keys] for run in (inside, outside))
    names = sorted(path.name for path in outside.folder.products.glob("*.fits"))
    assert names == sorted(path.name for path in inside.folder.products.glob("*.fits")) and len(names) == files
    worst = max(difference(inside.folder.products / name, outside.folder.products / name) for name in names)
    print(f"CASA, libc: {ours} inside, {theirs} outside: pixels differ by {worst:.1e} of the peak at most")
    assert worst == 0 if ours == theirs else worst < 1e-4


def test_a_plane_imaged_outside_has_the_same_bits(run_in_image: Run, linked_job: Path, tmp_path: Path) -> None:
    """Of the data that were restored in the image, where this Python has the same CASA."""
    inside, outside = versions(run_in_image, "restore")["casatools"], importlib.metadata.version("casatools")
    if inside != outside:
        pytest.skip(f"CASA {inside} inside, {outside} outside")
    run = tmp_path / "run"
    shutil.copytree(run_in_image.folder.path, run)
    shutil.rmtree(run / "nodes" / "image_spw10")
    done = ccip_batch("run", linked_job, "--run-dir", run, "--set", "execution.keep=all")
    assert done.returncode == 0, done.stderr
    planes = sorted((run / "nodes" / "image_spw10" / "out").glob("*.fits"))
    assert len(planes) == 4
    assert [difference(path, run_in_image.folder.path / path.relative_to(run)) for path in planes] == [0.0] * 4


def difference(ours: Path, theirs: Path) -> float:
    """Largest difference of two images, as a fraction of the second one's peak."""
    first, second = fits.getdata(ours), fits.getdata(theirs)
    assert np.array_equal(np.isnan(first), np.isnan(second)), ours.name
    return float(np.nanmax(np.abs(first - second)) / np.nanmax(np.abs(second)))


def test_it_is_done_and_stays_done(run_in_image: Run, host: Host, linked_job: Path, image: Path) -> None:
    before = (run_in_image.folder.path / "nodes" / "restore" / "result.json").stat().st_mtime_ns
    done = host(
        "run", linked_job, "--run-dir", run_in_image.folder.path, "--container", image, "--set", "execution.keep=all"
    )
    assert done.returncode == 0, done.stderr
    assert (run_in_image.folder.path / "nodes" / "restore" / "result.json").stat().st_mtime_ns == before


def test_another_image_file_is_refused(run_in_image: Run, host: Host, image: Path, tmp_path: Path) -> None:
    """A node that is repeated by hand must not run in an image that the run does not know of."""
    run = tmp_path / "copy"
    shutil.copytree(run_in_image.folder.path, run)
    other = tmp_path / "other.sif"
    shutil.copyfile(image, other)
    with other.open("ab") as end:
        end.write(b"\0")
    text = (run / "job.resolved.yaml").read_text()
    (run / "job.resolved.yaml").write_text(text.replace(str(image), str(other)))
    (run / "nodes" / "analyze" / "result.json").unlink()
    done = host("node", run, "analyze")
    assert done.returncode == 12 and "is another file" in done.stderr


def processes_of(folder: Path) -> list[str]:
    """Command lines of all processes that name a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(folder) in line:
                    found.append(line)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_nothing_is_left_of_a_run_that_is_ended(
    run_in_image: Run,
    base_install: list[str],
    apptainer: str,
    linked_job: Path,
    image: Path,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    run = tmp_path / "ended run"
    shutil.copytree(run_in_image.folder.path, run)
    shutil.rmtree(run / "nodes" / "image_spw10")
    words = [base_install[0], "-m", "ccip_batch", "run", str(linked_job), "--run-dir", str(run)]
    started = subprocess.Popen(
        [*words, "--container", str(image), "--set", "execution.keep=all"],
        env={**os.environ, "PYTHONPATH": base_install[1], "CCIP_APPTAINER": apptainer},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    work = run / "nodes" / "image_spw10" / "work"
    _wait(lambda: any(work.glob("*.psf.tt0")), "CASA to be at work")
    assert any("ccip_batch.nodes.worker" in line for line in processes_of(run))
    started.send_signal(number)
    started.wait()
    _wait(lambda: not processes_of(run), "the end of all processes")
    assert processes_of(run) == []


def _wait(seen: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 300
    while not seen():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.2)


def test_a_killed_worker_is_told(
    run_in_image: Run, host: Host, base_install: list[str], apptainer: str, tmp_path: Path
) -> None:
    """The supervisor outside outlives what happens inside, and says what it was."""
    run = tmp_path / "run"
    shutil.copytree(run_in_image.folder.path, run)
    shutil.rmtree(run / "nodes" / "image_spw10")
    words = [base_install[0], "-m", "ccip_batch", "node", str(run), "image_spw10"]
    environment = {**os.environ, "PYTHONPATH": base_install[1], "CCIP_APPTAINER": apptainer}
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as node:
        work = run / "nodes" / "image_spw10" / "work"
        _wait(lambda: any(work.glob("*.psf.tt0")), "CASA to be at work")
        worker = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and "ccip_batch.nodes.worker" in _command(entry)[:5]
            if str(run) in _command(entry)
        ]
        assert len(worker) == 1
        os.kill(worker[0], signal.SIGABRT)
        said = node.communicate()[1]
    assert node.returncode == 31 and "SIGABRT" in said
    assert json.loads((run / "nodes" / "image_spw10" / "failure.json").read_text())["exit_code"] == 31


def _command(process: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def test_validate_warns_of_observations_after_the_measures_tables(
    host: Host, image: Path, linked_job: Path, tmp_path: Path
) -> None:
    done = host("validate", linked_job, "--container", image)
    assert done.returncode == 0 and "Earth orientation" not in done.stderr, done.stderr
    folder = tmp_path / "later"
    shutil.copytree(linked_job.parent, folder, ignore=shutil.ignore_patterns("a run"))
    (vis,) = folder.glob("*.ms")
    code = (
        "import sys; from pathlib import Path; from ccip_batch.casa.session import Casa\n"
        "casa = Casa(Path('casa.log'))\n"
        "with casa.table(sys.argv[1] + '/OBSERVATION', write=True) as table:\n"
        "    table.putcell('TIME_RANGE', 0, [7e9, 7e9])\n"  # in the year 2080
    )
    subprocess.run([sys.executable, "-c", code, str(vis)], cwd=tmp_path, check=True)
    done = host("validate", folder / "job.yaml", "--container", image)
    assert done.returncode == 0 and "observed until 2080-09-" in done.stderr
    assert "CCIP_CASA_DATA" in done.stderr


def test_newer_data_are_taken_by_the_nodes(host: Host, image: Path, linked_job: Path, tmp_path: Path) -> None:
    """A folder that lacks the tables shows that it is the one that is looked into."""
    (tmp_path / "geodetic").mkdir()
    done = host("validate", linked_job, "--container", image, CCIP_CASA_DATA=str(tmp_path))
    assert done.returncode == 10 and f"Look at {tmp_path}, which CCIP_CASA_DATA names" in done.stderr


def test_validate_finds_a_file_that_nodes_could_not_read(
    base_install: list[str], apptainer: str, image: Path, small_job: Path, nobodys: Path
) -> None:
    """As an ordinary user: the image starts, if need be unpacked, and a file that is closed to that user is named."""
    folder = nobodys / "job"
    shutil.copytree(small_job.parent, folder, ignore=shutil.ignore_patterns("run*"))
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    here = nobodys / image.name
    shutil.copyfile(image, here)
    here.chmod(0o644)
    packages = nobodys / "packages"
    packages.mkdir()
    python, path = _open_python(base_install[0]), f"{ROOT}:{_packages_without_casa(packages)}"

    def validate(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-m", "ccip_batch", "validate", str(folder / "job.yaml"), "--container", str(here), *options],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "CCIP_APPTAINER": apptainer, "TMPDIR": str(nobodys)},
            cwd=folder,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )

    done = validate()
    assert done.returncode == 0, done.stderr
    assert ("unpacks the image into" in done.stderr) == (not _may_mount())
    closed = nobodys / "closed"
    closed.mkdir(mode=0o700)
    done = validate("--run-dir", str(closed / "run"))
    assert done.returncode == 10 and "the run folder" in done.stderr


def _may_mount() -> bool:
    code = "import os; print(os.access('/dev/fuse', os.R_OK | os.W_OK))"
    words = ["/usr/bin/python3", "-c", code]
    done = subprocess.run(words, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, check=True)
    return done.stdout.strip() == "True"


def _open_python(preferred: str) -> str:
    """A Python of this version that other users may run."""
    for python in (preferred, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        with contextlib.suppress(OSError):
            if (
                subprocess.run([python, "-c", "import ctypes, ssl"], user=NOBODY, group=NOBODY, check=False).returncode
                == 0
            ):
                return python
    pytest.skip("the Python of this version is closed to other users")


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A folder that an ordinary user can write to."""
    if os.geteuid() != 0:
        pytest.skip("only root can run it as somebody else")
    folder = Path("/var/tmp") / f"ccip-image-{os.getpid()}"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
