"""Planes and `restore` against bare CASA: the same calls made by a plain script in stock CASA (bare.py).

A plane runs beside its bare calls, on one core each; `restore` after its bare calls, on all cores. Ratios of CPU
seconds, of memory, and for `restore` of wall time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.bare_calls import restore_calls, run_bare, selection
from helpers.simulated_runs import BUILD

from ccip_batch import processes
from ccip_batch.imaging.cutout import cutout_box
from ccip_batch.job.config import ResolvedJob, load_job
from ccip_batch.job.resolve import resolve
from ccip_batch.run.results import NodeResult, read_result

FIGURES = BUILD / "bench" / "speed.json"
"""What was measured last, by name of the bench: read by plot_speed.py."""
SKY_ARCSEC = 512 * 6.0
"""Side of the image of the preset `case`, whatever its number of pixels."""


@dataclass(frozen=True)
class Size:
    """A plane to be measured."""

    pixels: int
    niter: int
    """Small, so that large planes take few major cycles."""
    goals: tuple[float, float | None] = (0.28, None)
    """Of the tclean calls, and of the whole node, as parts of bare CASA's."""
    alone: bool = False
    """One after the other, for the memory; the plain script makes no more than the tclean calls."""


SIZES = {
    "plane512": Size(512, 200, (0.50, None)),
    "plane2048": Size(2048, 20, (0.28, 0.30)),
    "plane6250": Size(6250, 5, alone=True),
}


def bench_plane(job: Path, folder: Path, name: str) -> None:
    """Image spw 5 at a size."""
    size = SIZES[name]
    cell = SKY_ARCSEC / size.pixels
    changes = ["imaging.spw=['5']", f"imaging.imsize={size.pixels}", f"imaging.cell={cell}arcsec"]
    changes += [f"imaging.niter={size.niter}", "execution.keep=all"]
    shutil.rmtree(folder, ignore_errors=True)
    run = folder / "run"
    _prepare(job, run, changes)
    bare = folder / "bare"
    bare.mkdir()
    calls = {**_plane_calls(resolve(load_job(job, changes)), run, cell), "tclean_only": size.alone}
    (bare / "calls.json").write_text(json.dumps(calls))
    node = [sys.executable, "-m", "ccip_batch", "node", str(run), "image_spw05"]
    first, last = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    ours = subprocess.Popen(["taskset", "-c", str(first), *node], stdout=subprocess.DEVNULL)
    if size.alone:
        ours.wait()
    tclean, *rest = run_bare("plane", bare, run / "nodes" / "restore" / "casa_home", last)
    all_calls = rest[0] if rest else tclean
    if ours.wait():
        raise SystemExit(f"{' '.join(node)} failed")
    result = read_result(run / "nodes" / "image_spw05" / "result.json")
    assert result is not None
    stage = next(record for record in result.stages if record.name == "makeimages")
    cycles = sum(one["major_cycles"] for one in result.stage("makeimages")["iterations"])
    print(f"{name}  {size.pixels} pixels, {cycles} major cycles; casacore's self-checks {_checks(result)}")
    _compare(name, "tclean calls, CPU s", stage.cpu_s, tclean[0], size.goals[0])
    if rest:
        _compare(name, "the whole node, CPU s", result.usage.cpu_s, all_calls[0], size.goals[1])
    _compare(name, "peak memory, GB", result.usage.peak_memory_bytes / 1e9, all_calls[1] / 1e9, None)
    cpu = {"pixels": size.pixels, "major_cycles": cycles, "ours_s": stage.cpu_s, "bare_s": tclean[0]}
    _keep(name, cpu)
    ours_a_pixel, bare_a_pixel = (memory / size.pixels**2 for memory in (result.usage.peak_memory_bytes, all_calls[1]))
    print(f"{name}  peak memory, bytes a pixel: {ours_a_pixel:.0f}, bare CASA {bare_a_pixel:.0f}")


def bench_restore(job: Path, folder: Path) -> None:
    """Stages 1 to 6 of the whole job."""
    shutil.rmtree(folder, ignore_errors=True)
    run = folder / "run"
    changes = ["execution.keep=all"]
    _plan(job, run, changes)
    resolved = resolve(load_job(job, changes))
    bare = folder / "bare"
    bare.mkdir()
    started = time.monotonic()
    _node(run, "restore")
    wall = time.monotonic() - started
    result = read_result(run / "nodes" / "restore" / "result.json")
    assert result is not None
    (bare / "calls.json").write_text(json.dumps(restore_calls(resolved, result, bare)))
    started = time.monotonic()
    ((cpu, peak),) = run_bare("restore", bare, run / "nodes" / "restore" / "casa_home", None)
    print(f"restore  casacore's self-checks {_checks(result)}")
    _compare("restore", "wall time, s", wall, time.monotonic() - started, 0.50)
    _compare("restore", "CPU s", result.usage.cpu_s, cpu, None)
    _compare("restore", "peak memory of a process, GB", result.usage.peak_memory_bytes / 1e9, peak / 1e9, None)


def _compare(name: str, what: str, ours: float, bare: float, goal: float | None) -> None:
    said = f" (goal {goal:.2f})" if goal else ""
    print(f"{name}  {what}: {ours:.2f}, bare CASA {bare:.2f}: ratio {ours / bare:.2f}{said}", flush=True)


def _keep(name: str, figures: dict[str, Any]) -> None:
    known = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    FIGURES.write_text(json.dumps({**known, name: figures}, indent=1) + "\n")


def _checks(result: NodeResult) -> str:
    return result.self_checks.sentence() if result.self_checks else "not known"


def _plan(job: Path, run: Path, changes: list[str]) -> None:
    """Make the run folder, without running a node."""
    options = [
        word for change in (*changes, "execution.engine=htcondor", "execution.site=local") for word in ("--set", change)
    ]
    command = [sys.executable, "-m", "ccip_batch", "plan", str(job), "--run-dir", str(run), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _node(run: Path, name: str) -> None:
    """Run a node on all cores."""
    command = [sys.executable, "-m", "ccip_batch", "node", str(run), name]
    cores = {processes.CORES_VARIABLE: str(len(os.sched_getaffinity(0)))}
    subprocess.run(command, env={**os.environ, **cores}, check=True, stdout=subprocess.DEVNULL)


def _prepare(job: Path, run: Path, changes: list[str]) -> None:
    """A run whose `restore` is done."""
    _plan(job, run, changes)
    _node(run, "restore")


def _plane_calls(job: ResolvedJob, run: Path, cell: float) -> dict[str, Any]:
    """What a plain script must know to image spw 5."""
    restored = read_result(run / "nodes" / "restore" / "result.json")
    assert restored is not None
    targets, split = restored.stage("editimlist_cube"), restored.stage("transformimagedata")
    out = run / "nodes" / "restore" / "out"
    selected = {
        "vis": str(out / "spw05.ms"),
        "spw": "5",
        "datacolumn": "data",
        "reffreq": f"{targets['planes'][0]['reffreq_ghz']:.12g}GHz",
        **selection(targets["fields"], split["target_scans"], len(split["antennas"])),
    }
    pixels = job.iteration(0)["imsize"]
    (left, bottom), (right, top) = cutout_box((pixels[0], pixels[1]), cell)
    return {
        "name": "bare",
        "iterations": [{**job.iteration(number), "restoration": True, **selected} for number in range(4)],
        "masks": [str(out / "tier1.mask"), str(out / "tier2.mask")],
        "box": f"{left},{bottom},{right},{top}",
    }
