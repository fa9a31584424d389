"""What `ccip-batch plan` writes, word for word. CCIP_GOLDEN=write writes the golden files anew."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from helpers.input_files import ROOT, make_job, table_dat
from helpers.simulated_runs import ccip_batch

from ccip_batch.job.package_files import data_folder
from ccip_batch.verbs import plan as planning

GOLDEN = Path(__file__).parent / "golden"
PLANES = "imaging: {spw: ['2', '3,4', '17']}\n"


def execution(site: str, *more: str) -> str:
    return PLANES + "execution:\n" + "".join(f"  {line}\n" for line in ("engine: htcondor", f"site: {site}", *more))


IMAGE = "container: osdf:///ospool/ap40/data/observer/ccip-batch-0.1.0.sif"


def planned(folder: Path, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    job = make_job(folder / "job", text)
    done = ccip_batch("plan", job, "--run-dir", folder / "run", **environment)
    assert done.returncode == 0, done.stderr
    return done


def plan(folder: Path, text: str, **environment: str) -> Path:
    planned(folder, text, **environment)
    return folder / "run" / "dag"


def without_places(text: str, folder: Path) -> str:
    """A text without the paths of this machine."""
    for path, name in ((folder, "/folder"), (data_folder("condor"), "/condor"), (sys.executable, "/env/bin/python")):
        text = text.replace(str(path), name)
    return text


@pytest.fixture
def tools(tmp_path: Path) -> dict[str, str]:
    """An environment in which HTCondor's tools are on the PATH, as far as can be seen without calling them."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "condor_submit_dag").symlink_to("/bin/false")
    return {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}


@pytest.fixture
def no_tools(tmp_path: Path) -> dict[str, str]:
    """One in which nothing is on the PATH."""
    return {"PATH": str(tmp_path / "empty")}


@pytest.mark.parametrize("site", ["local", "nrao", "ospool", "container"])
def test_golden(site: str, tmp_path: Path, no_tools: dict[str, str]) -> None:
    more = [IMAGE] if site in ("ospool", "container") else []
    done = planned(tmp_path, execution(site, *more), PYTHONPATH="", CCIP_SITES="", **no_tools)
    dag = tmp_path / "run" / "dag"
    written = {
        name: without_places((dag / name).read_text(), tmp_path)
        for name in ("ccip.dag", "dagman.config", "site.sub", "machines.sub")
    }
    written["what plan prints"] = without_places(done.stderr + done.stdout, tmp_path)
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


def test_beyond_the_measured_range_is_called_extrapolated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = make_job(tmp_path / "job", execution("nrao"))
    for table, rows in (("", 18 * 20_000), ("SPECTRAL_WINDOW", 18)):
        (tmp_path / "job" / f"{ROOT}.ms" / table / "table.dat").write_bytes(table_dat(rows))
    planning.plan(job, (), tmp_path / "run", look=False)  # there is nothing in it to look at
    assert "rows a spw; for 20000 it is extrapolated" in capsys.readouterr().err


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
    assert "nrao.yaml is the package's example" in of_package.stderr and "CCIP_SITES (not set)" in of_package.stderr
    assert [done.returncode for done in (no_urls, at_home, of_package)] == [0, 0, 0]


def test_a_fault_in_a_profile_is_told_once(tmp_path: Path) -> None:
    done = plan_with(tmp_path / "a", "retires: 3\n")
    assert done.returncode == 10 and done.stderr.count("Did you mean retries?") == 1


def test_no_category_of_time_is_long_enough(tmp_path: Path) -> None:
    short = plan_with(tmp_path / "a", "job_durations: {Short: 10min, Medium: 30min}\n")
    assert short.returncode == 0, short.stderr
    said = r"here.yaml: none of job_durations is long enough: restore and \d+ more may take up to \d+\.\d hours.* 0\.5;"
    assert re.search(said, short.stderr)
    assert "job_durations" not in plan_with(tmp_path / "b", "job_durations: {Long: 40h}\n").stderr


