"""Whose turn it is: bounds on the squares at work and on their disk."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from helpers.campaigns import TEMPLATE, make_campaign

from ccip_batch.campaign.config import Campaign, load_campaign
from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.campaign.turn import end_turn, may_begin, others_at_work, take_disk, turn
from ccip_batch.errors import ResourceError

LOOK_S = 0.01


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    return load_campaign(make_campaign(tmp_path, list("abcdef"), TEMPLATE + "bounds: {squares: 2, disk: 1 GB}\n"))


def take(campaign: Campaign, name: str) -> None:
    with turn(campaign, name, LOOK_S):
        assert take_disk(campaign, name, 1)


def test_no_more_squares_than_the_bound_are_at_work(campaign: Campaign) -> None:
    most, workers = [], []

    def work(name: str) -> None:
        take(campaign, name)
        most.append(len(others_at_work(campaign.folder)))
        time.sleep(0.05)
        end_turn(campaign.folder, name)

    for name in "abcdef":
        workers.append(threading.Thread(target=work, args=(name,)))
        workers[-1].start()
    for worker in workers:
        worker.join()
    assert len(most) == 6 and max(most) <= 2
    assert not others_at_work(campaign.folder)


def test_a_square_that_begins_twice_counts_once(campaign: Campaign) -> None:
    take(campaign, "a")
    take(campaign, "b")
    take(campaign, "b")
    assert not may_begin(campaign, "c")


def test_a_throttle_and_a_hold_are_heeded_at_once(campaign: Campaign) -> None:
    take(campaign, "a")
    assert may_begin(campaign, "b")
    campaign.folder.throttle.write_text("1\n")
    assert not may_begin(campaign, "b")
    campaign.folder.throttle.write_text("rubbish")
    assert may_begin(campaign, "b")
    campaign.folder.halted.touch()
    assert not may_begin(campaign, "b")


def test_no_square_is_begun_while_the_disk_is_used_up(campaign: Campaign) -> None:
    journal = Journal(campaign.folder.journal)
    assert take_disk(campaign, "a", 400_000_000)
    journal.write([Entry("b", "failed", left=500_000_000)])
    assert not take_disk(campaign, "c", 200_000_000)
    assert take_disk(campaign, "c", 100_000_000)
    end_turn(campaign.folder, "a")
    assert take_disk(campaign, "d", 400_000_000)


def test_a_square_that_never_has_room_fails(campaign: Campaign) -> None:
    with pytest.raises(ResourceError, match="GB of disk, more than bounds"):
        take_disk(campaign, "a", 2_000_000_000)


def test_a_square_that_was_killed_in_its_turn_takes_no_place(campaign: Campaign) -> None:
    with turn(campaign, "a", LOOK_S):
        pass  # a PRE script that was killed leaves the same
    take(campaign, "b")
    assert [note.name for note in others_at_work(campaign.folder)] == ["b"]


def test_what_is_no_note_is_not_at_work(campaign: Campaign) -> None:
    (campaign.folder.at_work / "folder").mkdir(parents=True)
    (campaign.folder.at_work / ".nfs01").touch()
    assert others_at_work(campaign.folder) == []


def test_what_a_square_left_itself_does_not_count_against_it(campaign: Campaign) -> None:
    Journal(campaign.folder.journal).write([Entry("a", "waiting", left=900_000_000)])
    assert not take_disk(campaign, "b", 400_000_000)
    assert take_disk(campaign, "a", 400_000_000)
