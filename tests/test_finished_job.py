"""A whole job on simulated visibilities, with CASA: what it makes, and that it can be repeated and continued."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from helpers.simulated_runs import alone, ccip_batch

from ccip_batch.imaging.previews import Previews

IMAGENAME_GROUPS = {"10": "10", "12,13": "12_13", "17": "17"}
KINDS = ("image.pbcor.tt0.subim", "image.pbcor.tt0.rms.subim", "image.pbcor.tt0.subim.com")


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, for a test to change."""
    return Path(shutil.copytree(finished, tmp_path / "run", symlinks=True))


def forget(run: Path, *nodes: str) -> None:
    """Take nodes out of a run as if they had not been run."""
    for name in nodes:
        shutil.rmtree(run / "nodes" / name)


def result(run: Path, node: str) -> dict[str, Any]:
    return json.loads((run / "nodes" / node / "result.json").read_text())


def stage(run: Path, node: str, name: str) -> Any:
    return next(record["result"] for record in result(run, node)["stages"] if record["name"] == name)


def imagename(run: Path) -> str:
    return next(run.glob("products/*.spw17.IQU.*")).name.split(".spw17")[0]


def pixel_sums(products: Path) -> dict[str, str]:
    sums = {}
    for path in sorted(products.glob("*.fits")):
        sums[path.name] = hashlib.sha256(fits.getdata(path).tobytes()).hexdigest()
    return sums


def test_products_of_every_plane(finished: Path) -> None:
    name = imagename(finished)
    expected = {
        f"{name}.spw{label}.{stokes}.iter3.{kind}.fits"
        for label in IMAGENAME_GROUPS.values()
        for stokes in ("IQU", "V")
        for kind in KINDS
    }
    assert {path.name for path in finished.glob("products/*.fits")} == expected | {
        f"{name}_V_mean_minmaxrej.subim.fits"
    }


def test_checksums_fit(finished: Path) -> None:
    lines = (finished / "products" / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == len(list((finished / "products").iterdir())) - 1
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((finished / "products" / name).read_bytes()).hexdigest() == digest, name


def test_manifest_leaves_common_beam_files_out(finished: Path) -> None:
    from xml.etree import ElementTree

    root = ElementTree.parse(finished / "products" / "pipeline_manifest.xml").getroot()
    names = {element.get("name") for element in root.iter("image")}
    native = {path.name for path in finished.glob("products/*.fits") if not path.name.endswith(".com.fits")}
    assert names == native
    assert {element.get("name") for element in root.iter("parameter_list")} == {
        "SEIP_parameter.list",
        "CCIP_parameter.list",
    }


@pytest.mark.parametrize("spw", IMAGENAME_GROUPS)
def test_headers(finished: Path, spw: str) -> None:
    targets = stage(finished, "restore", "editimlist_cube")["planes"]
    target = next(one for one in targets if one["spw"] == spw)
    for path in finished.glob(f"products/*.spw{IMAGENAME_GROUPS[spw]}.*.fits"):
        with fits.open(path) as hdus:
            hdus.verify("exception")
            header, data = hdus[0].header, hdus[0].data
        assert header["VLASSSPW"] == spw
        assert header["VLASSPL"] == ("IQU" if ".IQU." in path.name else "V")
        assert header["NAXIS4"] == len(header["VLASSPL"])
        assert header["VLASSITY"] == ("RMS_TT0" if ".rms." in path.name else "INTENSITY_PBCOR_TT0")
        assert header["VLASSRJ"] is False
        assert header["VLASSBWN"] == pytest.approx(128e6 * len(spw.split(",")))
        assert header["VLASSBW"] == pytest.approx(target["bandwidth_hz"])
        assert header["CRVAL3"] == pytest.approx(target["reffreq_ghz"] * 1e9)
        assert header["OBJECT"] == path.name.split(".")[4]
        assert "+" not in header["DATE-OBS"] and header["DATE-OBS"] < header["DATE-END"]
        assert np.isfinite(data).any() and np.nanmax(np.abs(data)) > 0
        common = path.name.endswith(".com.fits")
        assert ("ZD" in header) is not common
        assert ("Position correction (" in str(header["HISTORY"])) is not common
        assert not any(str(finished) in str(card) for card in header["HISTORY"])


def test_logs_hold_no_folders_of_this_machine(small_job: Path, finished: Path) -> None:
    with tarfile.open(next(finished.glob("products/*.logs.tgz"))) as tar:
        logs = {member.name: tar.extractfile(member).read().decode() for member in tar}  # type: ignore[union-attr]
    assert not [name for name, text in logs.items() if str(small_job.parent) in text]
    assert "vis='INPUTS/" in logs["restore/casa_commands.py"]
    assert "RUN/nodes/export_spw17" in logs["export_spw17/casa.log"]
    script = (finished / "nodes" / "restore" / "casa_commands.py").read_text()
    assert len(logs["restore/casa_commands.py"].splitlines()) == len(script.splitlines())


def test_summaries_name_groups_and_reasons(finished: Path) -> None:
    assert result(finished, "restore")["summary"] == "restored 3 of 4 spw groups; spw 9 empty, completely flagged"
    assert result(finished, "analyze")["summary"] == "3 planes kept, 1 not imaged (spw 9)"
    assert result(finished, "export_spw09")["summary"] == "nothing to export: empty, completely flagged"
    assert result(finished, "export_spw17")["summary"] == "6 FITS files, plane kept"


def test_common_beam_is_common(finished: Path) -> None:
    beams = {
        tuple(fits.getheader(path)[key] for key in ("BMAJ", "BMIN", "BPA"))
        for path in finished.glob("products/*.com.fits")
    }
    assert len(beams) == 1
    native = [fits.getheader(path)["BMAJ"] for path in finished.glob("products/*.IQU.*tt0.subim.fits")]
    assert beams.pop()[0] >= max(native)


def test_empty_group_is_told_and_has_no_products(finished: Path) -> None:
    assert "empty: completely flagged" in result(finished, "image_spw09")["summary"]
    assert not list(finished.glob("products/*.spw9.*"))
    assert not list((finished / "nodes" / "image_spw09" / "out").iterdir())


def test_a_second_run_repeats_nothing(small_job: Path, finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("nodes/*/result.json")}
    with alone(finished):
        done = ccip_batch("run", small_job, "--run-dir", finished, "--set", "execution.keep=all")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished.glob("nodes/*/result.json")} == before


