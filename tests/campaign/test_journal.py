"""The journal of a campaign: the last word on each square, whatever interrupts its writers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.errors import RunFolderError


def test_the_last_entry_of_a_square_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "squares.jsonl")
    assert journal.read() == {}
    journal.write([Entry("a", "at work"), Entry("b", "at work")])
    journal.write([Entry("a", "failed", cause="memory", text="too much", planes={"kept": 2}, left=7)])
    found = journal.read()
    assert (found["a"].state, found["a"].cause, found["a"].planes, found["a"].left) == (
        "failed",
        "memory",
        {"kept": 2},
        7,
    )
    assert found["b"].state == "at work" and found["b"].time > 0


def test_a_line_that_was_cut_off_loses_no_other(tmp_path: Path) -> None:
    path = tmp_path / "squares.jsonl"
    journal = Journal(path)
    journal.write([Entry("a", "done"), Entry("b", "at work")])
    path.write_bytes(path.read_bytes()[:-20])
    journal.write([Entry("c", "done")])
    assert {name: entry.state for name, entry in journal.read().items()} == {"a": "done", "c": "done"}


def test_lines_that_are_no_entries_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "squares.jsonl"
    path.write_bytes(b'[1]\n{"square": "a"}\nnull\n\xff\xfe\n{"square": "b", "state": "done", "new": 1}\n')
    with path.open("a") as out:
        out.write('{"square":["x"],"state":"done"}\n{"square":"a","state":"done","time":"x"}\n')
        out.write('{"square":"a","state":["x"]}\n')
    Journal(path).write([Entry("c", "done")])
    assert list(Journal(path).read()) == ["c"]


def test_writers_side_by_side_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "squares.jsonl"
    writers = [
        threading.Thread(target=lambda n=n: [Journal(path).write([Entry(f"{n}-{i}", "done")]) for i in range(20)])  # type: ignore[misc]
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(Journal(path).read()) == 80


def test_a_journal_that_is_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is a folder"):
        Journal(tmp_path).read()


def test_the_first_line_tells_when_a_campaign_began(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "squares.jsonl")
    assert journal.begun() is None
    journal.write([Entry("a", "at work", 100.0)])
    journal.write([Entry("a", "done", 200.0)])
    assert journal.begun() == 100.0
