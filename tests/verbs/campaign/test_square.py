"""The end of a square: verified, moved and tidied, whatever cut it off; or failed, with its cause."""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.campaigns import make_campaign, simulated_campaign
from helpers.finished_runs import forget

from ccip_batch.campaign.config import Campaign, load_campaign
from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.campaign.summary import read_summary
from ccip_batch.campaign.table import Square, find_square
from ccip_batch.errors import DataError
from ccip_batch.run.failures import make_failure
from ccip_batch.run.run import Run
from ccip_batch.verbs.campaign.square import end, failing


@pytest.fixture
def campaign(small_job: Path, copy: Path, tmp_path: Path) -> Campaign:
    """One square, all of whose nodes are done."""
    folder = simulated_campaign(tmp_path / "campaign", small_job, ["a"])
    with (folder / "campaign.yaml").open("a") as out:
        out.write("products: archive/{name}\n")
    (folder / "squares" / "a").mkdir(parents=True)
    copy.rename(folder / "squares" / "a" / "a")
    return load_campaign(folder)


@pytest.fixture
def square(campaign: Campaign) -> Square:
    return find_square(campaign.config.table, "a")


def place(campaign: Campaign) -> Path:
    return campaign.folder.run("a", "a")


def entry(campaign: Campaign) -> Entry:
    return Journal(campaign.folder.journal).read()["a"]


def test_an_end_that_was_cut_off_is_gone_on_with(campaign: Campaign, square: Square) -> None:
    """As if it had been killed when it had removed but a part of the run folder."""
    shutil.copytree(place(campaign) / "nodes" / "analyze", campaign.folder.path / "analyze")
    end(campaign, square, 0)
    before = entry(campaign)
    assert before.state == "done" and before.planes == {"empty": 1, "kept": 3} and before.products > 1_000_000
    assert before.left < 10_000_000
    shutil.copytree(campaign.folder.path / "analyze", place(campaign) / "nodes" / "analyze")
    campaign.folder.journal.unlink()
    end(campaign, square, 0)
    assert replace(entry(campaign), time=before.time) == before
    assert not (place(campaign) / "nodes").exists()


def test_products_that_have_changed_are_not_moved(campaign: Campaign, square: Square) -> None:
    (place(campaign) / "products" / "SHA256SUMS").write_text("changed\n")
    with pytest.raises(DataError, match="SHA256SUMS"):
        end(campaign, square, 0)
    assert (entry(campaign).state, entry(campaign).cause) == ("failed", "data")
    assert not (campaign.folder.path / "archive").exists()
    assert Run.read(place(campaign)).result("publish") is None  # so that a retry makes them again


def test_a_failed_square_keeps_its_run_and_says_why(campaign: Campaign, square: Square) -> None:
    run = Run.read(place(campaign))
    forget(run.folder.path, "publish")
    node = run.graph["image_spw10"]
    make_failure(run.folder.path, node, 30, "out of memory", stage="makeimages").save(run.node(node).failure)
    end(campaign, square, 20)
    found = entry(campaign)
    assert (found.state, found.cause) == ("failed", "memory") and "image_spw10 failed in makeimages" in found.text
    assert found.planes["failed"] == 1
    summary = read_summary(place(campaign))
    assert summary is not None and (summary.state, summary.cause) == ("failed", "memory")
    assert (place(campaign) / "nodes").is_dir()


def test_a_square_that_was_removed_is_told_from_one_that_failed(campaign: Campaign, square: Square) -> None:
    forget(place(campaign), "publish")
    end(campaign, square, 1)
    assert (entry(campaign).state, entry(campaign).cause) == ("failed", "removed")


def test_a_place_that_cannot_be_written_is_no_fault_of_ours(campaign: Campaign, square: Square) -> None:
    (campaign.folder.path / "archive").write_text("a file where a folder should be")
    with pytest.raises(OSError, match="archive"):
        end(campaign, square, 0)
    assert (entry(campaign).state, entry(campaign).cause) == ("failed", "resources")


def test_a_full_disk_that_a_library_tells_is_one(tmp_path: Path) -> None:
    campaign = load_campaign(make_campaign(tmp_path, ["a"]))
    with pytest.raises(ValueError, match="library"), failing(campaign.folder, "a", "a"):
        raise ValueError("a library could not write") from OSError(errno.ENOSPC, "No space left on device")
    assert (entry(campaign).state, entry(campaign).cause) == ("failed", "disk")
