from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from skies import FREQUENCIES, Sky, write_plane

from ccip_batch.cube.beams import GaussianBeam
from ccip_batch.cube.convolve import nominal_grid
from ccip_batch.cube.planes.plane import Plane, find_planes
from ccip_batch.cube.write import (
    CubeFile,
    add_history,
    base_header,
    beam_table,
    free_space,
    frequency_table,
    put,
)


@pytest.fixture
def planes(tmp_path: Path) -> list[Plane]:
    folder = tmp_path / "planes"
    folder.mkdir()
    write_plane(folder, 2, Sky(header={"DATE-OBS": "2020-08-05T10:00:00", "DATE-END": "2020-08-05T10:30:00Z"}))
    write_plane(folder, "3_4", Sky(), frequency=FREQUENCIES[3], rejected=True)
    return find_planes(folder)


@pytest.mark.parametrize(("stokes", "number"), [("I", 1.0), ("U", 3.0), ("V", 4.0)])
def test_the_header_has_what_the_planes_share(planes: list[Plane], stokes: str, number: float) -> None:
    header = base_header(planes, nominal_grid(planes), stokes)
    assert (header["CTYPE4"], header["CRVAL4"], header["VLASSPL"]) == ("STOKES", number, stokes)
    assert (header["NAXIS1"], header["NAXIS2"]) == (96, 96)
    assert header["VLASSSPW"] == "2~4" and header["VLASSRJ"] is True
    assert (header["OBJECT"], header["BUNIT"], header["TELESCOP"]) == ("J005000-023000", "Jy/beam", "EVLA")
    assert header["CRVAL1"] == pytest.approx(12.501525, abs=1e-10)  # the nominal position
    assert "BMAJ" not in header


def test_dates_are_the_earliest_and_the_latest_without_a_time_zone(planes: list[Plane]) -> None:
    header = base_header(planes, nominal_grid(planes), "I")
    assert header["DATE-OBS"] == "2020-08-05T10:00:00" and header["DATE-END"] == "2020-08-05T10:53:43.8"


def cube_of(path: Path, planes: list[Plane], images: np.ndarray) -> CubeFile:
    header = base_header(planes, nominal_grid(planes), "I")
    header["NAXIS1"], header["NAXIS2"], header["NAXIS3"] = images.shape[::-1]
    return CubeFile(path, header)


@pytest.mark.parametrize("shape", [(2, 30, 40), (3, 7, 5), (1, 24, 30)])
def test_a_cube_written_plane_by_plane_is_valid_to_its_checksums(
    planes: list[Plane], tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    images = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    images[0, 0, 0] = np.nan
    path = tmp_path / "cube.fits"
    with cube_of(path, planes, images) as cube:
        for image in images:
            cube.append(image)
            assert not path.exists()
        cube.finish([frequency_table(np.array([2e9, 3e9]))])
        cube.put()
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyWarning)
        with fits.open(path, checksum=True) as hdus:
            hdus.verify("exception")
            assert np.array_equal(hdus[0].data[0], images, equal_nan=True)
            assert hdus["WCS-TAB"].data["FREQ"].ravel().tolist() == [2e9, 3e9]
            assert hdus["WCS-TAB"].data["FREQ"].shape == (1, 2, 1)
    assert path.stat().st_size % 2880 == 0


@pytest.mark.filterwarnings("ignore:Datasum verification failed")  # what astropy says after the warning looked for
def test_a_changed_pixel_shows_in_the_checksum(planes: list[Plane], tmp_path: Path) -> None:
    path = tmp_path / "cube.fits"
    with cube_of(path, planes, np.zeros((1, 8, 8))) as cube:
        cube.append(np.ones((8, 8), np.float32))
        cube.finish()
        cube.put()
    content = bytearray(path.read_bytes())
    content[-2880] ^= 1
    path.write_bytes(content)
    with pytest.warns(AstropyWarning, match="Checksum verification failed"), fits.open(path, checksum=True) as hdus:
        assert hdus[0].data is not None


def test_what_is_left_in_the_middle_has_no_name(planes: list[Plane], tmp_path: Path) -> None:
    path = tmp_path / "cube.fits"
    with pytest.raises(KeyboardInterrupt), cube_of(path, planes, np.zeros((2, 8, 8))) as cube:
        cube.append(np.ones((8, 8), np.float32))
        raise KeyboardInterrupt
    assert [entry.name for entry in tmp_path.iterdir()] == ["planes"]


def test_free_space_is_that_of_the_file_system(tmp_path: Path) -> None:
    before = free_space(tmp_path)
    assert before > 0 and free_space(tmp_path / "..") == pytest.approx(before, rel=0.5)


def test_what_a_plane_leaves_out_is_filled_in(tmp_path: Path) -> None:
    write_plane(tmp_path, 2, Sky(header={"OBJECT": "  "}))
    header = base_header(find_planes(tmp_path), nominal_grid(find_planes(tmp_path)), "I")
    assert (header["OBJECT"], header["SPECSYS"], header["VELREF"]) == ("J005000-023000", "LSRK", 1)


def test_a_comment_has_the_words_that_its_card_has_room_for() -> None:
    header = fits.Header()
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyWarning)
        put(header, "VLASSPC", "J2000 13:33:35.814 +16.44.04.255", "VLASS phase centre of this square degree")
        put(header, "SHORT", 2.0, "fits")
        put(header, "LONG", "x" * 65, "no room")
        assert header.tostring() and header.comments["VLASSPC"] == "VLASS phase centre of this square"
    assert header.comments["SHORT"] == "fits" and header.comments["LONG"] == ""


def test_history_is_folded_at_words() -> None:
    header = fits.Header()
    add_history(header, "Planes lie beside the axis; " * 6)
    lines = list(header["HISTORY"])
    assert 1 < len(lines) < 6 and all(len(line) <= 72 for line in lines)
    assert " ".join(lines) == ("Planes lie beside the axis; " * 6).strip()
    add_history(header, f"{'In the mosaic of the square with the name of the sources of'} J005000-023000 gr\u00fcn")
    assert header["HISTORY"][-1] == "J005000-023000 gr\\xfcn"


def test_the_beam_table_is_that_of_casa() -> None:
    table = beam_table([GaussianBeam(1e-3, 8e-4, -10.0), GaussianBeam(9e-4, 8e-4, 20.0)])
    assert (table.name, table.ver, table.header["NCHAN"], table.header["NPOL"]) == ("BEAMS", 1, 2, 1)
    assert table.columns.names == ["BMAJ", "BMIN", "BPA", "CHAN", "POL"]
    assert table.columns.units == ["arcsec", "arcsec", "deg", "", ""]
    assert table.data["BMAJ"] == pytest.approx([3.6, 3.24]) and table.data["BPA"].tolist() == [-10, 20]
    assert table.data["CHAN"].tolist() == [0, 1] and table.data["POL"].tolist() == [0, 0]
