"""`cube` against CASA's imsmooth and imregrid of the same planes, side by side: time, peak memory, largest difference.

    python tests/bench/bench_cube.py [--size 2048] [--planes 4] [--workers 2] [--scratch DIR]

Planes are made here. CASA has the easier part: planes are imported to CASA images beforehand, and nothing is
exported afterwards; `cube` reads and writes FITS in its time. Goal: three times as fast on two cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).parents[1] / "cube"))
sys.path.insert(0, str(Path(__file__).parents[2]))


def main(words: Sequence[str] | None = None) -> None:
    """Measure. words: what stands on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=2048, help="pixels along a side")
    parser.add_argument("--planes", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--only-cube", action="store_true", help="without CASA")
    parser.add_argument("--part", choices=["cube", "casa"], help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.part:
        result = _cube(arguments) if arguments.part == "cube" else _casa(arguments)
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory(dir=arguments.scratch, prefix="bench_cube") as scratch:
        folder = Path(scratch)
        _write_planes(folder / "planes", arguments.planes, arguments.size)
        parts = ["cube"] if arguments.only_cube else ["cube", "casa"]
        found = {part: _run(part, folder, arguments) for part in parts}
        for part, result in found.items():
            figures = f"{result['seconds']:8.1f} s  {result['cpu']:8.1f} CPU s  {result['memory'] / 1e9:6.2f} GB"
            print(f"cube  {part:5s}{figures}")
        if "casa" in found:
            print(f"cube  {found['casa']['seconds'] / found['cube']['seconds']:.1f} times as fast as CASA (goal 3)")
            print(f"cube  largest difference: {_difference(folder):.1e} of the peak")


def _write_planes(folder: Path, count: int, size: int) -> None:
    from skies import FREQUENCIES, Sky, Source, write_plane

    folder.mkdir()
    rng = np.random.default_rng(3)
    sources = [Source(float(x), float(y), 0.1, 0.1, 30.0) for x, y in rng.uniform(40, min(size, 600) - 40, (5, 2))]
    for spw in list(FREQUENCIES)[:count]:
        write_plane(folder, spw, Sky(sources, noise=1e-3, size=size, header={"OBSERVER": "bench"}))


def _run(part: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--part", part, "--scratch", str(folder), "--workers", str(arguments.workers)]
    done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _usage(started: float, cpu: float) -> dict[str, float]:
    return {
        "seconds": time.monotonic() - started,
        "cpu": time.process_time() - cpu,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0,
    }


def _cube(arguments: argparse.Namespace) -> dict[str, float]:
    from ccip_batch.cube.cubes import Options, make_cube

    started, cpu = time.monotonic(), time.process_time()
    make_cube(arguments.scratch / "planes", arguments.scratch / "cubes", Options(workers=arguments.workers))
    return _usage(started, cpu)


def _casa(arguments: argparse.Namespace) -> dict[str, float]:
    from ccip_batch.casa.session import Casa

    work = arguments.scratch / "casa"
    work.mkdir()
    beam = fits.getheader(next((arguments.scratch / "cubes").glob("*.I.cube.fits")))
    planes = sorted((arguments.scratch / "planes").glob("*.IQU.*.tt0.subim.fits"))
    casa = Casa(work / "casa.log")
    for index, path in enumerate(planes):
        casa.task("importfits", fitsimage=str(path), imagename=str(work / f"{index}.in"))
        # The grid without position corrections, as stage 12 has it.
        shutil.copytree(work / f"{index}.in", work / f"{index}.template")
        with casa.image(str(work / f"{index}.template")) as image:
            coordinates = image.coordsys()
            history = " ".join(fits.getheader(path)["HISTORY"]).split("deg")
            nominal = [float(part.split("=")[1]) for part in history[:2]]
            reference = coordinates.referencevalue(format="n")["numeric"]
            reference[:2] = np.radians(nominal)
            coordinates.setreferencevalue(value=list(reference))
            image.setcoordsys(coordinates.torecord())
    started, cpu = time.monotonic(), time.process_time()
    sizes: dict[str, Any] = {"major": f"{beam['BMAJ']}deg", "minor": f"{beam['BMIN']}deg", "pa": f"{beam['BPA']}deg"}
    for index in range(len(planes)):
        smooth = str(work / f"{index}.smooth")
        casa.task(
            "imsmooth", imagename=str(work / f"{index}.in"), kernel="gauss", targetres=True, outfile=smooth, **sizes
        )
        template, target = str(work / f"{index}.template"), str(work / f"{index}.out")
        casa.task("imregrid", imagename=smooth, template=template, output=target, axes=[0, 1])
    used = _usage(started, cpu)
    for index in range(len(planes)):
        casa.task("exportfits", imagename=str(work / f"{index}.out"), fitsimage=str(work / f"{index}.fits"))
    return used


def _difference(folder: Path) -> float:
    worst = 0.0
    for number, stokes in enumerate("IQU"):
        cube = fits.getdata(next((folder / "cubes").glob(f"*.{stokes}.cube.fits")))[0]
        for index, plane in enumerate(cube):
            theirs = fits.getdata(folder / "casa" / f"{index}.fits").reshape(3, *plane.shape)[number]
            worst = max(worst, float(np.nanmax(np.abs(theirs - plane)) / np.nanmax(np.abs(theirs))))
    return worst


if __name__ == "__main__":
    main()
