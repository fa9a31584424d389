"""Squares of NRAO's archive: planes with the headers that it has, of which only the size is another, and known sources.

Two headers of the archive are in ../shared/reference; those of the other planes and squares are made from them, by the
rules that hold for all 36 planes of the archive: spw n is at 2028 + 128 (n - 2) MHz, and the rest frequency has one
ratio to that.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from test_rm_synthesis import rm_tools

from ccip_batch.cube.cubes import Options, make_cube
from ccip_batch.cube.spectra.catalogue import Position
from ccip_batch.cube.spectra.extract import extract

pytestmark = pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")  # what astropy adds of itself

HEADERS = Path(__file__).parents[3] / "shared" / "reference" / "archive_headers"
SPWS = [spw for spw in range(2, 18) if spw not in (3, 4, 16)]
"""Those that the archive often rejects are missing."""
LIGHT = 299792458.0
SIZE = 80
NOISE = 2e-4
"""Jy/beam, from pixel to pixel."""
FLUX, FRACTION, ANGLE = 0.5, 0.1, 0.4
SQUARES = {
    "T10t02.J005000-023000": (12.501525, -2.5, 38.0, (2700, -2500)),
    "T10t29.J184200-033000": (280.5, -3.5, -61.0, (-2800, 2600)),
    "T21t05.J073000+583000": (112.5, 58.5, 17.0, (1500, 2900)),
}
"""Right ascension and declination, the source's rotation measure, its place from the centre, pixels of 0.6 arcsec."""


def frequency_of(spw: int) -> float:
    return 2028e6 + 128e6 * (spw - 2)


def archive_header(spw: int) -> fits.Header:
    """Of the plane of the archive that is nearest in frequency."""
    if not HEADERS.is_dir():
        pytest.skip("../shared/reference is not here")
    path = next(HEADERS.glob(f"*.spw{2 if spw < 10 else 10}.IQU.*"))
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# HDU")]
    return fits.Header.fromstring("\n".join(line[:80] for line in lines), sep="\n")


