"""The supervisor of a node: what it refuses, and what becomes of a node that is killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from helpers.finished_runs import forget, pixel_sums, result, stage, wait_for, worker_of
from helpers.simulated_runs import ccip_batch


def test_killed_in_the_middle_it_goes_on(small_job: Path, finished: Path, copy: Path) -> None:
    """kill -9 of the run while a plane is cleaned: the same pixels after another run. (Other kills: tests/chaos.)"""
    forget(copy, "image_spw17", "analyze", "export_spw17", "publish")
    shutil.rmtree(copy / "products")
    command = [sys.executable, "-m", "ccip_batch", "run", str(small_job), "--run-dir", str(copy)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    state = copy / "nodes" / "image_spw17" / "checkpoint" / "state.json"
    wait_for(lambda: state.exists() and json.loads(state.read_text())["iteration"] >= 1)
    worker = worker_of(copy, "image_spw17")
    first.kill()
    first.wait()
    wait_for(lambda: not Path(f"/proc/{worker}").exists())
    second = ccip_batch("run", small_job, "--run-dir", copy, "--set", "execution.keep=all")
    assert second.returncode == 0, second.stderr
    assert "restore: done: already done" in second.stderr
    assert "image_spw17: running: from its checkpoint" in second.stderr
    assert pixel_sums(copy / "products") == pixel_sums(finished / "products")
    made = stage(copy, "image_spw17", "makeimages")["iterations"]
    assert made == stage(finished, "image_spw17", "makeimages")["iterations"]
    calls = [(run / "nodes/image_spw17/casa_commands.py").read_text().count("tclean(") for run in (copy, finished)]
    assert calls == [4, 4]  # what was made again is recorded once


def test_memory_of_a_node_is_that_of_all_its_processes(finished: Path) -> None:
    """`restore` has at least two of some 330 MB each, one that waits and one that works."""
    assert result(finished, "restore")["usage"]["peak_memory_bytes"] > 500e6


def test_a_node_that_is_not_there(finished: Path) -> None:
    done = ccip_batch("node", finished, "image_spw99")
    assert done.returncode == 10 and "image_spw17" in done.stderr


def test_a_node_whose_parents_are_not_done(finished: Path, tmp_path: Path) -> None:
    import shutil

    for name in ("job.yaml", "job.resolved.yaml"):
        shutil.copy(finished / name, tmp_path / name)
    done = ccip_batch("node", tmp_path, "image_spw17")
    assert done.returncode == 11 and "restore" in done.stderr


def test_products_behind_a_link_to_another_disk(copy: Path) -> None:
    """As the HTCondor engine makes them where large files have URLs; output of an earlier try is there."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        for name in ("planes", "products", "nodes"):
            shutil.move(copy / name, place)
            (copy / name).symlink_to(Path(place, name))
        forget(copy, "publish")
        done = ccip_batch("node", copy, "publish")
        assert done.returncode == 0, done.stderr
        assert (copy / "products").is_symlink()
        assert len(list(Path(place, "products").glob("*.fits"))) == 19
        assert not (copy / "nodes" / "publish" / "out.before").exists()
