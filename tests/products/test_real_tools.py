"""What other programs read from the planes, rms images and the mean V of a run is what is in them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

PIXELS = [(0, 0), (17, 200), (128, 128), (255, 3)]
"""(x, y) from 0, of which positions are compared."""
READ_BY_CASA = """
import json, sys
from pathlib import Path
from ccip_batch.casa.session import Casa
casa, pixels, found = Casa(Path("casa.log")), json.loads(sys.argv[1]), {}
for number, path in enumerate(sys.argv[2:]):
    casa.task("importfits", fitsimage=path, imagename=f"{number}.image")
    head = casa.task("imhead", imagename=f"{number}.image", mode="summary")
    names = list(head["axisnames"])
    with casa.image(f"{number}.image") as tool:
        system = tool.coordsys()
        worlds = [system.toworld([x, y, 0, 0], format="n")["numeric"] for x, y in pixels]
        stokes = system.stokes()
        values = tool.getchunk()
    found[path] = {
        "unit": head["unit"],
        "frequency": float(head["refval"][names.index("Frequency")]),
        "stokes": "".join([stokes] if isinstance(stokes, str) else stokes),
        "beam": [float(head["restoringbeam"][key]["value"]) for key in ("major", "minor", "positionangle")],
        "sky": [[float(world[0]), float(world[1])] for world in worlds],
        "values": [float(values[128, 128, 0, n]) if values.shape[2] == 1 else float(values[128, 128, n, 0])
                   for n in range(max(values.shape[2:]))],
    }
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Content:
    """What is in a file, by its header."""

    unit: str
    frequency: float
    """Hz."""
    stokes: str
    beam: Any
    """BMAJ, BMIN, BPA, deg."""
    sky: Any
    """Right ascension and declination of `PIXELS`, deg."""
    values: Any
    """Of the pixel (128, 128), one a Stokes parameter."""

    @classmethod
    def of(cls, path: Path) -> Content:
        with fits.open(path) as hdus, warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)  # what astropy adds of itself: MJD-OBS and OBSGEO-L
            header, data = hdus[0].header, hdus[0].data
            world = WCS(header, hdus).all_pix2world([[x, y, 0, 0] for x, y in PIXELS], 0)
        beam = np.array([header[key] for key in ("BMAJ", "BMIN", "BPA")])
        values = np.nan_to_num(data[:, 0, 128, 128])
        return cls(header["BUNIT"], world[0, 2], header["VLASSPL"], beam, world[:, :2], values)

    def check(self, name: str, **found: Any) -> None:
        """That a program found the same: to 1 Hz, and to a millionth of a pixel of the survey."""
        assert found["unit"].replace(" ", "") == self.unit, name
        assert abs(found["frequency"] - self.frequency) < 1, name
        assert found["stokes"] == self.stokes, name
        assert np.asarray(found["beam"]) == pytest.approx(self.beam, rel=1e-6), name
        off = (np.asarray(found["sky"]) - self.sky + 180) % 360 - 180
        assert np.abs(off).max() < 1e-9, name
        assert np.nan_to_num(found["values"]) == pytest.approx(self.values, rel=1e-6, abs=1e-12), name


@pytest.fixture(scope="module")
def files(finished: Path) -> dict[Path, Content]:
    found = {path: Content.of(path) for path in sorted(finished.glob("products/*.fits"))}
    assert len(found) == 18 + 1
    return found


def test_fitsverify(files: dict[Path, Content]) -> None:
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed (Debian: apt-get install fitsverify)")
    done = subprocess.run(["fitsverify", "-q", *files], capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"verification OK: {path}" for path in files], done.stdout


def test_fitscheck(files: dict[Path, Content]) -> None:
    done = subprocess.run([Path(sys.executable).with_name("fitscheck"), *files], capture_output=True, text=True)
    assert done.returncode == 0 and "MISSING" not in done.stdout + done.stderr, done.stderr


def test_casa(files: dict[Path, Content], tmp_path: Path) -> None:
    command = [sys.executable, "-c", READ_BY_CASA, json.dumps(PIXELS), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    for path, content in files.items():
        found = read[str(path)]
        found["sky"] = np.degrees(found["sky"])
        found["beam"] = np.array(found["beam"]) / [3600, 3600, 1]
        content.check(path.name, **found)


def test_python_casacore(files: dict[Path, Content]) -> None:
    images = pytest.importorskip("casacore.images")
    for path, content in files.items():
        image = images.image(str(path))
        beam = image.imageinfo()["restoringbeam"]
        size = [beam[key]["value"] for key in ("major", "minor", "positionangle")]
        worlds = np.array([image.toworld([0, 0, y, x]) for x, y in PIXELS])  # Stokes, frequency, declination, RA
        content.check(
            path.name,
            unit=image.unit(),
            frequency=worlds[0, 1],
            stokes="".join(image.coordinates().get_coordinate("stokes").get_stokes()),
            beam=np.array(size) / [3600, 3600, 1],
            sky=np.degrees(worlds[:, [3, 2]]),
            values=np.ma.filled(image.get()[:, 0, 128, 128], np.nan),
        )


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning", "ignore:Cube is a Stokes cube")
def test_spectral_cube(files: dict[Path, Content]) -> None:
    spectral_cube = pytest.importorskip("spectral_cube")
    for path, content in files.items():
        if len(content.stokes) > 1:
            cubes = spectral_cube.StokesSpectralCube.read(path)
            parts = [cubes[letter] for letter in cubes.components]
            stokes = "".join(cubes.components)
        else:
            parts, stokes = [spectral_cube.SpectralCube.read(path)], content.stokes
        x, y = np.array(PIXELS).T
        ra_dec = parts[0].wcs.celestial.all_pix2world(x, y, 0)
        beam = parts[0].beam
        content.check(
            path.name,
            unit=str(parts[0].unit),
            frequency=parts[0].spectral_axis.to_value("Hz")[0],
            stokes=stokes,
            beam=[beam.major.to_value("deg"), beam.minor.to_value("deg"), beam.pa.to_value("deg")],
            sky=np.array(ra_dec).T,
            values=[part.unmasked_data[0, 128, 128].value for part in parts],
        )
