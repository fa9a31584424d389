"""What `ccip-batch plan` writes, word for word. CCIP_GOLDEN=write writes the golden files anew."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.input_files import ROOT, make_job
from helpers.simulated_runs import ccip_batch

from ccip_batch.job.package_files import data_folder

GOLDEN = Path(__file__).parent / "golden"
PLANES = "imaging: {spw: ['2', '3,4', '17']}\n"


def execution(site: str, *more: str) -> str:
    return PLANES + "execution:\n" + "".join(f"  {line}\n" for line in ("engine: htcondor", f"site: {site}", *more))


IMAGE = "container: osdf:///ospool/ap40/data/observer/ccip-batch-0.1.0.sif"


def plan(folder: Path, text: str, **environment: str) -> Path:
    job = make_job(folder / "job", text)
    done = ccip_batch("plan", job, "--run-dir", folder / "run", **environment)
    assert done.returncode == 0, done.stderr
    return folder / "run" / "dag"


@pytest.mark.parametrize("site", ["local", "nrao", "ospool", "container"])
def test_golden(site: str, tmp_path: Path) -> None:
    dag = plan(tmp_path, execution(site, *([IMAGE] if site in ("ospool", "container") else [])), PYTHONPATH="")
    written = {}
    for name in ("ccip.dag", "dagman.config", "site.sub", "machines.sub"):
        text = (dag / name).read_text()
        written[name] = text.replace(str(tmp_path), "/folder").replace(sys.executable, "/env/bin/python")
    text = "".join(f"==> {name}\n{content}" for name, content in written.items())
    golden = GOLDEN / f"{site}.txt"
    if os.environ.get("CCIP_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
    for source in data_folder("condor").glob("*.sub"):
        assert (dag / source.name).read_text() == source.read_text()


def test_planned_twice_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    once = plan(tmp_path, execution("local"))
    again = once.parents[1] / "again" / "dag"
    done = ccip_batch("plan", tmp_path / "job" / "job.yaml", "--run-dir", again.parent)
    assert done.returncode == 0, done.stderr
    for path in sorted(once.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(once)).read_bytes(), path.name


def test_unknown_site_leaves_no_run_folder(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", execution("lofar"))
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")
    assert done.returncode == 10
    assert "Known sites: container, local, nrao, ospool" in done.stderr and "job.yaml:" in done.stderr
    assert ccip_batch("validate", job).returncode == 10
    assert not (tmp_path / "run").exists()


def test_the_ospool_needs_a_container(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", execution("ospool"))
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")
    assert done.returncode == 10 and "execution.container" in done.stderr


def test_the_address_of_the_example_is_refused(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", execution("ospool", IMAGE.replace("observer", "your.name")))
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")
    assert done.returncode == 10 and "put that of your image there" in done.stderr


def test_a_node_larger_than_every_machine_is_refused(tmp_path: Path) -> None:
    small = "description: Old machines\nhtcondor: 23.9.6\ndata: shared\nmemory_limit: 1 GB\n"
    (tmp_path / "small.yaml").write_text(small)
    job = make_job(tmp_path / "job", execution("small").replace("{spw", "{imsize: 3000, spw"))
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run", CCIP_SITES=str(tmp_path))
    assert done.returncode == 30 and "memory_limit" in done.stderr


def test_beyond_the_measured_range_is_called_extrapolated(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", execution("nrao"))
    for table, rows in (("", 18 * 20_000), ("SPECTRAL_WINDOW", 18)):
        head = b"\xbe\xbe\xbe\xbe" + struct.pack(">II5sII", 24, 5, b"Table", 2, rows)
        (tmp_path / "job" / f"{ROOT}.ms" / table / "table.dat").write_bytes(head)
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")
    assert done.returncode == 0 and "rows a spw; for 20000 it is extrapolated" in done.stderr


@pytest.mark.parametrize("name", ["a b", "a,b", 'a"b', "a$(HOME)b"])
def test_names_that_would_break_a_list_of_files_are_refused(name: str, tmp_path: Path) -> None:
    job = make_job(tmp_path / name, execution("ospool", IMAGE))
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")
    assert done.returncode == 10 and "Rename it" in done.stderr


def test_submit_without_the_pools_tools_says_so(tmp_path: Path) -> None:
    plan(tmp_path, execution("local"))
    done = ccip_batch("submit", tmp_path / "run", PATH="/nowhere")
    assert done.returncode == 10
    assert "condor_submit_dag is not on the PATH" in done.stderr and "access point" in done.stderr


def test_the_report_of_a_plan_says_that_nothing_is_done(tmp_path: Path) -> None:
    plan(tmp_path, execution("local"))
    said = ccip_batch("report", tmp_path / "run", "--text").stdout
    assert "No node is done yet." in said


def test_a_job_of_the_local_engine_is_not_planned(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", PLANES)
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")
    assert done.returncode == 10 and "execution.engine is local" in done.stderr


@pytest.mark.skipif(shutil.which("condor_dag_checker") is None, reason="HTCondor before 24.10.2, or none")
def test_condor_dag_checker(tmp_path: Path) -> None:
    dag = plan(tmp_path, execution("nrao"))
    subprocess.run(["condor_dag_checker", "ccip.dag"], cwd=dag, check=True)


def test_a_node_that_need_not_run_ends_in_the_queue(tmp_path: Path) -> None:
    """What its PRE script writes for its submit description; its POST script takes it as good."""
    dag = plan(tmp_path, execution("local"))

    def script(verb: str, *words: str) -> int:
        return subprocess.run([dag / "ccip-dag.sh", verb, "..", *words], cwd=dag).returncode

    assert script("pre", "restore") == 0
    lines = (dag / "attempts" / "restore.sub").read_text()
    assert re.fullmatch(r"noop_job = false\nmore = 0\nattempt = \d{8}T\d{6}-\w{6}\n", lines)
    assert script("pre", "export_spw02") == 0  # its plane is not there
    assert "noop_job = true\n" in (dag / "attempts" / "export_spw02.sub").read_text()
    assert script("post", "export_spw02", "0", "0", "2") == 0
    assert script("post", "restore", "0", "0", "2") == 20  # it left no result


def plan_with(folder: Path, profile: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Plan a job with a profile of one's own."""
    folder.mkdir()
    (folder / "here.yaml").write_text(f"description: Here\nhtcondor: 25.4.0\ndata: transfer\n{profile}")
    job = make_job(folder / "job", execution("here", *more))
    return ccip_batch("plan", job, "--run-dir", folder / "run", CCIP_SITES=str(folder))


