"""RM-Tools, unchanged, on the cubes of a simulated job: the polarised sources that were put in come out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers.simulated_runs import make_run, make_simulation
from test_rm_synthesis import PAGE, rm_tools

HALF = 40
"""Half the side of the part around the centre that is searched: RM-Tools takes a millisecond a pixel."""


def cut(path: Path) -> None:
    """Leave the central part of a cube."""
    with fits.open(path) as hdus:
        hdus = fits.HDUList([hdu.copy() for hdu in hdus])
        image = hdus[0]
        y, x = (int(image.header[f"CRPIX{axis}"]) - 1 for axis in (2, 1))
        image.data = image.data[..., y - HALF : y + HALF, x - HALF : x + HALF]
        image.header["CRPIX1"] = image.header["CRPIX2"] = HALF + 1
        hdus.writeto(path, overwrite=True)


@pytest.mark.slow
def test_polarised_sources(tmp_path: Path) -> None:
    tools = rm_tools()
    job = make_simulation("demo")
    run = make_run(job, "products")
    lines = re.search(r"```sh\n(.*?)```", PAGE.read_text(), re.S).group(1).splitlines()  # type: ignore[union-attr]
    first = [sys.executable, "-m", *lines[0].replace("ccip-batch", "ccip_batch").split(" && ")[0].split()]
    subprocess.run([word.replace("RUN_OR_FOLDER", str(run)) for word in first], cwd=tmp_path, check=True)
    cubes = tmp_path / "cubes"
    for path in cubes.glob("*.cube.fits"):
        cut(path)
    path = os.pathsep.join([tools, str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PATH": path, "OMP_NUM_THREADS": "1"}
    subprocess.run(["bash", "-e", "-c", "\n".join(lines[1:])], cwd=cubes, env=environment, check=True)

    names = {"rm": "phiPeakPIfit_rm2", "error": "dPhiPeakPIfit_rm2", "p": "ampPeakPIfitEff", "p error": "dAmpPeakPIfit"}
    maps = {key: np.squeeze(fits.getdata(cubes / f"rm_{name}.fits")) for key, name in names.items()}
    with fits.open(next(cubes.glob("*.I.cube.fits"))) as hdus:
        planes = hdus["PLANES"].data
        cell = abs(hdus[0].header["CDELT1"]) * 3600
    frequencies = np.loadtxt(next(cubes.glob("*.frequencies.txt")))
    noise = np.loadtxt(next(cubes.glob("*.noise.txt")))
    weight = 1 / noise**2
    assert len(frequencies) == len(planes) == 5
    squared = (299792458.0 / frequencies) ** 2
    wrong = []
    for source in json.loads((job.parent / "truth.json").read_text())["sources"]:
        if not source["p"]:
            continue
        x, y = (HALF + offset / cell for offset in (-source["dx"], source["dy"]))
        at = round(y), round(x)
        rm, error, p, p_error = (float(maps[key][at]) for key in ("rm", "error", "p", "p error"))
        flux = source["p"] * source["i0"] * (frequencies / 3e9) ** source["alpha"]
        expected = float(np.average(flux, weights=weight))
        theory = 3.8 / np.ptp(squared) / (2 * p / np.sqrt(1 / weight.sum()))
        print(
            f"{source['name']}: RM {rm:.1f} +- {error:.1f} (truth {source['rm']}, error by theory {theory:.1f}), ",
            end="",
        )
        print(f"P {p * 1e3:.2f} +- {p_error * 1e3:.2f} mJy (truth {expected * 1e3:.2f})")
        if abs(rm - source["rm"]) > 3 * error or not 0.7 < error / theory < 1.3:
            wrong.append(f"RM of {source['name']}")
        if source["gauss"] is None and abs(p - expected) > 3 * p_error:  # a resolved source has no peak to compare
            wrong.append(f"P of {source['name']}")
    assert wrong == []
