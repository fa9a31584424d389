"""Measurements, each a ratio of two things run side by side. Nothing passes or fails here.

    python tests/bench/bench.py [a b plane512 plane2048 plane6250 restore d model report cube help campaign image ...]

a: CPU outside CASA as a share of a run of four planes of 512 pixels. b: these on two workers against one. plane512,
plane2048, plane6250 (an hour; only if named): a plane against bare CASA calls of a plain script. restore: the same for
stages 1 to 6. d: a plane of 6250 pixels against the estimate (only if named).
model: what memory and time depend on. report: what the report of 16 planes costs. cube: cubes against CASA's imsmooth
and imregrid. help: the CLI's start against an empty Python's. campaign: `campaign plan` and `status` by the number of
squares. image: start of the image that `make image` built,
mounted (only if named).
"""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import bench_cube
from bench_campaign import bench_campaign
from bench_model import bench_model
from bench_report import bench_report
from bench_speed import SIZES, bench_plane, bench_restore
from helpers.simulated_runs import BUILD, make_run, make_simulation

COMMAND = [sys.executable, "-m", "ccip_batch"]
PLANES = ("--set", "imaging.spw=['7', '10', '13', '17']")
"""Of the preset `case`: planes of like cost, an even number of them, long enough that starting a process is little."""


def measured(command: Sequence[str], **options: Any) -> tuple[float, float]:
    """(wall, CPU) seconds of a command and all its children."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, cpu


def results(run: Path) -> dict[str, Any]:
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(run.glob("nodes/*/result.json"))}


def run_command(job: Path, folder: Path, workers: int, *more: str) -> list[str]:
    options = ["--run-dir", str(folder), "--workers", str(workers), "--set", "execution.keep=all", *more]
    return [*COMMAND, "run", str(job), *options]


def fresh(name: str) -> Path:
    folder = BUILD / "bench" / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def bench_a_and_b(job: Path) -> None:
    """A run on two workers, then its planes again on one."""
    folder = fresh("run")
    _, cpu = measured(run_command(job, folder, 2, *PLANES))
    inside = sum(stage["casa_cpu_s"] for node in results(folder).values() for stage in node["stages"])
    share = (cpu - inside) / cpu
    print(f"a  CPU outside CASA calls: {cpu - inside:.1f} of {cpu:.1f} s = {share:.1%} of the run (goal 5%)")
    pair = {}
    for workers in (2, 1):
        for node in folder.glob("nodes/*"):
            if node.name != "restore":
                shutil.rmtree(node)
        started = time.monotonic()
        subprocess.run(
            run_command(job, folder, workers, *PLANES), check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        images = [node for name, node in results(folder).items() if name.startswith("image")]
        pair[workers] = max(node["ended"] for node in images) - min(node["started"] for node in images)
        print(f"b  planes on {workers} workers: {pair[workers]:.1f} s (whole run {time.monotonic() - started:.1f} s)")
    print(f"b  two workers against one: {pair[1] / pair[2]:.2f} times as fast (goal 1.9)")


def bench_d(job: Path) -> None:
    """One plane of 6250 x 6250 pixels of the survey's 0.6 arcsec, with few major cycles, against the estimate."""
    from ccip_batch.job.config import load_job
    from ccip_batch.job.resolve import resolve
    from ccip_batch.workflow.estimates import memory_bytes
    from ccip_batch.workflow.graph import build_graph

    sides = 6250
    changes = ["imaging.spw=['17']", f"imaging.imsize={sides}", "imaging.cell=0.6arcsec", "imaging.niter=5"]
    options = [word for change in changes for word in ("--set", change)]
    folder = fresh("big")
    wall, _ = measured(run_command(job, folder, 1, *options))
    node = results(folder)["image_spw17"]
    resolved = resolve(load_job(job, changes))
    estimate = memory_bytes(resolved, build_graph(resolved.groups)["image_spw17"])
    disk = sum(path.stat().st_size for path in (folder / "nodes" / "image_spw17").rglob("*") if path.is_file())
    used = node["usage"]
    print(f"d  {sides} pixels: {used['wall_s']:.0f} s wall, {used['cpu_s']:.0f} s CPU of {wall:.0f} s for the job")
    print(
        f"d  memory {used['peak_memory_bytes'] / 1e9:.2f} GB, estimate {estimate / 1e9:.2f} GB "
        f"(ratio {used['peak_memory_bytes'] / estimate:.2f}); disk {disk / 1e9:.2f} GB"
    )


def bench_help() -> None:
    times, bare = [], []
    for _ in range(7):  # turn and turn about: both have the same machine
        times.append(measured([*COMMAND, "--help"])[0])
        bare.append(measured([sys.executable, "-c", "pass"])[0])
    middle, empty = statistics.median(times), statistics.median(bare)
    print(
        f"help  ccip-batch --help: {middle:.2f} s (goal 0.5) = {middle / empty:.1f} times an empty Python's "
        f"{empty:.2f} s"
    )


def bench_image() -> None:
    """`ccip-batch --version` inside the mounted image; the first start reads it from the disk."""
    (image,) = (BUILD.parent).glob("ccip-*.sif")
    apptainer = subprocess.run(
        [BUILD.parents[1] / "container" / "setup_apptainer.sh"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    times = [measured([apptainer, "run", "--containall", str(image), "--version"]) for _ in range(7)]
    wall, cpu = (statistics.median(column) for column in zip(*times[1:], strict=True))
    print(f"image  ccip-batch --version: first {times[0][0]:.2f} s, then {wall:.2f} s (goal 1), of it {cpu:.2f} s CPU")


def main(chosen: Sequence[str]) -> None:
    if "help" in chosen:
        bench_help()
    if "image" in chosen:
        bench_image()
    if "campaign" in chosen:
        bench_campaign(fresh)
    if "cube" in chosen:
        bench_cube.main([])
    if "model" in chosen:
        bench_model(BUILD / "bench" / "model")
    for name in SIZES:
        if name in chosen:
            bench_plane(make_simulation("case"), fresh(name), name)
    if "restore" in chosen:
        bench_restore(make_simulation("case"), fresh("restore"))
    if {"a", "b"} & set(chosen):
        bench_a_and_b(make_simulation("case"))
    if "d" in chosen:
        bench_d(make_simulation("small"))
    if "report" in chosen:
        bench_report(make_run(make_simulation("small")))


if __name__ == "__main__":
    main(sys.argv[1:] or ["plane512", "plane2048", "restore", "a", "b", "model", "report", "cube", "help", "campaign"])
