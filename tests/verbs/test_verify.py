"""`ccip-batch verify`: of a run and of a copied products folder, whole and damaged in one thing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.simulated_runs import ccip_batch, link_inputs

CHANGED = 13


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run without what CASA worked in."""
    copy = tmp_path / "run"
    shutil.copytree(finished, copy, symlinks=True, ignore=shutil.ignore_patterns("work", "casa_home"))
    return copy


def damage(path: Path) -> None:
    """Change one byte and neither size nor name, in this file alone (products have a second name in planes/)."""
    content = bytearray(path.read_bytes())
    content[-3000] ^= 1
    path.unlink()
    path.write_bytes(content)


def test_a_whole_run_fits(finished: Path) -> None:
    done = ccip_batch("verify", finished)
    assert done.returncode == 0, done.stderr
    assert "all match" in done.stdout and not done.stderr


def test_a_copied_products_folder_fits_without_the_run(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(finished / "products", copy)
    done = ccip_batch("verify", copy)
    assert done.returncode == 0, done.stderr
    assert f"{len(list(copy.iterdir())) - 1} checksums computed: all match" in done.stdout


def test_a_changed_and_a_missing_product_are_named(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(finished / "products", copy)
    changed, missing = sorted(copy.glob("*.fits"))[:2]
    damage(changed)
    missing.unlink()
    (copy / "note.txt").write_text("mine")
    done = ccip_batch("verify", copy)
    assert done.returncode == CHANGED
    assert f"{changed}: has changed" in done.stderr and f"{missing}: is missing" in done.stderr
    assert "not listed in SHA256SUMS: 'note.txt'" in done.stdout
    assert done.stderr.count("wrong:") == 2


def test_a_product_whose_line_was_forged_is_found_in_the_run(run: Path) -> None:
    """SHA256SUMS itself is held against the result of the node that wrote it."""
    sums = run / "products" / "SHA256SUMS"
    lines = sums.read_text().splitlines()
    sums.unlink()
    sums.write_text("\n".join([("0" * 64) + lines[0][64:], *lines[1:]]) + "\n")
    done = ccip_batch("verify", run)
    assert done.returncode == CHANGED and f"{sums}: has changed" in done.stderr


@pytest.mark.parametrize("where", ["planes/spw17", "nodes/image_spw17/out"])
def test_changed_files_of_other_nodes_are_found(run: Path, where: str) -> None:
    victim = next((run / where).glob("*.V.*tt0.subim.fits"))
    damage(victim)
    done = ccip_batch("verify", run)
    assert done.returncode == CHANGED and f"{victim}: has changed" in done.stderr


def test_a_changed_input_is_found(small_job: Path, tmp_path: Path) -> None:
    """Of a run that was only started: the inputs are compared, and what is not done is said."""
    from ccip_batch.verbs.prepare import open_run, write_job

    folder = tmp_path / "job"
    run, job, _ = open_run(link_inputs(small_job, folder), (), tmp_path / "run")
    with run.locked():
        write_job(run, folder / "job.yaml", job)
    assert ccip_batch("verify", run.path).returncode == 0
    parameters = folder / "CCIP_parameter.list"
    text = parameters.read_text()
    parameters.unlink()
    parameters.write_text(text + "# more\n")
    done = ccip_batch("verify", run.path)
    assert done.returncode == CHANGED
    assert "inputs.ccip_parameter_list" in done.stderr and "publish is not done" in done.stdout
    parameters.unlink()
    done = ccip_batch("verify", run.path)
    assert done.returncode == 0 and "is missing, so it was not compared" in done.stdout


def test_damaged_results_are_told(run: Path) -> None:
    result = run / "nodes" / "export_spw17" / "result.json"
    content = json.loads(result.read_text())
    result.write_text(result.read_text()[:-100])
    done = ccip_batch("verify", run)
    assert done.returncode == CHANGED and f"{result}: is damaged" in done.stderr
    content["files"][0]["name"] = "../../../../etc/passwd"
    result.write_text(json.dumps(content))
    done = ccip_batch("verify", run)
    assert done.returncode == CHANGED and f"{result}: is damaged" in done.stderr


@pytest.mark.parametrize(
    "line", ["", "nonsense", "0" * 64 + "  ../outside", "0" * 64 + "  /etc/passwd", "0" * 64 + "  ..", "\udcff"]
)
def test_lines_that_name_no_file_beside_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(f"{line}\n".encode("utf-8", "surrogateescape"))
    done = ccip_batch("verify", tmp_path)
    assert done.returncode == CHANGED and "SHA256SUMS:1: is not a checksum" in done.stderr


def test_what_is_neither_run_nor_products(tmp_path: Path) -> None:
    done = ccip_batch("verify", tmp_path)
    assert done.returncode == 12 and "is neither a run folder" in done.stderr
