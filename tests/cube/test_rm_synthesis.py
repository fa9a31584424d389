"""docs/rm_synthesis.md does what it says: RM-Tools, unchanged, finds what was put into the planes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS
from skies import FREQUENCIES, LIGHT, Sky, Source, beam_at, sky_wcs, write_plane

from ccip_batch.cube.beams import GaussianBeam
from ccip_batch.cube.cubes import CubeResult, Options, make_cube

PAGE = Path(__file__).parents[2] / "docs" / "rm_synthesis.md"
NOISE = 1e-3
KEPT = [spw for spw in FREQUENCIES if spw not in (4, 7)]
"""Spw 4 is missing, 7 rejected."""
RNG = np.random.default_rng(5)
SOURCES = [
    Source(x, y, 0.1, 0.2, float(RNG.uniform(-150, 150)), float(RNG.uniform(-1.5, 1.5)))
    for x in range(8, 64, 16)
    for y in range(8, 64, 16)
]


def rm_tools() -> str:
    """The folder with RM-Tools' programs: on the PATH, beside this Python, or $CCIP_RMTOOLS."""
    for folder in (os.environ.get("CCIP_RMTOOLS", ""), str(Path(sys.executable).parent)):
        if folder and shutil.which("rmsynth3d", path=folder):
            return folder
    found = shutil.which("rmsynth3d")
    if found is None:
        pytest.skip("RM-Tools is not installed (or name the folder of its programs in CCIP_RMTOOLS)")
    return str(Path(found).parent)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> tuple[CubeResult, dict[str, np.ndarray]]:
    """The cubes of a field of sources, and the maps that the page's lines make of them."""
    tools = rm_tools()
    folder = tmp_path_factory.mktemp("rm")
    (folder / "planes").mkdir()
    for spw in FREQUENCIES:
        if spw != 4:
            write_plane(
                folder / "planes", spw, Sky(SOURCES, noise=NOISE, beam_pixels=5, size=64, border=2), rejected=spw == 7
            )
    result = make_cube(folder / "planes", folder / "cubes", Options(interpolation="exact"))
    lines = re.search(r"```sh\n(.*?)```", PAGE.read_text(), re.S).group(1).splitlines()  # type: ignore[union-attr]
    assert len(lines) == 6 and lines[0] == "ccip-batch cube RUN_OR_FOLDER --out cubes --interpolation exact && cd cubes"
    path = f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "PATH": path,
        "OMP_NUM_THREADS": "1",
    }
    subprocess.run(["bash", "-e", "-c", "\n".join(lines[1:])], cwd=folder / "cubes", env=environment, check=True)
    names = {
        "rm": "phiPeakPIfit_rm2",
        "rm error": "dPhiPeakPIfit_rm2",
        "p": "ampPeakPIfitEff",
        "p error": "dAmpPeakPIfit",
    }
    return result, {key: np.squeeze(fits.getdata(folder / "cubes" / f"rm_{name}.fits")) for key, name in names.items()}


def theory() -> tuple[float, float, float]:
    """Errors expected from the noise put in: of polarised intensity; of RM as RM synthesis has it, FWHM / (2 S/N),
    FWHM = 3.8 / (range of wavelength squared); of RM by least squares, noise / (2 signal) / spread of the same."""
    frequency = np.array([FREQUENCIES[spw] for spw in KEPT])
    largest = GaussianBeam(*beam_at(frequency[0], Sky(beam_pixels=5)))
    area = np.array([GaussianBeam(*beam_at(f, Sky(beam_pixels=5))).area for f in frequency])
    weight = 1 / (NOISE**2 * largest.area / area)
    squared = (LIGHT / frequency) ** 2
    spread = np.sqrt(np.average(squared**2, weights=weight) - np.average(squared, weights=weight) ** 2)
    amplitude = float(1 / np.sqrt(weight.sum()))
    half = amplitude / (2 * 0.02)
    return amplitude, float(3.8 / np.ptp(squared) * half), float(half / spread)


def test_channels(maps: tuple[CubeResult, dict[str, np.ndarray]]) -> None:
    assert [channel.group for channel in maps[0].channels] == [str(spw) for spw in FREQUENCIES]
    assert [int(channel.group) for channel in maps[0].channels if channel.plane] == KEPT


def test_the_frequency_list_of_rm_tools_is_ours(maps: tuple[CubeResult, dict[str, np.ndarray]], tmp_path: Path) -> None:
    program = Path(rm_tools()) / "rmtools_freqfile"
    subprocess.run([program, maps[0].cubes["Q"], tmp_path / "frequencies"], check=True)
    assert np.loadtxt(tmp_path / "frequencies") == pytest.approx(np.loadtxt(maps[0].frequencies), abs=1)


def test_the_maps_are_valid_fits(maps: tuple[CubeResult, dict[str, np.ndarray]]) -> None:
    if not shutil.which("fitsverify"):
        pytest.skip("fitsverify is not installed (Debian, Ubuntu: apt-get install fitsverify)")
    folder = maps[0].frequencies.parent
    paths = [folder / f"rm_{name}.fits" for name in ("phiPeakPIfit_rm2", "dPhiPeakPIfit_rm2", "ampPeakPIfitEff")]
    done = subprocess.run(["fitsverify", "-e", *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for path in paths:
        with fits.open(path, checksum=True) as hdus, warnings.catch_warnings():
            warnings.simplefilter("error", AstropyUserWarning)
            place = WCS(hdus[0].header).pixel_to_world(8, 8)
            assert hdus[0].data is not None
        assert place.separation(SkyCoord(sky_wcs((12.501525, -2.5)).pixel_to_world(8, 8))).arcsec < 1e-3


def test_rotation_measures_and_intensities(maps: tuple[CubeResult, dict[str, np.ndarray]]) -> None:
    found = {key: np.array([image[int(s.y), int(s.x)] for s in SOURCES]) for key, image in maps[1].items()}
    off = found["rm"] - [source.rm for source in SOURCES]
    sigma_p, sigma_rm, scatter = theory()
    print(f"RM: largest |off|/error {np.max(np.abs(off) / found['rm error']):.2f}, scatter {np.std(off):.2f} rad/m2,")
    print(f"theory {scatter:.2f}; errors {np.median(found['rm error']):.2f} rad/m2, theory {sigma_rm:.2f}")
    print(f"P: errors {np.median(found['p error']):.2e}, theory {sigma_p:.2e}; mean {found['p'].mean():.5f} of 0.02")
    assert np.all(np.abs(off) < 3 * found["rm error"])
    assert np.all(np.abs(found["p"] - 0.02) < 3 * found["p error"])
    assert found["rm error"] == pytest.approx(np.full(len(SOURCES), sigma_rm), rel=0.3)
    assert np.median(found["p error"]) == pytest.approx(sigma_p, rel=0.3)
    assert np.std(off) == pytest.approx(scatter, rel=0.4)  # 16 sources tell it to 18%
