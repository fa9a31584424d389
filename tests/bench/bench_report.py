"""What a report of 16 planes at real size costs, whatever the size of the images: CPU, memory, disk.

    python tests/bench/bench_report.py [RUN]

RUN: a finished run whose planes' results serve as those of all 16 (default: the small one of the tests). The previews
are the largest that an image node writes, of noise, which compresses worst. Goals: 20 s, 1 GB, 25 MB.
"""

from __future__ import annotations

import copy
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.simulated_runs import BUILD, make_run, make_simulation

from ccip_batch.imaging.previews import PSF_HALF, SIDE, SMALL_SIDE, Previews
from ccip_batch.run.results import NodeResult

SPWS = tuple(range(2, 18))


def noise_previews(random: np.random.Generator, source: Previews) -> Previews:
    """Previews of the largest size: a disc of noise with a few sources."""
    sides = dict.fromkeys(source.arrays, SMALL_SIDE) | {"image": SIDE, "residual": SIDE, "psf": 2 * PSF_HALF + 1}
    arrays: dict[str, Any] = {}
    headers = copy.deepcopy(source.headers)
    for kind, array in source.arrays.items():
        side = sides[kind]
        y, x = np.indices((side, side)) / (side - 1) - 0.5
        if array.dtype == bool:
            arrays[kind] = random.random((1, side, side)) > 0.999
        elif kind in ("pb", "psf"):
            width = 0.35 if kind == "pb" else 0.03
            arrays[kind] = np.stack([np.exp(-(x**2 + y**2) / 2 / width**2)] * 4).astype(np.float16)
        else:
            arrays[kind] = random.normal(size=(4, side, side)).astype(np.float16)
            arrays[kind][:, side // 2, side // 3] = 200
        if "CDELT1" in headers[kind]:
            scale = array.shape[-1] / side
            for axis in (1, 2):
                headers[kind][f"CDELT{axis}"] *= scale
                if f"CRPIX{axis}" in headers[kind]:
                    headers[kind][f"CRPIX{axis}"] /= scale
    return Previews(arrays, headers)


def sixteen(run: Path, folder: Path) -> None:
    """A run folder of 16 planes made of the results of one plane, and of nodes that serve all."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = yaml.safe_load((run / "job.resolved.yaml").read_text())
    job["groups"] = [str(spw) for spw in SPWS]
    (folder / "job.resolved.yaml").write_text(yaml.safe_dump(job))
    results = {path.parent.name: json.loads(path.read_text()) for path in run.glob("nodes/*/result.json")}
    image = next(name for name, one in results.items() if name.startswith("image") and len(one["stages"]) > 1)
    spw = results[image]["spw"]

    def stage(node: dict[str, Any], name: str) -> Any:
        return next(record["result"] for record in node["stages"] if record["name"] == name)

    def save(result: dict[str, Any]) -> Path:
        place = folder / "nodes" / result["node"]
        place.mkdir(parents=True)
        NodeResult.model_validate(result).sealed().save(place / "result.json")
        for log in ("casa.log", "node.log"):
            (place / log).write_text("one line of a log that is long enough to be like those of CASA\n" * 5000)
        shutil.copyfile(run / "nodes" / image / "casa_commands.py", place / "casa_commands.py")
        return place

    frequency = {one: (1.988 + 0.064 + 0.128 * number) * 1e9 for number, one in enumerate(SPWS)}
    targets = stage(results["restore"], "editimlist_cube")
    target = next(one for one in targets["planes"] if one["spw"] == spw)
    targets["planes"] = [{**target, "spw": str(s), "reffreq_ghz": f / 1e9} for s, f in frequency.items()]
    targets["flags"]["groups"] = [str(s) for s in SPWS]
    targets["flags"]["fraction"] = [[0.1] * len(SPWS) for _ in targets["flags"]["fraction"]]
    analysis = stage(results["analyze"], "analyzestokescubes")
    judged = next(one for one in analysis["judgements"] if one["spw"] == spw)
    analysis["judgements"] = [{**judged, "spw": str(s)} for s in SPWS]
    for place in analysis["stokes"]["places"]:
        row = next(one for one in place["planes"] if one["spw"] == spw)
        place["planes"] = [{**row, "spw": str(s), "frequency_hz": f} for s, f in frequency.items()]
    for name in ("restore", "analyze", "publish"):
        save(results[name])

    random = np.random.default_rng(1)
    source = Previews.load(run / "nodes" / image / "out" / "previews.npz")
    for one in SPWS:
        name = f"image_spw{one:02d}"
        place = save({**results[image], "node": name, "spw": str(one)})
        (place / "out").mkdir()
        noise_previews(random, source).save(place / "out" / "previews.npz")
        exported = results[image.replace("image", "export")]
        save({**exported, "node": name.replace("image", "export"), "spw": str(one)})


def bench_report(run: Path) -> None:
    """Print what the report of 16 planes costs."""
    folder = BUILD / "bench" / "report"
    sixteen(run, folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "ccip_batch", "report", str(folder)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    disk = sum(path.stat().st_size for path in (folder / "report").rglob("*") if path.is_file())
    print(
        f"report  {len(SPWS)} planes: {cpu:.1f} CPU s (goal 20), {after.ru_maxrss / 1e6:.2f} GB (goal 1), "
        f"{disk / 1e6:.1f} MB on disk (goal 25)"
    )


if __name__ == "__main__":
    bench_report(Path(sys.argv[1]) if len(sys.argv) > 1 else make_run(make_simulation("small")))
