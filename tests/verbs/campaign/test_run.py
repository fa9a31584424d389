"""`ccip-batch campaign run`: squares on this machine, with real nodes; and what is said of them afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.campaigns import simulated_campaign, write_table
from helpers.finished_runs import pixel_sums
from helpers.simulated_runs import ccip_batch

from ccip_batch.campaign.config import load_campaign
from ccip_batch.campaign.jobs import write_square_job
from ccip_batch.campaign.journal import Journal
from ccip_batch.campaign.table import find_square
from ccip_batch.run.checksums import ProductFile
from ccip_batch.verbs.campaign.square import end


@pytest.fixture
def campaign(small_job: Path, finished: Path, tmp_path: Path) -> Path:
    """Two squares whose nodes are done, all but `publish` of the second."""
    folder = simulated_campaign(tmp_path / "campaign", small_job, list("ab"))
    for name in "ab":
        shutil.copyfile(small_job.parent / "CCIP_parameter.list", folder / "lists" / f"{name}.list")
        place = folder / "squares" / name / name
        shutil.copytree(finished, place, symlinks=True, ignore=shutil.ignore_patterns("work", "casa_home"))
    shutil.rmtree(place / "nodes" / "publish")
    shutil.rmtree(place / "products")
    return folder


def states(folder: Path) -> dict[str, str]:
    return {name: entry.state for name, entry in Journal(folder / "dag" / "squares.jsonl").read().items()}


def status(folder: Path) -> dict[str, object]:
    done = ccip_batch("campaign", "status", folder, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_squares_are_done_moved_and_tidied(campaign: Path, finished: Path) -> None:
    with (campaign / "campaign.yaml").open("a") as out:
        out.write("products: archive/{name}\n")
    write_table(campaign, ["a", "nosuch", "b"])
    done = ccip_batch("campaign", "run", campaign, "--squares", "2")
    assert done.returncode == 20, done.stderr
    assert states(campaign) == {"a": "done", "b": "done", "nosuch": "failed"}
    assert pixel_sums(campaign / "archive" / "b") == pixel_sums(finished / "products")
    place = campaign / "squares" / "a" / "a"
    assert sorted(path.name for path in place.iterdir() if not path.name.startswith(".")) == [
        "archived.json", "dag", "job.resolved.yaml", "job.yaml", "products", "report", "summary.json", "tidied",
    ]  # fmt: skip
    assert ccip_batch("verify", place).returncode == 0
    told = ccip_batch("status", place)
    assert told.returncode == 12 and "is done and was tidied" in told.stderr and "index.html" in told.stderr
    found = status(campaign)
    assert found["squares"] == {"all": 3, "waiting": 0, "at work": 0, "stopped": 0, "done": 2, "failed": 1}
    assert found["failed_by_cause"] == {"config": 1}
    assert found["planes"] == {"empty": 2, "kept": 6}
    text = ccip_batch("campaign", "explain", campaign).stdout
    assert "config: 1 squares" in text and "nosuch (row 2" in text and "does not exist" in text
    again = ccip_batch("campaign", "run", campaign)
    assert again.returncode == 20 and "begins" not in again.stderr


def test_a_failed_square_is_retried_by_its_cause(campaign: Path) -> None:
    (campaign / "lists" / "a.list").rename(campaign / "lists" / "a.aside")
    write_table(campaign, ["a"])
    assert ccip_batch("campaign", "run", campaign).returncode == 20
    wrong = ccip_batch("campaign", "retry", campaign, "--cause", "memory")
    assert wrong.returncode == 10 and "there are: config (1)" in wrong.stderr
    (campaign / "lists" / "a.aside").rename(campaign / "lists" / "a.list")
    done = ccip_batch("campaign", "retry", campaign, "--cause", "config")
    assert done.returncode == 0 and "1 squares wait again" in done.stdout
    assert ccip_batch("campaign", "run", campaign).returncode == 0
    assert states(campaign) == {"a": "done"}


def test_a_killed_campaign_goes_on(campaign: Path) -> None:
    command = [sys.executable, "-m", "ccip_batch", "campaign", "run", str(campaign)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        end = time.monotonic() + 600
        while "b" not in states(campaign) and time.monotonic() < end:
            time.sleep(0.1)
        assert status(campaign)["alive"]
        busy = ccip_batch("campaign", "run", campaign)
        assert busy.returncode == 12 and "is at work" in busy.stderr
        running.send_signal(signal.SIGKILL)
    assert states(campaign) == {"a": "done", "b": "at work"}
    counts = status(campaign)["squares"]
    assert isinstance(counts, dict) and (counts["stopped"], counts["waiting"]) == (1, 0)
    done = ccip_batch("campaign", "run", campaign)
    assert done.returncode == 0, done.stderr
    assert set(states(campaign).values()) == {"done"}


def test_a_square_that_is_retried_while_the_campaign_runs_is_done_by_it(campaign: Path) -> None:
    (campaign / "lists" / "a.list").rename(campaign / "lists" / "a.aside")
    command = [sys.executable, "-m", "ccip_batch", "campaign", "run", str(campaign)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        end_s = time.monotonic() + 600
        while "b" not in states(campaign) and time.monotonic() < end_s:
            time.sleep(0.1)
        assert states(campaign) == {"a": "failed", "b": "at work"}
        (campaign / "lists" / "a.aside").rename(campaign / "lists" / "a.list")
        done = ccip_batch("campaign", "retry", campaign, "--failed")
        assert done.returncode == 0 and "the `campaign run` that is at work does them" in done.stdout
    assert running.returncode == 0
    assert set(states(campaign).values()) == {"done"}


def test_ctrl_c_stops_squares_in_order(campaign: Path) -> None:
    command = [sys.executable, "-m", "ccip_batch", "campaign", "run", str(campaign)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        end = time.monotonic() + 600
        while "b" not in states(campaign) and time.monotonic() < end:
            time.sleep(0.1)
        os.kill(running.pid, signal.SIGINT)
        assert running.stderr is not None and "to continue" in running.stderr.read()
    assert running.returncode == 130
    assert states(campaign) == {"a": "done", "b": "at work"}


def test_a_held_campaign_begins_nothing(campaign: Path) -> None:
    assert ccip_batch("campaign", "hold", campaign).returncode == 0
    assert status(campaign)["held"]
    assert ccip_batch("campaign", "throttle", campaign, "3").returncode == 0
    assert status(campaign)["bound"] == 3
    assert ccip_batch("campaign", "throttle", campaign, "51").returncode == 10
    assert ccip_batch("campaign", "release", campaign).returncode == 0
    assert not status(campaign)["held"]


def archived(folder: Path) -> dict[str, str]:
    return {path.name: ProductFile.of(path).sha256 for path in (folder / "archive" / "a").iterdir()}


def test_a_square_that_was_killed_at_its_end_goes_on(campaign: Path) -> None:
    """Whatever its end had come to: products put half where they go, or tidied half."""
    with (campaign / "campaign.yaml").open("a") as out:
        out.write("products: archive/{name}\n")
    write_table(campaign, ["a"])
    place = campaign / "squares" / "a" / "a"
    of_campaign = load_campaign(campaign)
    square = find_square(of_campaign.config.table, "a")
    assert ccip_batch("run", write_square_job(of_campaign, square), "--run-dir", place).returncode == 0
    whole = {path.name: ProductFile.of(path).sha256 for path in (place / "products").iterdir()}
    (campaign / "archive" / "a").mkdir(parents=True)
    for name in list(whole)[:3]:
        shutil.copyfile(place / "products" / name, campaign / "archive" / "a" / name)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ccip_batch.run.cleaning.remove_nodes", _killed)
        end(of_campaign, square, 0)
    assert archived(campaign) == whole and (place / "tidied").exists() and (place / "nodes").exists()
    end(of_campaign, square, 0)
    assert states(campaign) == {"a": "done"} and archived(campaign) == whole
    assert not (place / "nodes").exists() and not list((place / "dag").iterdir())
    assert (place / "products").resolve() == (campaign / "archive" / "a").resolve()


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_products_of_others_outlive_a_retry(campaign: Path) -> None:
    """With `keep: all` as well: what is made again takes the place of nothing that somebody put there."""
    with (campaign / "campaign.yaml").open("a") as out:
        out.write("products: archive/{name}\nkeep: all\n")
    write_table(campaign, ["a"])
    assert ccip_batch("campaign", "run", campaign).returncode == 0
    (campaign / "archive" / "a" / "notes.txt").write_text("mine")
    publish = campaign / "squares" / "a" / "a" / "nodes" / "publish"
    shutil.rmtree(publish)
    assert ccip_batch("campaign", "retry", campaign, "--square", "a").returncode == 0
    done = ccip_batch("campaign", "run", campaign)
    assert done.returncode == 0, done.stderr
    assert (campaign / "archive" / "a" / "notes.txt").read_text() == "mine"
    assert ccip_batch("verify", campaign / "archive" / "a").returncode == 0


def test_an_archive_that_cannot_be_written_stops_no_other_square(campaign: Path) -> None:
    with (campaign / "campaign.yaml").open("a") as out:
        out.write("products: archive/{name}\n")
    (campaign / "archive").mkdir()
    (campaign / "archive" / "a").write_text("a file, no folder")
    done = ccip_batch("campaign", "run", campaign)
    assert done.returncode == 20 and "Traceback" not in done.stderr
    assert states(campaign) == {"a": "failed", "b": "done"}


@pytest.mark.slow
def test_three_squares_have_the_products_of_three_runs(small_job: Path, tmp_path: Path) -> None:
    """All of it with CASA; killed once in each square."""
    folder = simulated_campaign(tmp_path / "campaign", small_job, ["v1", "v2", "v3"])
    command = [sys.executable, "-m", "ccip_batch", "campaign", "run", str(folder)]
    for name in ("v1", "v2", "v3"):
        with subprocess.Popen(command) as running:
            place = folder / "squares" / name / name / "nodes" / "image_spw10" / "progress.json"
            while not place.exists():
                time.sleep(0.2)
                assert running.poll() is None
            running.kill()
    assert ccip_batch("campaign", "run", folder).returncode == 0
    for name in ("v1", "v2", "v3"):
        single = ccip_batch("run", folder / "squares" / name / f"{name}.yaml", "--run-dir", tmp_path / name)
        assert single.returncode == 0, single.stderr
        assert pixel_sums(folder / "squares" / name / name / "products") == pixel_sums(tmp_path / name / "products")