def test_an_image_that_is_too_large_for_plain_transfer(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("home.sif", "data/served.sif"):
        with (tmp_path / name).open("wb") as file:
            file.write(b"\0" * 32 + b"SIF_MAGIC\0")
            file.truncate(120_000_000)
    profile = f"largest_file: 100 MB\nurls: {{{tmp_path}/data: 'osdf:///me'}}\n"
    done = plan_with(tmp_path / "a", profile, f"container: {tmp_path / 'home.sif'}")
    assert done.returncode == 10
    assert re.search(r"home.sif has 0.12 GB, and here takes no file over 0.10 GB .*`urls`", done.stderr)
    served = plan_with(tmp_path / "b", profile, f"container: {tmp_path / 'data' / 'served.sif'}")
    assert served.returncode == 0, served.stderr


def test_what_is_said_of_a_planned_run(tmp_path: Path) -> None:
    done = plan_with(tmp_path / "a", "accounting: {project: My_Project}\nmargins: {memory: 2}\n")
    assert f"Site profile: {tmp_path}/a/here.yaml (project My_Project)" in done.stdout
    rows = {words[0]: words[1:] for words in (re.split(r"  +", line) for line in done.stdout.splitlines())}
    assert rows["kind"] == ["nodes", "cores", "memory", "disk", "time", "limit", "in", "out"]
    assert {"restore", "image", "analyze", "export", "publish"} <= set(rows)
    assert rows["image"][0] == rows["export"][0] == "3" and rows["restore"][0] == "1"
    assert re.fullmatch(r"\d\d s", rows["image"][4]) and rows["image"][5] == "1.0 h"
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


def test_a_limit_is_that_of_whoever_ends_the_node_first(tmp_path: Path) -> None:
    """The margin of the profile (at least an hour), execution.time_limit, or the limit of the category."""
    profiles = {"margin": "margins: {time: 100}", "job": "", "category": "job_durations: {Short: 10min, Long: 20min}"}
    found = {}
    for name, profile in profiles.items():
        more = ["time_limit: 30min"] if name == "job" else []
        lines = plan_with(tmp_path / name, f"{profile}\n", *more).stdout.splitlines()
        title, image = (re.split(r"  +", line) for line in lines if line.startswith(("kind", "image")))
        found[name] = dict(zip(title, image, strict=True))
    assert [found[name]["limit"] for name in profiles] == ["1.0 h", "30 min", "20 min"]
    assert found["category"]["category"] == "Long" and "category" not in found["margin"]


def test_larger_jobs_are_told_in_larger_units(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", execution("nrao").replace("{spw", "{imsize: 2000, cell: 2arcsec, spw"))
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")
    assert re.search(r"^image +3 +1 +2.4 GB +650 MB +3.9 min +1.0 h$", done.stdout, re.M), done.stdout


def test_where_nothing_can_be_submitted_a_plan_is_to_be_read(
    tmp_path: Path, tools: dict[str, str], no_tools: dict[str, str]
) -> None:
    here = planned(tmp_path, execution("local"), **tools)
    assert "Planned. Next:" in here.stdout and "access point" not in here.stderr
    laptop = planned(tmp_path, execution("local"), **no_tools)
    assert f"Planned, to be read: {tmp_path}/run/dag" in laptop.stdout and "submit" not in laptop.stdout
    assert "this is no access point" in laptop.stderr and "CASA" not in laptop.stderr


def test_a_run_folder_is_no_job_config(tmp_path: Path) -> None:
    plan(tmp_path, execution("local"))
    run = tmp_path / "run"
    for verb in ("plan", "validate", "run"):
        done = ccip_batch(verb, run)
        assert done.returncode == 10 and f"{run}: is a run folder, not a job config" in done.stderr
        assert f"--run-dir {run}" in done.stderr and f"ccip-batch submit {run}" in done.stderr
    (run / "dag" / "ccip.dag").unlink()
    assert "ccip-batch submit" not in ccip_batch("run", run).stderr


def test_a_copy_of_an_example_in_which_nothing_was_changed(tmp_path: Path) -> None:
    example = (data_folder("condor") / "sites" / "nrao.yaml").read_text()
    (tmp_path / "here.yaml").write_text(f"# mine\n{example}")
    job = make_job(tmp_path / "job", execution("here"))
    words = "here.yaml has the values of the package's example"
    assert words in ccip_batch("validate", job, CCIP_SITES=str(tmp_path)).stderr
    (tmp_path / "here.yaml").write_text(example.replace("500 GB", "400 GB"))
    assert words not in ccip_batch("validate", job, CCIP_SITES=str(tmp_path)).stderr


def test_a_python_of_nodes_that_lacks_what_they_need(tmp_path: Path, tools: dict[str, str]) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    profile = f"description: Here\nhtcondor: 25.4.0\ndata: shared\npython: {tmp_path}/bare/bin/python\n"
    (tmp_path / "here.yaml").write_text(profile)
    job = make_job(tmp_path / "job", execution("here"))
    for verb in (["validate", job], ["plan", job, "--run-dir", tmp_path / "run"]):
        said = ccip_batch(*verb, CCIP_SITES=str(tmp_path)).stderr
        assert "bare/bin/python (`python` of the profile), which has no ccip_batch, casatools, casatasks" in said
    for python in (sys.executable, "/nowhere/python"):  # one that has them, and one of which nothing is known
        (tmp_path / "here.yaml").write_text(profile.replace(f"{tmp_path}/bare/bin/python", python))
        said = ccip_batch("validate", job, CCIP_SITES=str(tmp_path), **tools)
        assert said.returncode == 0 and said.stderr == ""


def test_the_python_that_plans_has_no_casa(tmp_path: Path, tools: dict[str, str]) -> None:
    program = (
        "import sys; sys.modules['casatools'] = sys.modules['casatasks'] = None\n"
        "from ccip_batch.cli import main; main(sys.argv[1:])"
    )
    job = make_job(tmp_path / "job", execution("local"))
    words = [sys.executable, "-c", program, "validate", str(job)]
    said = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **tools}).stderr
    assert f"nodes use {sys.executable}, which has no CASA" in said
