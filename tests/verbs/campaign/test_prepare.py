"""`ccip-batch campaign init`, `validate` and `plan`, without CASA and without a pool."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from helpers.campaigns import POOL, TEMPLATE, make_campaign, write_table
from helpers.input_files import CCIP_LIST, ROOT, make_job
from helpers.simulated_runs import ccip_batch

from ccip_batch.campaign.config import load_campaign
from ccip_batch.campaign.journal import Journal
from ccip_batch.campaign.table import Square, find_square
from ccip_batch.errors import CcipError
from ccip_batch.verbs.campaign.square import patiently

GOLDEN = Path(__file__).parent / "golden"


def test_init_writes_a_row_for_each_measurement_set(tmp_path: Path) -> None:
    for number in (1, 2):
        ccip = CCIP_LIST.replace("512.v1", f"512.v{number}")
        make_job(tmp_path / "data" / "T16t21" / f"square{number}", ccip=ccip)
    done = ccip_batch("campaign", "init", tmp_path / "data", "--out", tmp_path / "c")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "c" / "campaign.csv").read_text().splitlines()
    assert lines[0] == "name,vis,reimaging_resources,seip_parameter_list,ccip_parameter_list"
    assert [line.split(",")[0].rpartition(".")[2] for line in lines[1:]] == ["v1", "v2"]
    done = ccip_batch("campaign", "validate", tmp_path / "c")
    assert done.returncode == 0 and "is valid: 2 squares" in done.stdout, done.stderr
    again = ccip_batch("campaign", "init", tmp_path / "data", "--out", tmp_path / "c")
    assert again.returncode == 12 and "exists" in again.stderr


def test_init_says_what_it_did_not_find(tmp_path: Path) -> None:
    job = make_job(tmp_path / "data" / "a")
    (job.parent / "CCIP_parameter.list").unlink()
    done = ccip_batch("campaign", "init", tmp_path / "data", "--out", tmp_path / "c")
    assert done.returncode == 0 and "0 files CCIP_parameter*.list instead of one" in done.stderr
    assert (tmp_path / "c" / "campaign.csv").read_text().splitlines()[1].startswith(f"{ROOT},")
    (tmp_path / "empty").mkdir()
    done = ccip_batch("campaign", "init", tmp_path / "empty", "--out", tmp_path / "d")
    assert done.returncode == 11 and "have no measurement set" in done.stderr


def test_the_example_is_valid_as_a_template(tmp_path: Path) -> None:
    make_job(tmp_path / "data" / "a")
    assert ccip_batch("campaign", "init", tmp_path / "data", "--out", tmp_path).returncode == 0
    assert ccip_batch("campaign", "status", tmp_path / "campaign.yaml").returncode == 0


def test_validate_tells_all_that_is_wrong_by_row_and_column(tmp_path: Path) -> None:
    rows = ["a,10,", "b,x,", "c,,nosuch.ms", "d,,", "a,,", "../e,,"]
    header = "name,imaging.niter,vis"
    folder = make_campaign(tmp_path, [row for row in rows if row[0] in "abcd"], header=header)
    write_table(folder, rows, header)
    shutil.copyfile(tmp_path / "lists" / "a.list", tmp_path / "lists" / "d.list")
    done = ccip_batch("campaign", "validate", folder)
    assert done.returncode == 10
    found = done.stderr
    for row, column, says in (
        (2, "imaging.niter", "'x'"),
        (3, "inputs.vis", "does not exist"),
        (4, "ccip_parameter_list", "is also the image name of row 1"),
        (5, "name", "is also the name of row 1"),
        (6, "name", "is not a name"),
    ):
        assert re.search(rf"campaign\.csv, row {row}(?: \(\w\))?: {re.escape(column)}: .*{re.escape(says)}", found), (
            found
        )
    assert found.startswith("ccip-batch: 5 problems")


def test_what_is_wrong_in_every_row_is_said_once(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, list("abcd"), TEMPLATE + "  imaging: {niter: many}\n")
    done = ccip_batch("campaign", "validate", folder)
    assert done.returncode == 10 and done.stderr.count("niter") == 1 and "(in 4 rows)" in done.stderr


def test_thousands_of_rows_are_checked_side_by_side(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(130)]
    folder = make_campaign(tmp_path, names)
    (tmp_path / "lists" / "s77.list").unlink()
    done = ccip_batch("campaign", "validate", folder)
    assert "1 problem:" in done.stderr and "row 78 (s77)" in done.stderr


def test_columns_that_nothing_uses_are_named(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a,1,2"], TEMPLATE + "products: out/{field}\n", "name,priorty,field")
    done = ccip_batch("campaign", "validate", folder)
    assert done.returncode == 0 and "nothing uses the columns priorty\n" in done.stderr


def test_a_run_folder_of_another_job_is_refused(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a"])
    there = folder / "squares" / "a" / "a"
    there.mkdir(parents=True)
    (there / "mine.txt").write_text("mine")
    done = ccip_batch("campaign", "validate", folder)
    assert done.returncode == 12 and "is not a run folder" in done.stderr


def test_the_outer_dag_is_the_same_text_each_time(tmp_path: Path) -> None:
    rows = ["VLASS2.1.cc.T10t02.J0+1,0", "b,7", "c,"]
    folder = make_campaign(tmp_path, rows, POOL + "bounds: {squares: 2, nodes: 40}\n", "name,priority")
    done = ccip_batch("campaign", "plan", folder)
    assert done.returncode == 0 and "Planned 3 squares" in done.stdout, done.stderr
    text = (folder / "dag" / "campaign.dag").read_text()
    golden = GOLDEN / "campaign.dag"
    if os.environ.get("CCIP_GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
    assert ccip_batch("campaign", "plan", folder).returncode == 0
    assert (folder / "dag" / "campaign.dag").read_text() == text
    assert all((folder / "squares" / tile / name / "dag").is_dir() for tile, name in (("b", "b"), ("c", "c")))


def test_a_plan_needs_right_rows_and_the_right_engine(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a"])
    done = ccip_batch("campaign", "plan", folder)
    assert done.returncode == 10 and "execution.engine must be htcondor" in done.stderr
    (folder / "campaign.yaml").write_text(POOL)
    write_table(folder, ["a", "b;c"])
    done = ccip_batch("campaign", "plan", folder)
    assert done.returncode == 10 and "row 2" in done.stderr and not (folder / "dag" / "campaign.dag").exists()


def test_bounds_that_an_access_point_does_not_bear_are_pointed_out(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a"], POOL + "bounds: {squares: 500}\n")
    done = ccip_batch("campaign", "plan", folder)
    assert done.returncode == 0 and "no more than 200" in done.stderr
    assert yaml.safe_load((folder / "campaign.yaml").read_text())["bounds"]["squares"] == 500


@pytest.mark.parametrize("execution", ["x", ""])
def test_an_execution_that_is_no_section_is_no_engine(tmp_path: Path, execution: str) -> None:
    folder = make_campaign(tmp_path, ["a"], TEMPLATE.replace("{engine: local}", execution))
    done = ccip_batch("campaign", "plan", folder)
    assert done.returncode == 10 and "execution.engine must be htcondor" in done.stderr


def test_squares_whose_products_go_to_one_folder_are_refused(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a", "b"], TEMPLATE + "products: archive\n")
    done = ccip_batch("campaign", "validate", folder)
    assert done.returncode == 10 and "is also where the products of row 1 (a) go" in done.stderr


def test_squares_behind_a_link_are_refused(tmp_path: Path) -> None:
    """Scripts of the outer DAG find the campaign by way of `..`."""
    folder = make_campaign(tmp_path / "c", ["a"], POOL)
    (tmp_path / "large").mkdir()
    (folder / "squares").symlink_to(tmp_path / "large")
    done = ccip_batch("campaign", "plan", folder)
    assert done.returncode == 12 and "is behind a link" in done.stderr


def script(folder: Path, *words: str) -> int:
    """Run what DAGMan runs."""
    command = [sys.executable, "-m", "ccip_batch.verbs.campaign.dag_scripts", words[0], str(folder), *words[1:]]
    return subprocess.run(command, check=False, capture_output=True).returncode


@pytest.mark.parametrize("change", ["row", "tile"])
@pytest.mark.parametrize("verb", ["pre", "post"])
def test_a_square_whose_row_does_not_fit_ends(tmp_path: Path, verb: str, change: str) -> None:
    """It has failed then, and takes no place among those at work."""
    folder = make_campaign(tmp_path, ["a,T01t01", "b,T01t01"], POOL, "name,tile")
    assert ccip_batch("campaign", "plan", folder).returncode == 0
    (folder / "dag" / "at_work").mkdir()
    if verb == "post":
        (folder / "dag" / "at_work" / "a").write_text("1000\n")
    write_table(folder, ["b,T01t01"] if change == "row" else ["a,T02t02"], "name,tile")
    assert script(folder, verb, "a", "T01t01", *(["0"] if verb == "post" else [])) != 0
    assert not list((folder / "dag" / "at_work").iterdir())
    entry = Journal(folder / "dag" / "squares.jsonl").read()["a"]
    assert (entry.state, entry.cause) == ("failed", "config")


@pytest.mark.parametrize(
    "edit", ["campaign.yaml: table: [", "campaign.csv: ", "campaign.csv: naem\na\n", "campaign.csv"]
)
def test_a_campaign_that_is_being_edited_is_waited_for(tmp_path: Path, edit: str) -> None:
    """No square fails because its turn comes, or it ends, while the table or the config cannot be read."""
    folder = make_campaign(tmp_path, ["a"], POOL)
    name, colon, text = edit.partition(": ")
    right = (folder / name).read_text()
    (folder / name).write_text(text) if colon else (folder / name).unlink()
    times = 0

    def read() -> Square:
        nonlocal times
        times += 1
        if times == 3:
            (folder / name).write_text(right)
        return find_square(load_campaign(folder).config.table, "a")

    assert patiently(folder, read, look_s=0.01).name == "a" and times == 3
    (folder / name).unlink()
    shutil.rmtree(folder)
    with pytest.raises(CcipError):
        patiently(folder, read)


@pytest.mark.parametrize("verb", ["pre", "post"])
def test_the_scripts_of_the_outer_dag_wait_for_its_table(tmp_path: Path, verb: str) -> None:
    folder = make_campaign(tmp_path, ["a"], POOL)
    (folder / "campaign.csv").write_text("")
    words = [verb, str(folder), "a", "a", *(["0"] if verb == "post" else [])]
    command = [sys.executable, "-m", "ccip_batch.verbs.campaign.dag_scripts", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None and "waits until the campaign can be read" in process.stderr.readline()
        assert process.poll() is None and not Journal(folder / "dag" / "squares.jsonl").read()
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_while_rows_are_checked_is_quiet(tmp_path: Path) -> None:
    """All processes of a terminal have the signal; only one of them has something to say."""
    folder = make_campaign(tmp_path, [f"s{number}" for number in range(1000)])
    command = [sys.executable, "-m", "ccip_batch", "campaign", "validate", str(folder)]
    # a shell in the background would have the signal ignored
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    try:
        parent = psutil.Process(process.pid)
        while not (children := [one for one in parent.children() if "validate" in one.cmdline()]):
            assert process.poll() is None
            time.sleep(0.01)
        held = children[-1]
        held.suspend()  # with a part of the rows, so that the work is not done before the signal
        held.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        held.resume()
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and said == "ccip-batch: stopped; give the same command again to continue\n"
