"""What memory and time of `restore` and of a plane depend on: rows, channels and pixels, each varied by itself.

Prints what was measured and the fit, in the terms of `ccip_batch/estimates.py`, beside what that says. A plane takes
few major cycles here, and the time is CPU time; that of the estimates is for a plane that is cleaned.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ccip_batch.job.config import load_job
from ccip_batch.job.data_size import DataSize
from ccip_batch.job.resolve import resolve
from ccip_batch.job.spw_groups import SCIENCE_SPWS
from ccip_batch.simulate import simulate
from ccip_batch.workflow.estimates import memory_bytes, seconds
from ccip_batch.workflow.graph import build_graph

NODES = ("restore", "image_spw17")
BASE = {"pixels": 512, "cell": 6.0, "channels": 8, "integrations": 2}
VARIED = ({"pixels": 1024, "cell": 3.0}, {"channels": 32}, {"integrations": 6})
TERMS = ("", " a pixel", " a row", " a visibility")


@dataclass(frozen=True)
class Measured:
    """One run: what it had to do, and by node the memory (bytes) and CPU time (s) it took and was estimated to take."""

    data: DataSize
    pixels: float
    took: dict[str, tuple[float, float]]
    estimated: dict[str, tuple[float, float]]

    def terms(self, name: str) -> tuple[float, float, float, float]:
        """What the estimate of a node is linear in."""
        spws = len(SCIENCE_SPWS) if name == "restore" else 1
        return 1.0, self.pixels, spws * self.data.rows, spws * self.data.visibilities


def measure(folder: Path, size: dict[str, float]) -> Measured:
    """Simulate a job of this size and image one plane of it with few major cycles."""
    simulated, run = folder / "data", folder / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = simulate(simulated, "custom", seed=1, **size)
    changes = ["imaging.spw=['17']", "imaging.niter=5"]
    options = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "ccip_batch", "run", str(job), "--run-dir", str(run), "--workers", "1", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took, estimated = {}, {}
    resolved = resolve(load_job(job, changes))
    for name in NODES:
        usage = json.loads((run / "nodes" / name / "result.json").read_text())["usage"]
        node = build_graph(resolved.groups)[name]
        took[name] = (usage["peak_memory_bytes"], usage["cpu_s"])
        estimated[name] = (memory_bytes(resolved, node), seconds(resolved, node))
    return Measured(resolved.data, float(size["pixels"]) ** 2, took, estimated)


def bench_model(folder: Path) -> None:
    """Vary one thing after the other and fit."""
    runs = []
    for changed in ({}, *VARIED):
        size = {**BASE, **changed}
        runs.append(measure(folder, size))
        for name in NODES:
            memory, cpu = runs[-1].took[name]
            said = runs[-1].estimated[name]
            print(
                f"model  {size['pixels']} pixels, {size['channels']} channels, {runs[-1].data.rows} rows a spw: {name} "
                f"{memory / 1e6:.0f} MB (estimate {said[0] / 1e6:.0f}), {cpu:.0f} s CPU (estimate {said[1]:.0f})",
                flush=True,
            )
    for name in NODES:
        terms = np.array([run.terms(name) for run in runs])
        for index, what in enumerate(("memory, bytes", "CPU, s")):
            fit = np.linalg.lstsq(terms, np.array([run.took[name][index] for run in runs]), rcond=None)[0]
            print(f"model  {name}, {what}: " + " + ".join(f"{a:.3g}{of}" for a, of in zip(fit, TERMS, strict=True)))
