"""The page: what is on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.report_page import Page

from ccip_batch.report.drawings import draw
from ccip_batch.report.facts import RunFacts
from ccip_batch.report.page import write_page
from ccip_batch.run.pool import PoolRecord, write_pool_records


def test_planes_and_nodes_have_a_row_each(page: Page) -> None:
    in_table = [row["data-spw"] for row in page.rows if "data-spw" in row]
    assert set(in_table) == {"9", "10", "12,13", "17"}
    assert len(in_table) == 4 * (1 + 5)  # the table, and five kinds of pictures
    nodes = {row["data-node"] for row in page.rows if "data-node" in row}
    assert {"restore", "image_spw10", "analyze", "export_spw17", "publish"} <= nodes and len(nodes) == 11


def test_verdict(page: Page) -> None:
    assert "Done: 3 of 4 planes kept." in page.text
    assert "spw 9: completely flagged" in page.text


def test_failed_restorepims_names_every_missing_file(failed: RunFacts, failed_run: Path, tmp_path: Path) -> None:
    write_page(failed, draw(failed, tmp_path), tmp_path)
    page = Page(tmp_path / "index.html")
    assert "Failed before any plane could be imaged." in page.text
    assert page.text.count("✗ missing") == 2
    for pattern in ("QLcatmask-tier1.mask", "phase-self-cal.tbl"):
        assert re.search(rf"looked for \S*{re.escape(pattern)}", page.text), pattern
    assert f"ccip-batch node {failed_run} restore" in page.text


def test_a_failed_plane_does_not_hide_the_others(stopped: RunFacts, tmp_path: Path) -> None:
    write_page(stopped, draw(stopped, tmp_path), tmp_path)
    page = Page(tmp_path / "index.html")
    rows = {row["data-spw"]: row["class"] for row in page.rows if "data-spw" in row}
    assert rows == {"9": "state-empty", "10": "state-failed", "12,13": "state-imaged", "17": "state-waiting"}
    with pytest.raises(FileNotFoundError):
        (tmp_path / "plots" / "flux.svg").stat()  # stage 11 has not run
    assert page.files <= {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}


def test_what_the_pool_did(stopped: RunFacts, tmp_path: Path) -> None:
    """A row for each node that had a job; the logs of a run without a pool have none, and say nothing."""
    about = {"submissions": 2, "attempts": 3, "evictions": 1, "holds": 4, "checkpoints": 5}
    record = PoolRecord(
        state="done", host="node7", memory_used_mb=900, memory_asked_mb=2048, bytes_received=7_000_000, bytes_sent=None,
        **about,
    )  # fmt: skip
    write_pool_records(stopped.run, {"image_spw10": record})
    (tmp_path / "again").mkdir()
    write_page(stopped, draw(stopped, tmp_path), tmp_path)
    assert "image_spw10node7231452.15 GB7 MB–" in Page(tmp_path / "index.html").text
    stopped.run.pool.write_text("{damaged")
    write_page(stopped, draw(stopped, tmp_path / "again"), tmp_path / "again")
    assert "In the pool" not in Page(tmp_path / "again" / "index.html").text
