"""The command line: help, exit codes, bad input that must end before anything is written."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch, changed
from helpers.verbs import VERBS, takes_node, verbs_with

READS_NOTHING = {"schema", "simulate", "campaign init"}
"""Verbs that need no job, run or folder of planes."""


@pytest.mark.parametrize("arguments", [["--help"], *([*verb.split(), "--help"] for verb in VERBS)])
def test_help_imports_neither_casa_nor_anything_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom ccip_batch.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('casatools', 'casatasks', 'numpy', 'astropy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Usage:" in done.stdout
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr


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


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no folder that nobody may write to")
def test_a_place_that_cannot_be_written_to(finished: Path) -> None:
    done = ccip_batch("cube", finished, "--out", "/sys/kernel/cubes")
    assert done.returncode == 12 and "Traceback" not in done.stderr
    assert "/sys/kernel/cubes" in done.stderr and "you may write to" in done.stderr


@pytest.mark.parametrize("words", [["status"], ["verify"], ["cube"], ["campaign", "status"], ["campaign", "init"]])
def test_a_link_that_leads_to_itself(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "loop").symlink_to("loop")
    done = ccip_batch(*words, tmp_path / "loop")
    assert done.returncode in (11, 12) and "loop" in done.stderr and "unexpected" not in done.stderr, done.stderr


def test_a_plot_that_cannot_be_written_leaves_no_table(finished: Path, tmp_path: Path) -> None:
    words = ("extract", finished, "203.4236", "16.6895", "--out", tmp_path / "a.csv", "--plot", tmp_path / "a.foo")
    done = ccip_batch(*words)
    assert done.returncode == 11 and "png" in done.stderr
    assert not any(tmp_path.iterdir())


def test_validate_finds_what_run_and_plan_refuse(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", "execution: {engine: htcondor, site: ospool}\n")
    done = ccip_batch("validate", job)
    assert done.returncode == 10 and "nodes run in a container" in done.stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    job = make_job(tmp_path / "second", "")
    done = ccip_batch("validate", job, "--run-dir", tmp_path / "other")
    assert done.returncode == 12 and "is not a run folder" in done.stderr


@pytest.mark.parametrize("verb", verbs_with("RUN"))
def test_a_folder_that_is_not_a_run_folder(tmp_path: Path, verb: str) -> None:
    done = ccip_batch(verb, tmp_path, *(["image_spw17"] if takes_node(verb) else []))
    assert done.returncode == 12 and f"{tmp_path} is not a run folder" in done.stderr
    assert "Traceback" not in done.stderr and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("inside", "words", "says"),
    [
        (".", ["status"], "publish"),
        ("dag", ["status"], "publish"),
        ("nodes/publish", ["explain"], "Nothing failed"),
        ("dag", ["explain", "publish"], "publish neither failed nor is held"),
        ("dag", ["explain", "..", "publish"], "publish neither failed nor is held"),
        ("dag", ["verify"], "all match"),
        ("products", ["verify"], "all match"),
        ("dag", ["report", "--text"], "spw"),
        ("dag", ["cancel"], "never submitted"),
    ],
)
def test_inside_a_run_folder_the_run_need_not_be_named(
    finished: Path, monkeypatch: pytest.MonkeyPatch, inside: str, words: list[str], says: str
) -> None:
    monkeypatch.chdir(finished / inside)
    done = ccip_batch(*words)
    assert done.returncode == 0 and says in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("inside", "words", "code", "says"),
    [
        ("dag", ["status", "run"], 12, "Leave it out"),
        ("dag", ["retry", "publish"], 12, "was not planned for HTCondor"),
        ("dag", ["retry"], 2, "NODE"),
        ("dag", ["explain", "spw2"], 10, "has no node spw2; it has restore"),
        ("/", ["status"], 12, "the current folder is in no run folder"),
        ("/", ["verify"], 12, "Name one"),
    ],
)
def test_what_is_said_where_no_run_can_be_taken(
    finished: Path, monkeypatch: pytest.MonkeyPatch, inside: str, words: list[str], code: int, says: str
) -> None:
    monkeypatch.chdir(finished / inside)
    done = ccip_batch(*words)
    assert done.returncode == code and says in done.stderr


@pytest.mark.parametrize("verb", verbs_with("JOB.yaml"))
def test_a_job_config_that_is_not_there(tmp_path: Path, verb: str) -> None:
    done = ccip_batch(verb, tmp_path / "nowhere.yaml", "--run-dir", tmp_path / "run")
    assert done.returncode == 10 and f"{tmp_path}/nowhere.yaml: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("verb", "code", "says"), [("verify", 12, "Name one"), ("cube", 11, "no plane"), ("extract", 11, "no plane")]
)
def test_a_folder_without_products(tmp_path: Path, verb: str, code: int, says: str) -> None:
    position = () if verb != "extract" else ("203.4236", "16.6895")
    done = ccip_batch(verb, tmp_path, *position)
    assert done.returncode == code and str(tmp_path) in done.stderr and says in done.stderr
    assert "Traceback" not in done.stderr and not any(tmp_path.iterdir())


@pytest.mark.parametrize("verb", verbs_with("CAMPAIGN"))
def test_a_folder_that_is_no_campaign(tmp_path: Path, verb: str) -> None:
    more = {"campaign throttle": ["3"], "campaign retry": ["--failed"]}.get(verb, [])
    done = ccip_batch(*verb.split(), tmp_path, *more)
    assert done.returncode == 12 and "has no campaign.yaml" in done.stderr
    assert "Traceback" not in done.stderr and not any(tmp_path.iterdir())


def test_every_verb_is_tried_on_what_is_not_there() -> None:
    """The four tests above know what a verb reads by what its help calls it."""
    tried = verbs_with("RUN", "JOB.yaml", "RUN_OR_PRODUCTS", "RUN_OR_FOLDER", "CAMPAIGN")
    assert set(tried) == set(VERBS) - READS_NOTHING


def test_the_next_command_is_called_as_this_one_was(tmp_path: Path) -> None:
    """By path, by name, or as a module: what is printed works where it is typed."""
    job = make_job(tmp_path / "job", "execution: {engine: htcondor, site: local}\n")
    script = tmp_path / "bin" / "ccip-batch"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom ccip_batch.cli import main\nmain()\n")
    script.chmod(0o755)
    tools = tmp_path / "tools"  # only where jobs can be submitted is `submit` what comes next
    tools.mkdir()
    (tools / "condor_submit_dag").write_text("#!/bin/sh\n")
    (tools / "condor_submit_dag").chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
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


def test_the_page_and_the_help_of_exit_codes_tell_the_truth() -> None:
    import re

    from helpers.simulated_runs import ROOT

    from ccip_batch.errors import ExitCode

    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "exit_codes.md").read_text(), re.M)
    assert sorted(map(int, rows)) == sorted(map(int, ExitCode))
    told = ccip_batch("--help").stdout.partition("Exit codes:")[2].partition("Options:")[0]
    assert sorted(map(int, re.findall(r"\d+", told))) == sorted(map(int, ExitCode))