@pytest.mark.parametrize(
    "left", ["accounting: {project: Your_Project}", "accounting: {user: your.name}", "urls: {/data: osdf:///your.name}"]
)
def test_names_of_the_example_that_were_left_in_a_profile(left: str, tmp_path: Path) -> None:
    done = plan_with(tmp_path / "a", f"{left}\n")
    assert done.returncode == 10 and "is the example's; put yours there" in done.stderr
    assert f"{tmp_path}/a/here.yaml: " in done.stderr


def test_what_is_most_likely_wrong_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "home.sif").write_bytes(b"\0" * 32 + b"SIF_MAGIC\0")
    (tmp_path / "data").mkdir()
    no_urls = plan_with(tmp_path / "a", "largest_file: 1 GB\n")
    at_home = plan_with(
        tmp_path / "b", f"urls: {{{tmp_path}/data: 'osdf:///me'}}\n", f"container: {tmp_path / 'home.sif'}"
    )
    job = make_job(tmp_path / "job", execution("nrao"))
    of_package = ccip_batch("plan", job, "--run-dir", tmp_path / "run", CCIP_SITES="")
    assert "has no `urls`: files over 1 GB cannot be transferred there" in no_urls.stderr
    assert "home.sif is below no folder of `urls`" in at_home.stderr
    assert "nrao.yaml is the package's own profile" in of_package.stderr and "which is not set" in of_package.stderr
    assert [done.returncode for done in (no_urls, at_home, of_package)] == [0, 0, 0]


def test_what_is_said_of_a_planned_run(tmp_path: Path) -> None:
    done = plan_with(tmp_path / "a", "accounting: {project: My_Project}\nmargins: {memory: 2}\n")
    assert f"Site profile: {tmp_path}/a/here.yaml (project My_Project)" in done.stdout
    rows = {words[0]: words[1:] for words in map(str.split, done.stdout.splitlines()) if len(words) == 8}
    assert set(rows) == {"restore", "image", "analyze", "export", "publish"}
    assert rows["image"][0] == rows["export"][0] == "3" and rows["restore"][0] == "1"
    run = tmp_path / "a" / "run"
    for verb in ("status", "explain"):
        assert f"not submitted yet: ccip-batch submit {run}" in ccip_batch(verb, run).stdout


def test_a_profile_that_has_changed_since_the_plan(tmp_path: Path) -> None:
    plan_with(tmp_path / "a", "")
    profile = tmp_path / "a" / "here.yaml"
    again = {"CCIP_SITES": str(tmp_path / "a"), "PATH": "/nowhere"}
    assert "has changed" not in ccip_batch("submit", tmp_path / "a" / "run", **again).stderr
    profile.write_text(profile.read_text() + "retries: 5\n")
    assert "the profile of here has changed" in ccip_batch("submit", tmp_path / "a" / "run", **again).stderr
