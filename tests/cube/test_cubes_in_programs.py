"""Cubes of the survey's sixteen planes as other programs read them: frequencies, sky, Stokes, beams, units, values."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray
from skies import FREQUENCIES, Sky, Source, beam_at, sky_wcs, write_plane

from ccip_batch.cube.cubes import CubeResult, Options, make_cube
from ccip_batch.cube.vmean import mean_v_of

SKY = Sky([Source(18, 20, 1.0, 0.2, 60.0, 0.3)], size=40, border=2, beam_pixels=5, header={"OBJECT": "", "VELREF": 1})
X, Y = 18, 20
KINDS = {
    "whole": Options(interpolation="exact"),
    "gaps": Options(interpolation="exact", spws=["2~6,9~17"]),
    "native": Options(interpolation="exact", beam="native", spws=["2~6,9~17"]),
}
IN_CASA = """
import json, sys
from pathlib import Path
from ccip_batch.casa.session import Casa

casa, seen = Casa(Path("casa.log")), []
x, y = map(int, sys.argv[1:3])
for number, path in enumerate(sys.argv[3:]):
    name = f"{number}.im"
    casa.task("importfits", fitsimage=path, imagename=name)
    head = casa.task("imhead", imagename=name, mode="summary")
    with casa.image(name) as image:
        axes = image.coordsys()
        worlds = [axes.toworld([x, y, channel, 0], "n")["numeric"] for channel in range(image.shape()[2])]
        beams = [image.restoringbeam(channel=channel, polarization=0) for channel in range(image.shape()[2])]
        seen.append({
            "axes": [str(axis) for axis in head["axisnames"]],
            "per plane": "perplanebeams" in head,
            "frequencies": [float(world[2]) for world in worlds],
            "place": [float(value) * 57.29577951308232 for value in worlds[0][:2]],
            "stokes": axes.stokes(),
            "unit": image.brightnessunit(),
            "frame": str(axes.referencecode("spectral")[0]),
            "rest": float(axes.restfrequency()["value"][0]),
            "beams": [[beam[key]["value"] for key in ("major", "minor", "positionangle")] for beam in beams],
            "values": image.getchunk([x, y, 0, 0], [x, y, image.shape()[2] - 1, 0], getmask=False).ravel().tolist(),
            "mask": image.getchunk([x, y, 0, 0], [x, y, image.shape()[2] - 1, 0], getmask=True).ravel().tolist(),
        })
        axes.done()
Path("seen.json").write_text(json.dumps(seen))
"""
IN_CASACORE = """
import json, sys
from casacore.images import image

seen = []
for path in sys.argv[3:]:
    opened = image(path)
    axes = opened.coordinates()
    spectral, direction = axes.get_coordinate("spectral"), axes.get_coordinate("direction")
    frequencies = [opened.toworld([0, channel, 0, 0])[1] for channel in range(opened.shape()[1])]
    place = opened.toworld([0, 0, int(sys.argv[2]), int(sys.argv[1])])[2:]
    seen.append({
        "frequencies": frequencies, "place": [57.29577951308232 * value for value in reversed(place)],
        "stokes": axes.get_coordinate("stokes").get_stokes(), "unit": opened.unit(),
        "values": opened.getdata()[0, :, int(sys.argv[2]), int(sys.argv[1])].tolist(),
    })
