"""The mean V image."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from skies import FREQUENCIES, Sky, Source, cut, write_plane

from ccip_batch.cube.planes.plane import find_planes
from ccip_batch.cube.vmean import mean_v, mean_v_name, mean_v_of
from ccip_batch.errors import DataError


def v_file(folder: Path, spw: int) -> Path:
    return next(folder.glob(f"*.spw{spw}.V.iter3.image.pbcor.tt0.subim.fits"))


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    folder = tmp_path / "planes"
    folder.mkdir()
    beam = (3.5 / 3600, 3.0 / 3600, 20.0)  # the same, so that a flat patch keeps its value in Jy/beam
    for spw in (2, 5, 9, 12, 16, 17):
        write_plane(folder, spw, Sky([Source(48, 48, 1.0, v=0.1)], correct=False), rejected=spw == 16, beam=beam)
    # One value of each pixel far too high, one far too low, in planes that differ.
    with fits.open(v_file(folder, 5), mode="update") as hdus:
        hdus[0].data[0, 0, 20:30, 20:30] = 100
    with fits.open(v_file(folder, 12), mode="update") as hdus:
        hdus[0].data[0, 0, 60:70, 20:30] = -100
    return folder


def test_extremes_and_rejected_planes_are_left_out(planes: Path, tmp_path: Path) -> None:
    path = mean_v_of(planes, tmp_path / "out")
    assert path.name == "VLASS2.1.cc.T10t02.J005000-023000.06.2048.V_mean_minmaxrej.subim.fits"
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        image, header = hdus[0].data[0, 0], hdus[0].header
    assert image[48, 48] == pytest.approx(0.1, rel=1e-3)
    assert np.nanmax(np.abs(image[20:70, 20:30])) < 1e-3
    assert header["NPLANES"] == 5 and header["NREJ"] == 1 and header["CRVAL4"] == 4
    assert header["VLASSPL"] == "V" and header["VLASSSPW"] == "2,5,9,12,17"
    assert header["CRVAL3"] == pytest.approx(np.mean([FREQUENCIES[spw] for spw in (2, 5, 9, 12, 17)]))
    history = "\n".join(header["HISTORY"])
    assert "spw 12" in history and "spw 16" not in history
    subprocess.run([Path(sys.executable).with_name("fitscheck"), path], check=True)


def test_an_object_comes_from_the_name_and_more_keywords_from_the_caller(tmp_path: Path) -> None:
    write_plane(tmp_path, 2, Sky([Source(48, 48, v=0.1)], header={"OBJECT": ""}))
    path = mean_v_of(tmp_path, tmp_path / "out", cards={"CCIPVER": ("1.0", "Version of ccip_batch")})
    with warnings.catch_warnings(), fits.open(path, checksum=True) as hdus:
        warnings.simplefilter("error")
        header = hdus[0].header
        assert hdus[0].verify_checksum() == hdus[0].verify_datasum() == 1
    assert header["OBJECT"] == "J005000-023000" and header["CCIPVER"] == "1.0"
    assert header["RESTFRQ"] == header["CRVAL3"] == FREQUENCIES[2]
    assert all(len(line) <= 72 for line in header["HISTORY"]) and len(header["HISTORY"]) == 3


@pytest.mark.parametrize(
    ("imagename", "name"),
    [
        ("VLASS2.1.cc.T10t02.J005000-023000.06.2048.v1", "VLASS2.1.cc.T10t02.J005000-023000.06.2048"),
        ("VLASS2.1.cc.T10t02.J005000-023000.06.2048.v12", "VLASS2.1.cc.T10t02.J005000-023000.06.2048"),
        ("my.v1.image", "my.v1.image"),
    ],
)
def test_the_name_has_no_version(imagename: str, name: str) -> None:
    assert mean_v_name(imagename) == f"{name}.V_mean_minmaxrej.subim.fits"


def test_fewer_than_four_values_are_a_plain_mean(planes: Path, tmp_path: Path) -> None:
    kept = find_planes(planes, "V", ["2", "5", "9"])
    mean_v(kept, tmp_path / "mean.fits")
    assert fits.getdata(tmp_path / "mean.fits")[0, 0, 25, 25] == pytest.approx(100 / 3, rel=0.01)


def test_blank_pixels_count_nowhere(planes: Path, tmp_path: Path) -> None:
    for spw, value in ((2, 0.3), (9, 0.6), (17, np.nan), (5, np.nan), (12, np.nan)):
        with fits.open(v_file(planes, spw), mode="update") as hdus:
            hdus[0].data[0, 0, 70:90, 50:90] = value
    mean_v_of(planes, tmp_path)
    assert fits.getdata(next(tmp_path.glob("*.fits")))[0, 0, 80, 70] == pytest.approx(0.45, rel=0.01)


def test_planes_of_which_some_are_cut(planes: Path, tmp_path: Path) -> None:
    whole = fits.getdata(mean_v_of(planes, tmp_path / "whole"))[0, 0]
    for spw, columns in ((2, slice(40, 90)), (17, slice(0, 60))):
        cut(v_file(planes, spw), slice(30, 80), columns)
    path = mean_v_of(planes, tmp_path / "part")
    assert fits.getheader(path)["CRPIX1"] == 49
    part = fits.getdata(path)[0, 0]
    assert part.shape == whole.shape and np.nanmax(np.abs(part - whole)[32:78, 42:58]) < 1e-6
    assert part[48, 48] == pytest.approx(0.1, rel=1e-3)


def test_no_kept_plane_and_no_overwriting(tmp_path: Path) -> None:
    write_plane(tmp_path, 2, Sky(), rejected=True)
    with pytest.raises(DataError, match="Every V plane is rejected"):
        mean_v_of(tmp_path, tmp_path / "out")
    write_plane(tmp_path, 3, Sky(noise=1e-3))
    mean_v_of(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="exists"):
        mean_v_of(tmp_path, tmp_path / "out")
