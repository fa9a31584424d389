"""`ccip-batch cube` of a run."""

from __future__ import annotations

from pathlib import Path

from helpers.report_page import Page
from helpers.simulated_runs import ccip_batch

from ccip_batch.report import write_without_drawing
from ccip_batch.run.run import Run


def test_a_cube_tells_which_planes_of_the_run_it_lacks(finished: Path, tmp_path: Path) -> None:
    done = ccip_batch("cube", finished, "--out", tmp_path / "cubes")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("left out")] == [
        "left out: spw 9: empty: completely flagged"
    ]


def test_the_report_of_a_run_shows_its_rotation_measures(copy: Path, tmp_path: Path) -> None:
    done = ccip_batch("cube", copy, "--out", tmp_path / "cubes", "--rm", "--rm-snr", "5")
    assert done.returncode == 0, done.stderr
    assert f"ccip-batch report {copy}" in done.stderr
    pictures = [Path(line) for line in done.stdout.splitlines() if line.endswith(".png")]
    assert len(pictures) == 2
    write_without_drawing(Run.read(copy))
    page = Page(copy / "report" / "index.html")
    assert "Faraday rotation" in page.text and "Rotation measure (rad/m2) of" in page.text
    for picture in pictures:
        assert f"faraday/{picture.name}" in page.files
        assert (copy / "report" / "faraday" / picture.name).read_bytes() == picture.read_bytes()
