"""`cube --rm`: the maps are what RM-Tools' own programs give, and what was put into the planes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner
from skies import NAME, Sky, Source, write_plane
from test_rm_synthesis import rm_tools

from ccip_batch.cli import main
from ccip_batch.cube.cubes import CubeResult, Options, make_cube
from ccip_batch.cube.faraday import FaradayMaps, FaradayOptions, faraday_maps
from ccip_batch.cube.faraday_headers import MAPS
from ccip_batch.cube.faraday_pictures import draw, keep, kept
from ccip_batch.errors import DataError

NOISE = 1e-3
SPWS = (2, 3, 5, 8, 10, 11, 13, 14, 16, 17)
SIZE = 48
SOURCES = [
    Source(14, 14, 0.1, 0.2, -120.0, 0.4),
    Source(33, 14, 0.1, 0.15, 5.0, -1.0),
    Source(14, 33, 0.2, 0.2, 260.0, 1.2),
    Source(33, 33, 0.1, 0.002, 40.0, 0.0),
]
"""The last is too weak in polarised light."""
HALF_BLANK = slice(24, None)
"""Columns that are blank in spw 3 and 16."""


def values(maps: FaradayMaps, name: str) -> np.ndarray:
    return np.asarray(fits.getdata(maps.paths[name]))


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> CubeResult:
    folder = tmp_path_factory.mktemp("faraday")
    for spw in SPWS:
        path = write_plane(folder, spw, Sky(SOURCES, noise=NOISE, beam_pixels=5, size=SIZE, border=2))
        if spw in (3, 16):
            with fits.open(path, mode="update") as hdus:
                hdus[0].data[..., HALF_BLANK] = np.nan
    return make_cube(folder, folder / "cubes", Options(interpolation="exact"))


@pytest.fixture(scope="module")
def maps(cubes: CubeResult) -> FaradayMaps:
    return faraday_maps(cubes, FaradayOptions(workers=1))


def test_maps_have_what_was_put_in(maps: FaradayMaps) -> None:
    for source in SOURCES[:3]:
        at = int(source.y), int(source.x)
        found = {name: values(maps, name)[at] for name in MAPS}
        assert abs(found["RM"] - source.rm) < 3 * found["RM_error"] < 30
        assert abs(found["P"] - source.flux * source.fraction) < 3 * found["P_error"] < 3e-3
        off = (found["angle"] - np.degrees(source.angle) + 90) % 180 - 90
        assert abs(off) < 3 * found["angle_error"] < 20
        assert found["snr"] == pytest.approx(found["P"] / found["P_error"], rel=0.01)


def test_maps_are_blank_below_the_wanted_signal(maps: FaradayMaps) -> None:
    snr = values(maps, "snr")
    assert np.isnan(snr[30:37, 30:37]).all() and np.isnan(snr[:2]).all()
    assert np.nanmin(snr) >= 7 and maps.pixels == np.isfinite(snr).sum() > 60
    for name in MAPS:
        assert (np.isfinite(values(maps, name)) == np.isfinite(snr)).all()


def test_a_pixel_that_is_blank_in_some_channels_has_the_noise_of_the_others(
    cubes: CubeResult, maps: FaradayMaps
) -> None:
    noise = np.loadtxt(cubes.noise)
    without = np.array([channel.group in ("3", "16") for channel in cubes.channels])
    everything, others = (1 / np.sqrt(np.nansum(1 / noise[keep] ** 2)) for keep in (slice(None), ~without))
    error = values(maps, "P_error")
    assert error[14, 14] == pytest.approx(everything, rel=1e-5)
    assert error[14, 33] == pytest.approx(others, rel=1e-5) != pytest.approx(everything, rel=0.05)


def test_the_maps_of_several_processes_are_the_same(cubes: CubeResult, maps: FaradayMaps, tmp_path: Path) -> None:
    kept = {name: values(maps, name).copy() for name in MAPS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ccip_batch.cube.faraday._STRIP_PIXELS", SIZE * 17)
        told: list[str] = []
        again = faraday_maps(cubes, FaradayOptions(workers=2, overwrite=True), told.append)
    assert told[-1] == f"Faraday depth: {SIZE} of {SIZE} rows, {maps.pixels} pixels with a peak"
    assert len(told) == 3
    for name in MAPS:
        assert np.array_equal(values(again, name), kept[name], equal_nan=True)
    assert np.array_equal(again.previews["RM"], kept["RM"], equal_nan=True)


def test_maps_are_those_of_the_programs_of_rm_tools(cubes: CubeResult, tmp_path: Path) -> None:
    """Left of where channels are blank: right of it, the programs take the noise of all channels, as they would count
    the blank channels of a linear axis for the error of the angle."""
    planes = cubes.cubes["Q"].parents[1]
    cubes = make_cube(planes, tmp_path / "cubes", Options(interpolation="exact", axis="table"))
    maps = faraday_maps(cubes, FaradayOptions(workers=1))
    tools = Path(rm_tools())
    for stokes, path in cubes.cubes.items():
        (tmp_path / f"{stokes}.fits").symlink_to(path)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    more = ["-n", str(cubes.noise), "-w", "variance"]
    for words in (
        ["rmsynth3d", "Q.fits", "U.fits", str(cubes.frequencies), *more, "-l", "500", "-d", "5", "-o", "rm_"],
        ["rmtools_peakfitcube", "rm_FDF_tot_dirty.fits", str(cubes.frequencies), "./rm_", *more],
    ):
        subprocess.run([tools / words[0], *words[1:]], cwd=tmp_path, env=environment, check=True, capture_output=True)
    here = np.isfinite(values(maps, "snr"))
    here[:, HALF_BLANK] = False
    assert here.sum() > 30
    theirs = {key: np.squeeze(fits.getdata(tmp_path / f"rm_{one.rm_tools}.fits")) for key, one in MAPS.items()}
    for key in ("RM", "RM_error", "P", "P_error", "angle_error", "snr"):
        assert values(maps, key)[here] == pytest.approx(theirs[key][here], rel=1e-4), key
    assert np.abs((values(maps, "angle") - theirs["angle"] + 90) % 180 - 90)[here].max() < 0.05


def test_headers(cubes: CubeResult, maps: FaradayMaps) -> None:
    cube = fits.getheader(cubes.cubes["Q"])
    for name, one in MAPS.items():
        with fits.open(maps.paths[name], checksum=True) as hdus:
            hdus.verify("exception")
            header = hdus[0].header
        assert header["NAXIS"] == 2 and header["BUNIT"] == one.unit
        assert not [key for key in header if re.match(r"(CTYPE|CRVAL|PS|PV)[34]", key)]
        assert header["BMAJ"] == cube["BMAJ"] and header["OBJECT"] == cube["OBJECT"]
        wcs, sky = WCS(header), WCS(cubes.channels[0].plane.header).celestial  # type: ignore[union-attr]
        assert wcs.naxis == 2 and wcs.wcs.ctype[0] == sky.wcs.ctype[0]
        assert wcs.wcs.crval[0] == cube["CRVAL1"] and wcs.wcs.crpix[1] == cube["CRPIX2"]
    assert header["NCHAN"] == len(SPWS)
    assert "Highest peak of the Faraday depth spectrum of each pixel" in " ".join(header["HISTORY"])


def test_the_command(tmp_path: Path) -> None:
    planes = tmp_path / "planes"
    planes.mkdir()
    for spw in (2, 9, 10, 17):
        write_plane(planes, spw, Sky(SOURCES, noise=NOISE, size=SIZE))
    words = ["cube", str(planes), "--out", str(tmp_path / "cubes"), "--rm", "--rm-snr", "9", "--blank-missing"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    for name in MAPS:
        assert str(tmp_path / "cubes" / f"{NAME}.{name}.map.fits") in done.output
    assert np.nanmin(fits.getdata(tmp_path / "cubes" / f"{NAME}.snr.map.fits")) >= 9
    for path in (tmp_path / "cubes").glob("*.cube.fits"):
        path.unlink()
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 11 and "already has" in done.output and "--overwrite" in done.output
    assert not list((tmp_path / "cubes").glob("*.cube.fits"))


def test_without_rm_tools_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plane(tmp_path, 2, Sky(SOURCES, size=SIZE))
    monkeypatch.setitem(sys.modules, "RMutils", None)
    monkeypatch.setitem(sys.modules, "RMutils.util_RM", None)
    done = CliRunner().invoke(main, ["cube", str(tmp_path), "--out", str(tmp_path / "cubes"), "--rm"])
    assert done.exit_code == 11 and "pip install 'ccip-batch[rm]'" in done.output
    assert not (tmp_path / "cubes").exists()


def test_too_few_channels(tmp_path: Path) -> None:
    for spw in (2, 17):
        write_plane(tmp_path, spw, Sky(SOURCES, noise=NOISE, size=SIZE))
    write_plane(tmp_path, 9, Sky(SOURCES, noise=NOISE, size=SIZE), rejected=True)
    words = ["cube", str(tmp_path), "--out", str(tmp_path / "cubes"), "--rm"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 11 and "at least 3" in done.output and not (tmp_path / "cubes").exists()
    with pytest.raises(DataError, match=r"noise\.txt has 2 channel"):
        faraday_maps(make_cube(tmp_path, tmp_path / "cubes"))


def test_options_of_the_maps_need_maps(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["cube", str(tmp_path), "--out", str(tmp_path / "cubes"), "--rm-snr", "9"])
    assert done.exit_code == 2 and "give --rm too" in done.output


def test_pictures(maps: FaradayMaps, tmp_path: Path) -> None:
    for folder in ("beside", "kept"):
        (tmp_path / folder).mkdir()
    pictures = draw(maps, tmp_path / "beside")
    assert [picture.file for picture in pictures] == [f"{NAME}.{name}.map.png" for name in ("RM", "P")]
    assert f"Rotation measure (rad/m2) of {maps.pixels} pixels with a polarised S/N of 7 or more" in pictures[0].words
    assert all((tmp_path / "beside" / picture.file).stat().st_size > 5000 for picture in pictures)
    keep(pictures, tmp_path / "beside", tmp_path / "kept")
    assert kept(tmp_path / "kept") == pictures
    keep(pictures[:1], tmp_path / "beside", tmp_path / "kept")  # those of before are replaced
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [pictures[0].file, "pictures.json"]
    (tmp_path / "kept" / pictures[0].file).unlink()
    assert kept(tmp_path / "kept") == kept(tmp_path) == []


def test_pictures_of_large_maps_show_the_brightest_pixels(cubes: CubeResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccip_batch.cube.faraday._PREVIEW_SIDE", 12)  # blocks of four pixels
    small = faraday_maps(cubes, FaradayOptions(workers=1, overwrite=True))
    p, rm = values(small, "P"), values(small, "RM")
    assert small.previews["P"].shape == (12, 12)
    block = np.nan_to_num(p[12:16, 12:16])
    y, x = np.unravel_index(np.argmax(block), block.shape)
    assert small.previews["P"][3, 3] == block[y, x] and small.previews["RM"][3, 3] == rm[12 + y, 12 + x]
