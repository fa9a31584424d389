"""The command line: help, exit codes, bad input that must end before anything is written."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.input_files import CONTINUUM, TABLES, make_archive, make_job
from helpers.simulated_runs import alone, ccip_batch
from helpers.verbs import VERBS, arguments_of, verbs_with

READS_NOTHING = {"schema", "simulate"}
"""Verbs that need no job, run or folder of planes."""


@pytest.mark.parametrize("arguments", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_imports_neither_casa_nor_anything_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom ccip_batch.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('casatools', 'casatasks', 'numpy', 'astropy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Usage:" in done.stdout
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr


def changed(job: Path, folder: Path, **keys: object) -> Path:
    """A copy of a job with some keys changed: `inputs__vis=...`."""
    config = yaml.safe_load(job.read_text())
    for name, value in config["inputs"].items():
        config["inputs"][name] = str(job.parent / value)
    for key, value in keys.items():
        section, name = key.split("__")
        config.setdefault(section, {})[name] = value
    target = folder / "job.yaml"
    target.write_text(yaml.safe_dump(config))
    return target


def test_every_problem_is_told_at_once_and_nothing_is_written(small_job: Path, tmp_path: Path) -> None:
    job = changed(small_job, tmp_path, imaging__spw=["1~4"], imaging__nitre=5, inputs__vis="nowhere.ms")
    done = ccip_batch("run", job, "--run-dir", tmp_path / "run")
    assert done.returncode == 10
    for word in ("1~4", "nitre", "niter"):
        assert word in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_missing_file_is_named(small_job: Path, tmp_path: Path) -> None:
    done = ccip_batch("run", changed(small_job, tmp_path, inputs__vis="nowhere.ms"), "--run-dir", tmp_path / "run")
    assert done.returncode == 10
    assert "nowhere.ms" in done.stderr and "inputs.vis" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_run_folder_of_another_job_is_left_alone(small_job: Path, finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "CCIP_parameter.list"
    there = (small_job.parent / "CCIP_parameter.list").read_text()
    other.write_text(there.replace("VLASS", "OTHER", 1))
    before = (finished / "job.resolved.yaml").read_bytes()
    done = ccip_batch(
        "run", changed(small_job, tmp_path, inputs__ccip_parameter_list=str(other)), "--run-dir", finished
    )
    assert done.returncode == 12 and "another job" in done.stderr
    assert (finished / "job.resolved.yaml").read_bytes() == before


def test_a_folder_of_something_else_is_left_alone(small_job: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    done = ccip_batch("run", small_job, "--run-dir", tmp_path)
    assert done.returncode == 12 and "is not a run folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_runs_in_one_folder(small_job: Path, finished: Path) -> None:
    from ccip_batch.run.folder import RunFolder

    with alone(finished), RunFolder(finished).locked():
        done = ccip_batch("run", small_job, "--run-dir", finished)
    assert done.returncode == 12 and "in use" in done.stderr


@pytest.mark.parametrize("options", [["imaging.imsize=2000", "execution.memory=1 GB"], ["execution.memory=200 MB"]])
def test_not_enough_memory(small_job: Path, tmp_path: Path, options: list[str]) -> None:
    given = [word for option in options for word in ("--set", option)]
    done = ccip_batch("run", small_job, "--run-dir", tmp_path / "run", *given)
    assert done.returncode == 30
    assert "GB of memory" in done.stderr


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no folder that nobody may write to")
def test_a_place_that_cannot_be_written_to(finished: Path) -> None:
    done = ccip_batch("cube", finished, "--out", "/sys/kernel/cubes")
    assert done.returncode == 12 and "Traceback" not in done.stderr
    assert "/sys/kernel/cubes" in done.stderr and "you may write to" in done.stderr


def test_a_plot_that_cannot_be_written_leaves_no_table(finished: Path, tmp_path: Path) -> None:
    words = ("extract", finished, "203.4236", "16.6895", "--out", tmp_path / "a.csv", "--plot", tmp_path / "a.foo")
    done = ccip_batch(*words)
    assert done.returncode == 11 and "png" in done.stderr
    assert not any(tmp_path.iterdir())


def test_run_and_submit_options_that_do_not_fit(tmp_path: Path) -> None:
    """`submit` of a run folder takes no options of a job config; what was not planned is not submitted."""
    job = make_job(tmp_path / "job", "execution: {engine: htcondor, site: local}\n")
    assert ccip_batch("plan", job, "--run-dir", tmp_path / "run").returncode == 0
    done = ccip_batch("submit", tmp_path / "run", "--set", "imaging.niter=5", PATH="/nowhere")
    assert done.returncode == 10 and "is a run folder" in done.stderr
    result = tmp_path / "run" / "nodes" / "restore" / "result.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    assert ccip_batch("retry", tmp_path / "run", "restore", PATH="/nowhere").returncode == 10
    assert result.is_file() and not list((tmp_path / "run" / "dag").glob("*.rescue*"))


def test_validate_finds_what_run_and_plan_refuse(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", "execution: {engine: htcondor, site: ospool}\n")
    done = ccip_batch("validate", job)
    assert done.returncode == 10 and "nodes run in a container" in done.stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    job = make_job(tmp_path / "second", "")
    done = ccip_batch("validate", job, "--run-dir", tmp_path / "other")
    assert done.returncode == 12 and "is not a run folder" in done.stderr


def test_a_run_whose_dag_is_in_the_queue_is_left_to_it(small_job: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    sets = ("--set", "execution.engine=htcondor", "--set", "execution.site=local")
    assert ccip_batch("plan", small_job, "--run-dir", run, *sets).returncode == 0
    submitted = "000 (007.000.000) 2026-11-22 12:00:00 Job submitted from host: <127.0.0.1:9618>\n...\n"
    (run / "dag" / "ccip.dag.dagman.log").write_text(submitted)
    done = ccip_batch("run", small_job, "--run-dir", run)
    assert done.returncode == 12 and "is in the queue (job 7)" in done.stderr


def test_not_enough_disk(small_job: Path, tmp_path: Path) -> None:
    done = ccip_batch("run", small_job, "--run-dir", tmp_path / "run", "--set", "imaging.imsize=100000")
    assert done.returncode == 30 and "GB free" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_node_that_is_not_there(finished: Path) -> None:
    done = ccip_batch("node", finished, "image_spw99")
    assert done.returncode == 10 and "image_spw17" in done.stderr


def test_a_node_whose_parents_are_not_done(finished: Path, tmp_path: Path) -> None:
    import shutil

    for name in ("job.yaml", "job.resolved.yaml"):
        shutil.copy(finished / name, tmp_path / name)
    done = ccip_batch("node", tmp_path, "image_spw17")
    assert done.returncode == 11 and "restore" in done.stderr


@pytest.mark.parametrize("verb", verbs_with("run"))
def test_a_folder_that_is_not_a_run_folder(tmp_path: Path, verb: str) -> None:
    more = ["image_spw17" for _ in arguments_of(verb)[1:]]
    done = ccip_batch(verb, tmp_path, *more)
    assert done.returncode == 12 and f"{tmp_path} is not a run folder" in done.stderr
    assert "Traceback" not in done.stderr and not any(tmp_path.iterdir())


@pytest.mark.parametrize("verb", verbs_with("job"))
def test_a_job_config_that_is_not_there(tmp_path: Path, verb: str) -> None:
    done = ccip_batch(verb, tmp_path / "nowhere.yaml", "--run-dir", tmp_path / "run")
    assert done.returncode == 10 and f"{tmp_path}/nowhere.yaml: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("verb", "code", "says"), [("verify", 12, "name one"), ("cube", 11, "no plane"), ("extract", 11, "no plane")]
)
def test_a_folder_without_products(tmp_path: Path, verb: str, code: int, says: str) -> None:
    position = () if verb != "extract" else ("203.4236", "16.6895")
    done = ccip_batch(verb, tmp_path, *position)
    assert done.returncode == code and str(tmp_path) in done.stderr and says in done.stderr
    assert "Traceback" not in done.stderr and not any(tmp_path.iterdir())


def test_every_verb_is_tried_on_what_is_not_there() -> None:
    """The three tests above know what a verb reads by the name of its argument."""
    assert {*verbs_with("run"), *verbs_with("job"), *verbs_with("source")} == set(VERBS) - READS_NOTHING


def failing_run(job: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    done = ccip_batch("run", job, "--run-dir", tmp_path / "run")
    assert (tmp_path / "run" / "nodes" / "restore" / "failure.json").is_file()
    return done


def test_missing_resources_are_an_error_and_have_a_report(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job")
    make_archive(tmp_path / "job" / "reimaging_resources.tgz", TABLES[2:])
    run = tmp_path / "run"
    for _ in range(2):
        done = ccip_batch("run", job, "--run-dir", run)
        assert done.returncode == 11
        page = (run / "report" / "index.html").read_text()
        for name in ("*.QLcatmask-tier1.mask", "*.combined-tier2.mask"):
            pattern = name.replace("*", f"s*_0.{CONTINUUM}")
            assert f"no table {pattern}" in done.stderr.replace("\n", " ") and pattern in page
        assert "Failed before any plane could be imaged" in page
        assert not (run / "nodes" / "restore" / "casa.log").exists()


def test_restored_data_are_not_touched_because_resources_are_missing(
    small_job: Path, finished: Path, tmp_path: Path
) -> None:
    from ccip_batch.job.resources_archive import patterns

    resolved = yaml.safe_load((finished / "job.resolved.yaml").read_text())
    names = patterns(resolved["root"], resolved["continuum_imagename"]).values()
    archive = make_archive(tmp_path / "r.tgz", [name.replace("*", "s1") for name in list(names)[1:]])
    before = {path: path.stat().st_mtime_ns for path in finished.glob("nodes/restore/*")}
    job = changed(small_job, tmp_path, inputs__reimaging_resources=str(archive))
    with alone(finished):
        done = ccip_batch("run", job, "--run-dir", finished)
    assert done.returncode == 11 and "tier-1 mask is missing" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished.glob("nodes/restore/*")} == before


def test_the_next_command_is_called_as_this_one_was(tmp_path: Path) -> None:
    """By path, by name, or as a module: what is printed works where it is typed."""
    job = make_job(tmp_path / "job", "execution: {engine: htcondor, site: local}\n")
    script = tmp_path / "bin" / "ccip-batch"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom ccip_batch.cli import main\nmain()\n")
    script.chmod(0o755)
    path = os.environ["PATH"]
    for called, places in (
        (["bin/ccip-batch"], path),
        (["ccip-batch"], f"{script.parent}:{path}"),
        ([sys.executable, "-m", "ccip_batch"], path),
    ):
        command = [*called, "plan", str(job), "--run-dir", str(tmp_path / "run")]
        environment = {**os.environ, "PATH": places}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        told = done.stdout.partition("Next: ")[2].partition(", or")[0]
        assert shlex.split(told) == [*called, "submit", str(tmp_path / "run")], done.stderr


def test_no_field_near_the_phase_centre(small_job: Path, tmp_path: Path) -> None:
    lists = tmp_path / "SEIP_parameter.list"
    text = (small_job.parent / "SEIP_parameter.list").read_text().splitlines()
    lists.write_text("\n".join("phasecenter='J2000 01:00:00.0 +10.00.00.0'" if "phase" in t else t for t in text))
    done = failing_run(changed(small_job, tmp_path, inputs__seip_parameter_list=str(lists)), tmp_path)
    assert done.returncode == 11
    assert "no target field within" in done.stderr and "ccip-batch node" in done.stderr


def test_the_page_and_the_help_of_exit_codes_tell_the_truth() -> None:
    import re

    from helpers.simulated_runs import ROOT

    from ccip_batch.errors import ExitCode

    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "exit_codes.md").read_text(), re.M)
    assert sorted(map(int, rows)) == sorted(map(int, ExitCode))
    told = ccip_batch("--help").stdout.partition("Exit codes:")[2].partition("Options:")[0]
    assert sorted(map(int, re.findall(r"\d+", told))) == sorted(map(int, ExitCode))
