"""`ccip-batch cube` of a run."""

from __future__ import annotations

from pathlib import Path

from helpers.simulated_runs import ccip_batch


def test_a_cube_tells_which_planes_of_the_run_it_lacks(finished: Path, tmp_path: Path) -> None:
    done = ccip_batch("cube", finished, "--out", tmp_path / "cubes")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("left out")] == [
        "left out: spw 9: empty: completely flagged"
    ]