open("seen.json", "w").write(json.dumps(seen))
"""


@dataclass(frozen=True)
class Made:
    """One kind of cubes."""

    result: CubeResult
    frequencies: list[float]
    """Of its channels."""
    blank: list[bool]
    beams: NDArray[np.float64]
    """arcsec, arcsec, degrees; those of the planes that there are."""

    def truth(self, stokes: str) -> NDArray[np.float64]:
        """At the source, of the planes that there are."""
        kept = np.array(self.frequencies)[~np.array(self.blank)]
        return np.array([SKY.sources[0].stokes(frequency)[stokes] for frequency in kept])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("cubes")
    (folder / "planes").mkdir()
    for spw in FREQUENCIES:
        write_plane(folder / "planes", spw, SKY)
    mean_v_of(folder / "planes", folder)
    make_cube(folder / "planes", folder / "table", Options(axis="table", blank_missing=True))
    kinds = {}
    for kind, options in KINDS.items():
        result = make_cube(folder / "planes", folder / kind, options)
        blank = [spw in (7, 8) and kind != "whole" for spw in FREQUENCIES]
        kept = [frequency for frequency, empty in zip(FREQUENCIES.values(), blank, strict=True) if not empty]
        if result.beam:
            beams = np.array([[result.beam.major_deg, result.beam.minor_deg, result.beam.pa_deg]] * len(kept))
        else:
            beams = np.array([beam_at(frequency, SKY) for frequency in kept])
        kinds[kind] = Made(result, list(FREQUENCIES.values()), blank, beams * [3600, 3600, 1])
    return kinds


def compare(made: Made, stokes: str, seen: dict[str, Any]) -> None:
    """What a program read is what was written."""
    assert not made.result.warnings
    assert seen["frequencies"] == pytest.approx(made.frequencies, abs=1)
    assert seen["place"] == pytest.approx(np.ravel(sky_wcs((12.501525, -2.5)).all_pix2world(X, Y, 0)), abs=1e-8)
    assert seen["unit"] == "Jy/beam" and list(seen["stokes"]) == [stokes]
    there = ~np.array(made.blank)
    assert np.array(seen["values"])[there] == pytest.approx(made.truth(stokes), abs=2e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stokes", "IQU")
def test_astropy(made: dict[str, Made], kind: str, stokes: str) -> None:
    with fits.open(made[kind].result.cubes[stokes]) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        header, wcs = hdus[0].header, WCS(hdus[0].header)
        count = header["NAXIS3"]
        values = hdus[0].data[0, :, Y, X]
        world = wcs.all_pix2world(X, Y, np.arange(count), 0, 0)
        assert wcs.celestial.naxis == 2 and wcs.spectral.naxis == 1
        seen = {
            "frequencies": world[2], "place": [world[0][0], world[1][0]], "unit": header["BUNIT"],
            "stokes": ["IQUV"[int(world[3][0]) - 1]], "values": values,
        }  # fmt: skip
        assert np.isnan(hdus[0].data[0]).all(axis=(1, 2)).tolist() == made[kind].blank
        assert (header["OBJECT"], header["VELREF"], header["SPECSYS"]) == ("J005000-023000", 1, "LSRK")
        assert header["RESTFRQ"] == pytest.approx(np.mean(made[kind].frequencies)) and header["EXTEND"] is True
        assert all(len(line) <= 72 and not line.endswith(" ") for line in header["HISTORY"])
    compare(made[kind], stokes, seen)
    texts = np.loadtxt(made[kind].result.frequencies), np.loadtxt(made[kind].result.noise)
    assert texts[0] == pytest.approx(made[kind].frequencies) and np.isnan(texts[1]).tolist() == made[kind].blank


def test_casa(made: dict[str, Made], tmp_path: Path) -> None:
    paths = [str(made[kind].result.cubes["Q"]) for kind in KINDS]
    command = [sys.executable, "-c", IN_CASA, str(X), str(Y), *paths]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    for (kind, one), seen in zip(made.items(), json.loads((tmp_path / "seen.json").read_text()), strict=True):
        compare(one, "Q", seen)
        there = ~np.array(one.blank)
        assert seen["axes"] == ["Right Ascension", "Declination", "Frequency", "Stokes"] and seen["frame"] == "LSRK"
        assert seen["rest"] == pytest.approx(np.mean(one.frequencies)) and seen["mask"] == there.tolist()
        assert seen["per plane"] is (kind == "native")
        assert np.array(seen["beams"])[there] == pytest.approx(one.beams, rel=1e-6)


def test_casacore(made: dict[str, Made], tmp_path: Path) -> None:
    """In a process of its own: its libraries and those of CASA are not the same."""
    command = [sys.executable, "-c", IN_CASACORE, str(X), str(Y)]
    if subprocess.run([sys.executable, "-c", "import casacore"], capture_output=True, check=False).returncode:
        pytest.skip("python-casacore is not installed")
    paths = [str(made[kind].result.cubes["Q"]) for kind in KINDS]
    subprocess.run([*command, *paths], cwd=tmp_path, check=True, capture_output=True, text=True)
    for one, seen in zip(made.values(), json.loads((tmp_path / "seen.json").read_text()), strict=True):
        compare(one, "Q", seen)


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning", "ignore:Cube is a Stokes cube")
@pytest.mark.parametrize("kind", KINDS)
def test_spectral_cube(made: dict[str, Made], kind: str) -> None:
    spectral_cube = pytest.importorskip("spectral_cube")
    one = made[kind]
    cube = spectral_cube.SpectralCube.read(one.result.cubes["Q"])
    dec, ra = cube.spatial_coordinate_map
    seen = {
        "frequencies": cube.spectral_axis.to_value("Hz"), "place": [ra[Y, X].value, dec[Y, X].value],
        "unit": cube.unit.to_string().replace(" / ", "/"), "stokes": ["Q"],
        "values": [plane[Y, X].value for plane in cube],
    }  # fmt: skip
    compare(one, "Q", seen)
    there = ~np.array(one.blank)
    if kind == "native":
        beams = np.array([[b.major.to_value("arcsec"), b.minor.to_value("arcsec"), b.pa.value] for b in cube.beams])
        assert beams[there] == pytest.approx(one.beams, rel=1e-6)
    else:
        beam = [cube.beam.major.to_value("arcsec"), cube.beam.minor.to_value("arcsec"), cube.beam.pa.value]
        assert beam == pytest.approx(one.beams[0])


@pytest.fixture(scope="module")
def files(made: dict[str, Made]) -> Iterator[list[str]]:
    """Every FITS file: cubes, also one with a table of frequencies, and the mean V image."""
    folder = made["whole"].result.cubes["I"].parents[1]
    found = [str(path) for pattern in ("*.fits", "*/*.cube.fits") for path in sorted(folder.glob(pattern))]
    assert len(found) == 3 * (len(KINDS) + 1) + 1
    yield found


def test_fitsverify_finds_nothing(files: list[str]) -> None:
    if not shutil.which("fitsverify"):
        pytest.skip("fitsverify is not installed (Debian, Ubuntu: apt-get install fitsverify)")
    done = subprocess.run(["fitsverify", *files], capture_output=True, text=True, check=False)
    assert done.stdout.count("Verification found 0 warning(s) and 0 error(s)") == len(files), done.stdout


def test_checksums_are_right(files: list[str]) -> None:
    for path in files:
        with fits.open(path, checksum=True) as hdus, warnings.catch_warnings():
            warnings.simplefilter("error")
            hdus.verify("exception")
            assert all({"CHECKSUM", "DATASUM"} <= set(hdu.header) for hdu in hdus)
            assert hdus[0].data is not None
    subprocess.run([Path(sys.executable).with_name("fitscheck"), *files], check=True)
