"""What `restore` tells of the spw groups."""

from __future__ import annotations

from pathlib import Path

from helpers.finished_runs import result


def test_summaries_name_groups_and_reasons(finished: Path) -> None:
    assert result(finished, "restore")["summary"] == "restored 3 of 4 spw groups; spw 9 empty, completely flagged"
    assert result(finished, "analyze")["summary"] == "3 planes kept, 1 not imaged (spw 9)"
    assert result(finished, "export_spw09")["summary"] == "nothing to export: empty, completely flagged"
    assert result(finished, "export_spw17")["summary"] == "6 FITS files, plane kept"


def test_empty_group_is_told_and_has_no_products(finished: Path) -> None:
    assert "empty: completely flagged" in result(finished, "image_spw09")["summary"]
    assert not list(finished.glob("products/*.spw9.*"))
    assert not list((finished / "nodes" / "image_spw09" / "out").iterdir())
