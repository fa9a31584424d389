"""What `image` leaves of a plane, and that its script repeats it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from helpers.finished_runs import imagename

from ccip_batch.imaging.previews import Previews


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
        "tools = {path: casatools.image() for path in sys.argv[1:]}\n"
        "[tool.open(path) for path, tool in tools.items()]\n"
        "pixels = [tool.getchunk() for tool in tools.values()]\n"
        "print([(one == other).all().item() for one, other in zip(pixels[::2], pixels[1::2])])"
    )
    last = f"{imagename(finished)}.spw17.IQUV.iter3"
    folders = (finished / "nodes" / "image_spw17" / "work", script.parent / "replay")
    kinds = ("image.tt0", "image.pbcor.tt0.rms", "residual.tt0")
    same = subprocess.run(
        [sys.executable, "-c", read, *(str(folder / f"{last}.{kind}") for kind in kinds for folder in folders)],
        capture_output=True,
        text=True,
        env={"CASASITECONFIG": str(site), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
    )
    assert same.stdout.strip().endswith("[True, True, True]"), (kinds, same.stdout, same.stderr)


def test_iter0_is_its_residual(finished: Path, tmp_path: Path) -> None:
    """Restoring it would add nothing: the image, which is not made, would have these pixels but for their last bit."""
    folder = finished / "nodes" / "image_spw17"
    script = (folder / "casa_commands.py").read_text()
    calls = re.findall(r"casatasks\.tclean\(\n.*?\n\)\n", script, re.DOTALL)
    assert ["restoration=True" in call for call in calls] == [False, True, True, True]
    head = script[: script.index("casatasks.tclean(")]
    compare = """
tools = {kind: casatools.image() for kind in ("image", "residual")}
name, = (entry.removesuffix(".psf.tt0") for entry in os.listdir() if entry.endswith(".psf.tt0"))
[tool.open(f"{name}.{kind}.tt0") for kind, tool in tools.items()]
pixels = [tool.getchunk() for tool in tools.values()]
print((abs(pixels[0] - pixels[1]) <= 3e-7 * abs(pixels[1])).all(), tools["image"].maskhandler("default"))
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