def test_status_of_a_finished_run(finished: Path) -> None:
    done = ccip_batch("status", finished, "--json")
    rows = {row["node"]: row for row in json.loads(done.stdout)}
    assert {row["state"] for row in rows.values()} == {"done"}
    assert next(iter(rows)) == "restore" and list(rows)[-1] == "publish"
    assert rows["image_spw17"]["cpu_s"] > 0 and rows["image_spw17"]["peak_memory_bytes"] > 1e8


def test_a_cube_tells_which_planes_of_the_run_it_lacks(finished: Path, tmp_path: Path) -> None:
    done = ccip_batch("cube", finished, "--out", tmp_path / "cubes")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("left out")] == [
        "left out: spw 9: empty: completely flagged"
    ]


def test_casa_commands_repeat_a_plane(finished: Path, tmp_path: Path) -> None:
    """The script of an image node, run by itself, makes the same images to the last bit."""
    copy = tmp_path / "run"
    for name in ("restore", "image_spw17"):
        shutil.copytree(finished / "nodes" / name, copy / "nodes" / name, ignore=shutil.ignore_patterns("work"))
    script = copy / "nodes" / "image_spw17" / "casa_commands.py"
    site = finished / "nodes" / "image_spw17" / "casa_home" / "casasiteconfig.py"
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env={"CASASITECONFIG": str(site), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    read = (
        "import sys, casatools\n"
        "tools = [casatools.image(), casatools.image()]\n"
        "[tool.open(path) for tool, path in zip(tools, sys.argv[1:])]\n"
        "print((tools[0].getchunk() == tools[1].getchunk()).all())"
    )
    last = f"{imagename(finished)}.spw17.IQUV.iter3"
    for kind in ("image.tt0", "image.pbcor.tt0.rms", "residual.tt0"):
        images = [finished / "nodes/image_spw17/work" / f"{last}.{kind}", script.parent / "replay" / f"{last}.{kind}"]
        same = subprocess.run(
            [sys.executable, "-c", read, *map(str, images)],
            capture_output=True,
            text=True,
            env={"CASASITECONFIG": str(site), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            cwd=tmp_path,
        )
        assert same.stdout.strip().endswith("True"), (kind, same.stderr)


def test_iter0_is_its_residual(finished: Path, tmp_path: Path) -> None:
    """Restoring it would add nothing: the image, which is not made, would have the same pixels."""
    folder = finished / "nodes" / "image_spw17"
    script = (folder / "casa_commands.py").read_text()
    calls = re.findall(r"casatasks\.tclean\(\n.*?\n\)\n", script, re.DOTALL)
    assert ["restoration=True" in call for call in calls] == [False, True, True, True]
    head = script[: script.index("casatasks.tclean(")]
    compare = """
tools = {kind: casatools.image() for kind in ("image", "residual")}
name, = (entry.removesuffix(".psf.tt0") for entry in os.listdir() if entry.endswith(".psf.tt0"))
[tool.open(f"{name}.{kind}.tt0") for kind, tool in tools.items()]
print((tools["image"].getchunk() == tools["residual"].getchunk()).all(), tools["image"].maskhandler("default"))
"""
    copy = tmp_path / "run" / "nodes" / "image_spw17"
    copy.mkdir(parents=True)
    shutil.copytree(finished / "nodes" / "restore" / "out", copy.parent / "restore" / "out")
    (copy / "iter0.py").write_text(head + calls[0].replace("restoration=False", "restoration=True") + compare)
    site = folder / "casa_home" / "casasiteconfig.py"
    done = subprocess.run(
        [sys.executable, str(copy / "iter0.py")],
        capture_output=True,
        text=True,
        env={"CASASITECONFIG": str(site), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("True ['']"), done.stdout


def test_a_plane_keeps_the_images_of_its_last_iteration(finished: Path) -> None:
    kept = {path.name.partition(".IQUV.")[2] for path in (finished / "nodes/image_spw17/work").glob("*.IQUV.*")}
    assert {name for name in kept if not name.startswith("iter3.")} == {"iter1.cleanmask", "iter2.cleanmask"}
    assert {"iter3.image.tt0", "iter3.residual.tt0", "iter3.model.tt0", "iter3.psf.tt0", "iter3.mask"} <= kept


def test_previews_have_every_iteration(finished: Path) -> None:
    arrays = Previews.load(finished / "nodes/image_spw17/out/previews.npz").arrays
    for n in range(4):
        assert not np.isnan(arrays[f"iter{n}.image"]).any(), n
        assert np.isnan(arrays[f"iter{n}.residual"]).any(), n  # outside the primary beam
    inside = ~np.isnan(arrays["iter0.residual"])
    bulk = np.isclose(arrays["iter0.image"][inside], arrays["iter0.residual"][inside])
    assert bulk.mean() > 0.95  # all but blocks at the edge of the mask
    assert not np.isclose(arrays["iter1.image"][inside], arrays["iter1.residual"][inside]).all()


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
    assert rejected == {"10", "12,13"}  # the planes with flags
    assert "plane rejected: flagged fraction" in result(copy, "export_spw10")["summary"]
    before = pixel_sums(finished / "products")
    after = pixel_sums(copy / "products")
    assert {name: after[name] for name in before if ".spw" in name} == {n: before[n] for n in before if ".spw" in n}


def test_killed_in_the_middle_it_goes_on(small_job: Path, finished: Path, copy: Path) -> None:
    """kill -9 of the run while a plane is cleaned: the same pixels after another run. (Other kills: tests/chaos.)"""
    forget(copy, "image_spw17", "analyze", "export_spw17", "publish")
    shutil.rmtree(copy / "products")
    command = [sys.executable, "-m", "ccip_batch", "run", str(small_job), "--run-dir", str(copy)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    state = copy / "nodes" / "image_spw17" / "checkpoint" / "state.json"
    _wait_for(lambda: state.exists() and json.loads(state.read_text())["iteration"] >= 1)
    worker = _worker_of(copy, "image_spw17")
    first.kill()
    first.wait()
    _wait_for(lambda: not Path(f"/proc/{worker}").exists())
    second = ccip_batch("run", small_job, "--run-dir", copy, "--set", "execution.keep=all")
    assert second.returncode == 0, second.stderr
    assert "restore: done: was done already" in second.stderr
    assert "image_spw17: running: from its checkpoint" in second.stderr
    assert pixel_sums(copy / "products") == pixel_sums(finished / "products")
    made = stage(copy, "image_spw17", "makeimages")["iterations"]
    assert made == stage(finished, "image_spw17", "makeimages")["iterations"]


def _wait_for(condition: Any) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def _worker_of(run: Path, node: str) -> int:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"ccip_batch.nodes.worker" in words and str(run).encode() in words and node.encode() in words:
            return int(process.name)
    raise AssertionError(f"no worker of {node}")


def test_checkpoints_inside_an_iteration_change_no_bit(small_job: Path, finished: Path, copy: Path) -> None:
    forget(copy, "image_spw17", "analyze", "export_spw17", "publish")
    options = ("--set", "execution.keep=all", "--set", "execution.checkpoint_interval=1")
    done = ccip_batch("run", small_job, "--run-dir", copy, *options)
    assert done.returncode == 0, done.stderr
    calls = (copy / "nodes/image_spw17/casa_commands.py").read_text().count("casatasks.tclean(")
    assert calls > 4
    assert pixel_sums(copy / "products") == pixel_sums(finished / "products")


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


def test_stopped_by_the_user_it_goes_on(small_job: Path, finished: Path, copy: Path) -> None:
    forget(copy, "export_spw17", "publish")
    command = [sys.executable, "-m", "ccip_batch", "run", str(small_job), "--run-dir", str(copy)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: (copy / "nodes" / "export_spw17" / "progress.json").exists())
    worker = _worker_of(copy, "export_spw17")
    first.send_signal(signal.SIGTERM)
    assert first.wait() == 130
    _wait_for(lambda: not Path(f"/proc/{worker}").exists())
    assert ccip_batch("run", small_job, "--run-dir", copy).returncode == 0
    assert pixel_sums(copy / "products") == pixel_sums(finished / "products")


def test_a_supervisor_that_is_killed_is_told(small_job: Path, finished: Path, copy: Path) -> None:
    """And the worker, which dies with it."""
    forget(copy, "export_spw17", "publish")
    command = [sys.executable, "-m", "ccip_batch", "run", str(small_job), "--run-dir", str(copy)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: (copy / "nodes" / "export_spw17" / "progress.json").exists())
    status = Path(f"/proc/{_worker_of(copy, 'export_spw17')}/status").read_text()
    supervisor = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid"))
    subprocess.run(["kill", "-9", supervisor], check=True)
    _, told = first.communicate()
    assert first.returncode == 20
    assert "export_spw17" in told and "SIGKILL" in told and "ccip-batch node" in told
    rows = {row["node"]: row["state"] for row in json.loads(ccip_batch("status", copy, "--json").stdout)}
    assert rows["export_spw17"] == "failed"
    assert ccip_batch("run", small_job, "--run-dir", copy).returncode == 0
    assert pixel_sums(copy / "products") == pixel_sums(finished / "products")


def test_another_plane_images_only_itself(small_job: Path, copy: Path) -> None:
    images = {path: path.read_bytes() for path in copy.glob("nodes/image_*/result.json")}
    groups = "imaging.spw=['9', '10', '12,13', '17', '16']"
    options = ("--set", groups, "--set", "execution.keep=all")
    done = ccip_batch("run", small_job, "--run-dir", copy, *options)
    assert done.returncode == 0, done.stderr
    assert "groups changed" in done.stderr
    for what in (r"running: expected \d+:\d\d", "stage makeimages", r"done: imaged: beam .*"):
        line = rf"^\[\d+:\d\d, some \d+:\d\d to go\] \d+/13 image_spw16: {what}$"  # no terminal: plain lines
        assert re.search(line, done.stderr, re.MULTILINE), done.stderr
    assert {path: path.read_bytes() for path in images} == images
    assert list(copy.glob("products/*.spw16.IQU.*"))


def test_memory_of_a_node_is_that_of_all_its_processes(finished: Path) -> None:
    """`restore` has at least two of some 330 MB each, one that waits and one that works."""
    assert result(finished, "restore")["usage"]["peak_memory_bytes"] > 500e6
