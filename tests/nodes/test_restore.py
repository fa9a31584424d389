"""What `restore` tells of the spw groups."""

from __future__ import annotations

from pathlib import Path

from helpers.finished_runs import result
from helpers.simulated_runs import changed, failing_run


def test_summaries_name_groups_and_reasons(finished: Path) -> None:
    assert result(finished, "restore")["summary"] == "restored 3 of 4 spw groups; spw 9 empty, completely flagged"
    assert result(finished, "analyze")["summary"] == "3 planes kept, 1 not imaged (spw 9)"
    assert result(finished, "export_spw09")["summary"] == "nothing to export: empty, completely flagged"
    assert result(finished, "export_spw17")["summary"] == "6 FITS files, plane kept"


def test_empty_group_is_told_and_has_no_products(finished: Path) -> None:
    assert "empty: completely flagged" in result(finished, "image_spw09")["summary"]
    assert not list(finished.glob("products/*.spw9.*"))
    assert not list((finished / "nodes" / "image_spw09" / "out").iterdir())


def test_no_field_near_the_phase_centre(small_job: Path, tmp_path: Path) -> None:
    lists = tmp_path / "SEIP_parameter.list"
    text = (small_job.parent / "SEIP_parameter.list").read_text().splitlines()
    lists.write_text("\n".join("phasecenter='J2000 01:00:00.0 +10.00.00.0'" if "phase" in t else t for t in text))
    done = failing_run(changed(small_job, tmp_path, inputs__seip_parameter_list=str(lists)), tmp_path)
    assert done.returncode == 11
    assert "no target field within" in done.stderr and "ccip-batch node" in done.stderr