def header_of(square: str, spw: int) -> fits.Header:
    """Of a plane of a square, cut out around the source."""
    header, (ra, dec, _, place) = archive_header(spw), SQUARES[square]
    frequency, of_archive = frequency_of(spw), header["CRVAL3"]
    for key in ("CRVAL3", "RESTFRQ"):
        header[key] *= frequency / of_archive
    for key, value in (("CRVAL1", ra), ("OBSRA", ra), ("CRVAL2", dec), ("OBSDEC", dec), ("LATPOLE", dec)):
        header[key] = value
    header["OBJECT"] = square.split(".")[1]
    for axis, offset in enumerate(place, 1):
        header[f"NAXIS{axis}"] = SIZE
        header[f"CRPIX{axis}"] = float(SIZE // 2 - offset)
    return header


def write_square(folder: Path, square: str) -> Position:
    """Write the planes of a square; gives where its source is."""
    folder.mkdir()
    sky = WCS(header_of(square, 2)).celestial
    x, y = SIZE / 2 + 0.37, SIZE / 2 - 0.21
    ra, dec = (float(value) for value in sky.pixel_to_world_values(x, y))
    rng = np.random.default_rng(7)
    for spw in SPWS:
        header = header_of(square, spw)
        turn = 2 * (ANGLE + SQUARES[square][2] * (LIGHT / frequency_of(spw)) ** 2)
        shape = gaussian(header, x, y)
        values = FLUX * np.array([1.0, FRACTION * math.cos(turn), FRACTION * math.sin(turn)])
        data = values[:, None, None] * shape + NOISE * rng.standard_normal((3, SIZE, SIZE))
        name = f"VLASS2.1.cc.{square}.06.2048.v1.spw{spw}.IQU.iter3.image.pbcor.tt0.subim.com.fits"
        fits.writeto(folder / name, data[:, None].astype(np.float32), header)
    return Position(square, ra, dec)


def gaussian(header: fits.Header, x: float, y: float) -> Any:
    """The header's beam, of peak 1, at a pixel from 0."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    east, north, angle = (columns - x) * header["CDELT1"], (rows - y) * header["CDELT2"], math.radians(header["BPA"])
    along = (east * math.sin(angle) + north * math.cos(angle)) / header["BMAJ"]
    across = (east * math.cos(angle) - north * math.sin(angle)) / header["BMIN"]
    return np.exp(-4 * math.log(2) * (along**2 + across**2))


def peak_of(image: Any) -> tuple[float, float]:
    """Pixel (x, y) of the peak of a Gaussian, from a parabola through the logarithms around its largest value."""
    row, column = np.unravel_index(np.nanargmax(image), image.shape)
    y, x = np.mgrid[-2:3, -2:3]
    values = image[row - 2 : row + 3, column - 2 : column + 3].astype(float)
    terms = np.array([np.ones(25), *(term.ravel() for term in (x, y, x * x, x * y, y * y))]).T
    weight = values.ravel()[:, None]
    _, a, b, c, d, e = np.linalg.lstsq(terms * weight, np.log(values).ravel() * weight[:, 0], rcond=None)[0]
    dx, dy = np.linalg.solve([[2 * c, d], [d, 2 * e]], [-a, -b])
    return float(column + dx), float(row + dy)


def rotation_measure(table: Table) -> tuple[float, float]:
    """RM and its error, rad/m2, by the angles' least squares, turned first by the RM that adds most light up."""
    squared = (LIGHT / np.asarray(table["frequency"])) ** 2
    light = np.asarray(table["Q"]) + 1j * np.asarray(table["U"])
    trial = np.arange(-300.0, 300.0, 0.5)
    best = trial[np.argmax(np.abs(np.exp(-2j * np.outer(trial, squared)) @ light))]
    angle = np.angle(light * np.exp(-2j * best * squared) / np.mean(light * np.exp(-2j * best * squared))) / 2
    centred = squared - squared.mean()
    error = NOISE / (2 * FLUX * FRACTION) / math.sqrt(float(np.sum(centred**2)))
    return best + float(np.sum(angle * centred) / np.sum(centred**2)), error


@pytest.mark.parametrize("square", SQUARES)
def test_a_spectrum_has_the_frequencies_and_the_rotation_measure(tmp_path: Path, square: str) -> None:
    place = write_square(tmp_path / "planes", square)
    table = extract(tmp_path / "planes", [place])
    assert list(table["spw"]) == [str(spw) for spw in SPWS]
    assert np.abs(table["frequency"] - [frequency_of(spw) for spw in SPWS]).max() < 1
    assert table["I"] == pytest.approx(np.full(len(SPWS), FLUX), rel=0.01)
    rm, error = rotation_measure(table)
    print(f"{square}: RM {rm:.2f} +- {error:.2f}, truth {SQUARES[square][2]}")
    assert abs(rm - SQUARES[square][2]) < 3 * error < 5


def test_rm_tools_finds_the_rotation_measure_in_a_spectrum(tmp_path: Path) -> None:
    square = "T10t29.J184200-033000"
    table = extract(tmp_path / "planes", [write_square(tmp_path / "planes", square)])
    level = np.full(len(table), NOISE)
    columns = [table["frequency"], table["I"], table["Q"], table["U"], level, level, level]
    np.savetxt(tmp_path / "spectrum.dat", np.transpose(columns))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    command = [Path(rm_tools()) / "rmsynth1d", "spectrum.dat", "-S", "-l", "500", "-o", "1"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    found = json.loads((tmp_path / "spectrum_RMsynth.json").read_text())
    rm, error = found["phiPeakPIfit_rm2"], found["dPhiPeakPIfit_rm2"]
    print(f"RM-Tools: {rm:.2f} +- {error:.2f}, truth {SQUARES[square][2]}")
    assert abs(rm - SQUARES[square][2]) < 3 * error < 5
    assert found["ampPeakPIfitEff"] == pytest.approx(FLUX * FRACTION, rel=0.01)


@pytest.mark.parametrize("square", SQUARES)
def test_a_cube_has_the_frequencies_and_the_place(tmp_path: Path, square: str) -> None:
    place = write_square(tmp_path / "planes", square)
    result = make_cube(tmp_path / "planes", tmp_path / "cubes", Options(interpolation="exact"))
    expected = [
        frequency_of(channel.spws[0]) for channel in result.channels if channel.plane for channel in [channel.plane]
    ]
    with fits.open(result.cubes["I"]) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header, cube = hdus[0].header, hdus[0].data[0]
        filled = np.isfinite(cube).any(axis=(1, 2))
        axis = WCS(header, hdus).all_pix2world([[0, 0, n, 0] for n in range(len(cube))], 0)[:, 2]
        assert np.abs(axis[filled] - expected).max() < 1 and len(expected) == len(SPWS)
        assert np.abs(np.loadtxt(result.frequencies) - axis).max() < 1
        sky = WCS(
            {
                key: header[key]
                for axis in "12"
                for key in (f"CTYPE{axis}", f"CRVAL{axis}", f"CRPIX{axis}", f"CDELT{axis}", f"CUNIT{axis}")
            }
        )
    wanted = np.array([float(value) for value in sky.world_to_pixel_values(place.ra, place.dec)])
    for plane in cube[filled]:
        assert np.abs(np.subtract(peak_of(plane), wanted)).max() < 0.01
    assert header["OBJECT"] == square.split(".")[1] and header["BUNIT"] == "Jy/beam"
    assert header["BMAJ"] == pytest.approx(1.183961548436e-03, rel=1e-3)
