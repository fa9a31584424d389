"""`ccip-batch run` again: what is repeated, what is not, and what is told."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import yaml
from astropy.io import fits
from helpers.finished_runs import forget, pixel_sums, result
from helpers.input_files import CONTINUUM, TABLES, make_archive, make_job
from helpers.simulated_runs import alone, ccip_batch, changed

from ccip_batch.run.cleaning import clean
from ccip_batch.run.run import Run


def test_a_second_run_repeats_nothing(small_job: Path, finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("nodes/*/result.json")}
    with alone(finished):
        done = ccip_batch("run", small_job, "--run-dir", finished, "--set", "execution.keep=all")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished.glob("nodes/*/result.json")} == before


def test_changed_threshold_repeats_only_what_it_touches(small_job: Path, finished: Path, copy: Path) -> None:
    """Also after the clean-up at the end of a run that keeps the products alone."""
    images = {path: path.read_bytes() for path in copy.glob("nodes/[ri]*/result.json")}
    assert ccip_batch("run", small_job, "--run-dir", copy).returncode == 0
    assert not list(copy.glob("nodes/restore/out/*"))
    thresholds = "plane_rejection.after_imaging.flagpct_thresh=0.0001"
    done = ccip_batch("run", small_job, "--run-dir", copy, "--set", thresholds)
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in copy.glob("nodes/[ri]*/result.json")} == images
    planes = list(copy.glob("products/*.subim*.fits"))
    rejected = {fits.getheader(path)["VLASSSPW"] for path in planes if fits.getheader(path).get("VLASSRJ")}
    assert rejected == {"10", "12~13"}  # the planes with flags
    assert "plane rejected: flagged fraction" in result(copy, "export_spw10")["summary"]
    before = pixel_sums(finished / "products")
    after = pixel_sums(copy / "products")
    assert {name: after[name] for name in before if ".spw" in name} == {n: before[n] for n in before if ".spw" in n}


def test_what_was_deleted_is_made_again_and_nothing_is_imaged_again(
    small_job: Path, finished: Path, copy: Path
) -> None:
    images = {path: path.read_bytes() for path in copy.glob("nodes/[ri]*/result.json")}
    assert ccip_batch("run", small_job, "--run-dir", copy).returncode == 0  # cleans up
    shutil.rmtree(copy / "planes" / "spw17")
    shutil.rmtree(copy / "products")
    done = ccip_batch("run", small_job, "--run-dir", copy)
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in copy.glob("nodes/[ri]*/result.json")} == images
    assert pixel_sums(copy / "products") == pixel_sums(finished / "products")


def test_a_product_that_was_changed_is_told_and_made_again(small_job: Path, finished: Path, copy: Path) -> None:
    victim = next(copy.glob("planes/spw17/*.V.*.com.fits"))
    with victim.open("r+b") as stream:
        stream.seek(-5000, 2)
        stream.write(b"garbage!")
    product = copy / "products" / victim.name
    product.unlink()
    product.hardlink_to(victim)
    told = ccip_batch("run", small_job, "--run-dir", copy, "--set", "execution.keep=all")
    assert told.returncode == 11 and victim.name in told.stderr
    done = ccip_batch("run", small_job, "--run-dir", copy, "--set", "execution.keep=all")
    assert done.returncode == 0, done.stderr
    assert pixel_sums(copy / "products") == pixel_sums(finished / "products")


def test_planes_that_are_new_or_were_forgotten_are_imaged_and_no_others(
    small_job: Path, finished: Path, copy: Path
) -> None:
    """With another group; and a plane whose measurement set went when the products were verified, here with saves
    between its major cycles: `restore` is repeated for them, and the pixels are as before."""
    others = {path: path.read_bytes() for name in ("09", "10", "12_13") for path in [record(copy, f"image_spw{name}")]}
    clean(Run.read(copy))
    forget(copy, "image_spw17")
    groups = "imaging.spw=['9', '10', '12,13', '17', '16']"
    options = ("--set", groups, "--set", "execution.keep=all", "--set", "execution.checkpoint_interval=1")
    done = ccip_batch("run", small_job, "--run-dir", copy, *options)
    assert done.returncode == 0, done.stderr
    assert "groups changed" in done.stderr
    assert "restore: running" in done.stderr and "image_spw10: done: already done" in done.stderr
    for what in (r"running: expected \d+:\d\d", "stage makeimages", r"done: imaged: beam .*"):
        line = rf"^\[\d+:\d\d, about \d+:\d\d to go\] \d+/13 image_spw16: {what}$"  # no terminal: plain lines
        assert re.search(line, done.stderr, re.MULTILINE), done.stderr
    assert {path: path.read_bytes() for path in others} == others
    assert list(copy.glob("products/*.spw16.IQU.*"))
    script = (copy / "nodes" / "image_spw17" / "casa_commands.py").read_text()
    assert script.count("casatasks.tclean(") > 4  # a call an iteration, and one more for each save inside it
    before, after = pixel_sums(finished / "products"), pixel_sums(copy / "products")
    native = {name for name in before if ".spw" in name and ".com." not in name}  # the common beam is of all planes
    assert native and {name: after[name] for name in native} == {name: before[name] for name in native}


def record(run: Path, node: str) -> Path:
    return run / "nodes" / node / "result.json"


def test_missing_resources_are_an_error_and_have_a_report(tmp_path: Path) -> None:
    job = make_job(tmp_path / "job")
    make_archive(tmp_path / "job" / "reimaging_resources.tgz", TABLES[2:])
    run = tmp_path / "run"
    for _ in range(2):
        done = ccip_batch("run", job, "--run-dir", run)
        assert done.returncode == 11
        page = (run / "report" / "index.html").read_text()
        for name in ("*.QLcatmask-tier1.mask", "*.combined-tier2.mask"):
            pattern = name.replace("*", f"s*_0.{CONTINUUM}")
            assert f"no table {pattern}" in done.stderr.replace("\n", " ") and pattern in page
        assert "Failed before any plane could be imaged" in page
        assert not (run / "nodes" / "restore" / "casa.log").exists()


def test_restored_data_are_not_touched_because_resources_are_missing(
    small_job: Path, finished: Path, tmp_path: Path
) -> None:
    from ccip_batch.job.resources_archive import patterns

    resolved = yaml.safe_load((finished / "job.resolved.yaml").read_text())
    names = patterns(resolved["root"], resolved["continuum_imagename"]).values()
    archive = make_archive(tmp_path / "r.tgz", [name.replace("*", "s1") for name in list(names)[1:]])

    def times() -> dict[Path, int]:
        """But of CASA's log: tests that repeat parts of this node write to it."""
        return {path: path.stat().st_mtime_ns for path in finished.glob("nodes/restore/*") if path.name != "casa.log"}

    before = times()
    job = changed(small_job, tmp_path, inputs__reimaging_resources=str(archive))
    with alone(finished):
        done = ccip_batch("run", job, "--run-dir", finished)
    assert done.returncode == 11 and "tier-1 mask is missing" in done.stderr
    assert times() == before


def test_two_runs_in_one_folder(small_job: Path, finished: Path) -> None:
    from ccip_batch.run.folder import RunFolder

    with alone(finished), RunFolder(finished).locked():
        done = ccip_batch("run", small_job, "--run-dir", finished)
    assert done.returncode == 12 and "in use" in done.stderr


def test_not_enough_disk(small_job: Path, tmp_path: Path) -> None:
    done = ccip_batch("run", small_job, "--run-dir", tmp_path / "run", "--set", "imaging.imsize=100000")
    assert done.returncode == 30 and "GB free" in done.stderr
    assert not (tmp_path / "run").exists()
