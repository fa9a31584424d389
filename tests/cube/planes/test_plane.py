"""Planes in a folder: found by name, their headers read, and refused where they do not go together."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from skies import CENTRE, FREQUENCIES, NAME, Sky, Source, write_plane, write_planes

from ccip_batch.cube.planes.header import STOKES_NUMBERS
from ccip_batch.cube.planes.plane import find_planes
from ccip_batch.cube.planes.search import selected_groups
from ccip_batch.errors import DataError

SOURCES = (Source(48, 40, 1.0, 0.2, 60.0, 0.3, v=0.05),)


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    """Planes of spw 2, 3, 9, 10 and 17; 3 is rejected."""
    return write_planes(tmp_path / "planes", SOURCES)


def test_planes_in_order_of_frequency_with_what_their_headers_say(planes: Path) -> None:
    write_plane(planes, "14_15", Sky(SOURCES), frequency=3.6e9, rms=False)
    found = find_planes(planes)
    assert [plane.group for plane in found] == ["2", "3", "9", "10", "14_15", "17"]
    assert [plane.group for plane in found if plane.rejected] == ["3"]
    assert [plane.group for plane in found if plane.rms is None] == ["14_15"]
    first, several = found[0], found[4]
    assert first.imagename == NAME and first.frequency == FREQUENCIES[2] and first.shape == (96, 96)
    assert several.spws == [14, 15] and several.stokes == "IQU"
    assert first.beam.minor_deg == pytest.approx(first.header["BMIN"])
    assert [plane.group for plane in find_planes(planes, spws=["14, 15", "9"])] == ["9", "14_15"]
    with pytest.raises(DataError, match="no plane of spw 4"):
        find_planes(planes, spws=["9", "4"])


@pytest.mark.parametrize(("kind", "letters"), [("IQU", "IQU"), ("V", "V")])
def test_pixels_of_each_stokes_parameter(planes: Path, kind: str, letters: str) -> None:
    plane = next(plane for plane in find_planes(planes, kind) if plane.group == "9")
    with fits.open(plane.path) as hdus:
        first = int(hdus[0].header["CRVAL4"])
        for letter in letters:
            data = hdus[0].data[STOKES_NUMBERS[letter] - first, 0]
            assert np.array_equal(plane.read(letter), data, equal_nan=True)
    rms = plane.read_rms(letters[0])
    assert rms is not None and np.nanmax(rms) == np.float32(2e-3)


@pytest.mark.parametrize("history", [True, False])
def test_the_position_before_its_correction(planes: Path, history: bool) -> None:
    path = next(planes.glob("*.spw2.IQU.*.tt0.subim.fits"))
    with fits.open(path, mode="update") as hdus:
        hdus[0].header.update({"ZD": 50.0, "OBSRA": CENTRE[0], "OBSDEC": CENTRE[1]})
        if not history:
            del hdus[0].header["HISTORY"]
    plane = find_planes(planes)[0]
    assert plane.nominal == pytest.approx(CENTRE, abs=1e-11)
    assert abs(plane.header["CRVAL2"] - CENTRE[1]) * 3600 == pytest.approx(0.17 * (3e9 / plane.frequency) ** 2)


def test_groups_as_users_write_them() -> None:
    there = {"2", "3_4", "5", "6", "7_8"}
    assert selected_groups(["2", "3,4", "5, 6", "7_8"], there) == ["2", "3_4", "5", "6", "7_8"]
    assert selected_groups(["2,3_4,5", "6", "2"], there) == ["2", "3_4", "5", "6"]


def test_squares_in_one_folder(planes: Path) -> None:
    other = write_plane(planes, 5, Sky(SOURCES), name=NAME.replace("J005000", "J005400"))
    with pytest.raises(DataError, match="2 images"):
        find_planes(planes)
    other.unlink()
    write_plane(planes, 5, Sky(SOURCES), centre=(13.5, -2.5))
    with pytest.raises(DataError, match="different squares"):
        find_planes(planes)


def test_a_run_folder(planes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.move(planes, run / "products")
    assert [plane.group for plane in find_planes(run)] == ["2", "3", "9", "10", "17"]


@pytest.mark.filterwarnings("ignore:File may have been truncated")  # one was
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:20000]), "cut short"),
        (lambda path: path.write_text("no FITS"), "not a FITS file"),
        (lambda path: fits.setval(path, "CRVAL3", value=0.0), "not a frequency"),
        (lambda path: fits.setval(path, "BMAJ", value="wide"), "BMAJ"),
        (lambda path: fits.delval(path, "CRPIX1"), "CRPIX1"),
        (lambda path: fits.setval(path, "CTYPE3", value="VRAD"), "axes"),
        (lambda path: fits.setval(path, "CDELT2", value=1e-3), "cells"),
        (lambda path: fits.setval(path, "CRVAL3", value=FREQUENCIES[2]), "same frequency"),
    ],
)
def test_bad_planes(planes: Path, spoil: object, message: str) -> None:
    spoil(next(planes.glob("*.spw9.IQU.*.tt0.subim.fits")))  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        find_planes(planes)


def test_a_folder_without_planes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no plane"):
        find_planes(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        find_planes(tmp_path / "nowhere")
