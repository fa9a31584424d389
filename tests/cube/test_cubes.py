"""Cubes of a known sky, and of planes that do not go together."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from helpers.simulated_runs import ccip_batch
from numpy.typing import NDArray
from skies import FREQUENCIES, Sky, Source, beam_at, cut, sky_wcs, slant, write_plane, write_planes

from ccip_batch.cube.beams import GaussianBeam, common_beam, parse_beam
from ccip_batch.cube.convolve import Transfer, nominal_grid, shift_of
from ccip_batch.cube.cubes import CubeResult, Options, make_cube
from ccip_batch.cube.planes.plane import celestial, find_planes
from ccip_batch.errors import DataError, ExitCode

SOURCES = (Source(48, 40, 1.0, 0.2, 60.0, 0.3), Source(30, 62, 0.5))


def frequencies_in(path: Path) -> NDArray[np.float64]:
    """What astropy's WCS says of every plane."""
    with fits.open(path) as hdus, warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        wcs = WCS(hdus[0].header, hdus)
        count = hdus[0].header["NAXIS3"]
        return np.array(wcs.all_pix2world(0, 0, np.arange(count), 0, 0)[2])


def data_of(result: CubeResult, stokes: str) -> NDArray[np.float32]:
    return np.array(fits.getdata(result.cubes[stokes])[0])


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    """Planes of spw 2, 3, 9, 10 and 17; 3 is rejected."""
    return write_planes(tmp_path / "planes", SOURCES)


@pytest.mark.parametrize("interpolation", ["linear", "exact"])
def test_a_source_has_its_place_and_flux_in_every_channel(tmp_path: Path, interpolation: str) -> None:
    for spw in (2, 7, 17):
        write_plane(tmp_path, spw, Sky(SOURCES, beam_pixels=9))
    result = make_cube(tmp_path, tmp_path / "out", Options(axis="table", interpolation=interpolation))
    # Linear interpolation lowers a peak by half of f (1 - f) x the curvature; the largest shift here is 0.62 pixels.
    loss = 0.02 if interpolation == "linear" else 1e-5
    for channel, spw in enumerate((2, 7, 17)):
        for source in SOURCES:
            for stokes in "IQU":
                truth = source.stokes(FREQUENCIES[spw])[stokes]
                image = data_of(result, stokes)[channel]
                assert image[int(source.y), int(source.x)] == pytest.approx(truth, abs=loss * source.flux)
        rows, columns = np.mgrid[-3:4, -3:4]
        box = data_of(result, "I")[channel][40 - 3 : 40 + 4, 48 - 3 : 48 + 4]
        middle = np.array([(box * columns).sum(), (box * rows).sum()]) / box.sum()
        assert np.abs(middle).max() < 0.01


def test_the_common_beam_set_of_the_reference(case_a: Path) -> None:
    planes = find_planes(case_a)
    grid = nominal_grid(planes)
    compared = 0
    for plane in planes:
        com = plane.path.with_name(plane.path.name.replace(".subim.fits", ".subim.com.fits"))
        if not com.exists():
            continue
        with fits.open(com) as hdus:
            header, wanted = hdus[0].header, hdus[0].data[:, 0]
            beam = GaussianBeam(header["BMAJ"], header["BMIN"], header["BPA"])
            transfer = Transfer(plane.beam, beam, plane.shape, grid, shift_of(plane.wcs, grid), "linear")
            for index, stokes in enumerate("IQU"):
                made = transfer.apply(plane.read(stokes))
                assert np.array_equal(np.isnan(made), np.isnan(wanted[index]))
                assert np.nanmax(np.abs(made - wanted[index])) < 2e-4 * np.nanmax(np.abs(wanted[index]))
        compared += 1
    assert compared == 2


def test_the_cube_of_the_reference(case_a: Path, tmp_path: Path) -> None:
    beam = common_beam([plane.beam for plane in find_planes(case_a)])
    result = make_cube(case_a, tmp_path, Options(beam=beam, axis="table"))
    for channel, group in ((0, "2"), (3, "17")):
        com = next(case_a.glob(f"*.spw{group}.IQU.*.com.fits"))
        for index, stokes in enumerate("IQU"):
            wanted = fits.getdata(com)[index, 0]
            made = data_of(result, stokes)[channel]
            assert np.nanmax(np.abs(made - wanted)) < 1e-3 * np.nanmax(np.abs(wanted))
    assert fits.getheader(result.cubes["I"])["CRVAL2"] == pytest.approx(fits.getheader(com)["CRVAL2"], abs=1e-9)


def test_frequencies_states_and_beams(planes: Path, tmp_path: Path) -> None:
    result = make_cube(planes, tmp_path / "out", Options(axis="table"))
    kept = [FREQUENCIES[spw] for spw in (2, 9, 10, 17)]
    for path in result.cubes.values():
        assert np.allclose(frequencies_in(path), kept, rtol=1e-12)
    assert np.allclose(np.loadtxt(result.frequencies), kept, rtol=1e-12)
    with fits.open(result.cubes["Q"]) as hdus:
        table, header = hdus["PLANES"].data, hdus[0].header
        assert list(table["SPW"]) == ["2", "9", "10", "17"] and set(table["STATE"]) == {"kept"}
        assert table["BMAJ"] == pytest.approx([beam_at(f, Sky())[0] for f in kept])
        assert table["RMS"] == pytest.approx([2e-3] * 4, rel=1e-6)
        assert table["WEIGHT"] == pytest.approx(table["RMSCUBE"] ** -2)
        assert header["BMAJ"] == pytest.approx(result.beam.major_deg) and header["CRVAL4"] == 2
        assert header["VLASSSPW"] == "2,9~10,17" and header["VLASSRJ"] is False and header["OBJECT"] == "J005000-023000"
        assert header["DATE-OBS"] == "2020-08-05T10:13:08.85" and header["DATE-END"] == "2020-08-05T10:53:43.8"


def test_noise_in_the_cube_is_what_the_pixels_have(planes: Path, tmp_path: Path) -> None:
    result = make_cube(planes, tmp_path / "out", Options(beam=parse_beam("6,5.5,0"), axis="table"))
    table = fits.getdata(result.cubes["Q"], "PLANES")
    image = data_of(result, "Q")
    for channel in range(4):
        sky = image[channel, 10:30, 10:90]  # beside the sources
        assert np.std(sky) == pytest.approx(table["RMSCUBE"][channel], rel=0.35)
    assert np.all(table["RMSCUBE"][1:] > table["RMS"][1:])  # in Jy/beam, noise grows with the beam
    u = fits.getdata(result.cubes["U"], "PLANES")["RMSCUBE"]
    assert np.loadtxt(result.noise) == pytest.approx((table["RMSCUBE"] + u) / 2, rel=1e-5)


def test_blank_planes_for_missing_and_rejected_ones(planes: Path, tmp_path: Path) -> None:
    result = make_cube(planes, tmp_path / "out", Options(blank_missing=True))
    assert np.allclose(frequencies_in(result.cubes["U"]), list(FREQUENCIES.values()), rtol=1e-12)
    states = {channel.group: channel.state for channel in result.channels}
    assert states["2"] == "kept" and states["3"] == "rejected" and states["4"] == "missing" and len(states) == 16
    blank = np.isnan(data_of(result, "I")).all(axis=(1, 2))
    assert list(blank) == [channel.plane is None for channel in result.channels] and blank.sum() == 12


def test_a_missing_plane_alone_changes_no_other(planes: Path, tmp_path: Path) -> None:
    whole = make_cube(planes, tmp_path / "whole", Options(beam=parse_beam("6,5.5,0"), axis="table"))
    next(planes.glob("*.spw9.IQU.*.tt0.subim.fits")).unlink()
    part = make_cube(planes, tmp_path / "part", Options(beam=parse_beam("6,5.5,0"), axis="table"))
    assert np.array_equal(data_of(part, "Q"), data_of(whole, "Q")[[0, 2, 3]], equal_nan=True)
    assert np.allclose(frequencies_in(part.cubes["Q"]), [FREQUENCIES[spw] for spw in (2, 10, 17)], rtol=1e-12)


@pytest.mark.parametrize("kept", [{2, 17}, {10}])
def test_few_planes_kept(tmp_path: Path, kept: set[int]) -> None:
    for spw in (2, 3, 10, 17):
        write_plane(tmp_path, spw, Sky(SOURCES), rejected=spw not in kept)
    result = make_cube(tmp_path, tmp_path / "out", Options(axis="table"))
    assert np.allclose(frequencies_in(result.cubes["I"]), [FREQUENCIES[spw] for spw in sorted(kept)], rtol=1e-12)
    assert data_of(result, "I").shape[0] == len(kept)


def test_all_rejected(tmp_path: Path) -> None:
    write_plane(tmp_path, 2, Sky(SOURCES), rejected=True)
    with pytest.raises(DataError, match="Every plane is rejected"):
        make_cube(tmp_path, tmp_path / "out")
    result = make_cube(tmp_path, tmp_path / "out", Options(include_rejected=True))
    assert result.channels[0].state == "rejected" and fits.getheader(result.cubes["I"])["VLASSRJ"] is True


def test_a_rejected_plane_that_widens_the_beam_is_told(planes: Path, tmp_path: Path) -> None:
    write_plane(planes, 4, Sky(SOURCES), rejected=True, beam=(3e-3, 2e-3, 0.0))
    result = make_cube(planes, tmp_path / "out")
    assert result.beams.widened_by == ("4",) and result.beams.everything.area > 2 * result.beams.kept.area
    assert any("spw 4 widen" in line for line in result.warnings)
    assert result.beam.major_deg < 1.01 * beam_at(FREQUENCIES[2], Sky())[0]


def test_planes_of_different_size(tmp_path: Path) -> None:
    write_plane(tmp_path, 2, Sky(SOURCES, size=96))
    write_plane(tmp_path, 9, Sky(SOURCES, size=98))
    result = make_cube(tmp_path, tmp_path / "out", Options(interpolation="exact"))
    cube = data_of(result, "I")
    assert cube.shape == (2, 98, 98)
    assert np.isnan(cube[0, 96:]).all() and np.isfinite(cube[1, 92, 50])
    assert cube[:, 40, 48] == pytest.approx([1.0, 1.0], abs=1e-4)
    assert fits.getheader(result.cubes["I"])["CRPIX1"] == 49


def test_planes_of_which_some_are_cut(planes: Path, tmp_path: Path) -> None:
    for path in planes.glob("*.rms.*"):
        slant(path)
    beam = parse_beam("6,5.5,0")
    whole = make_cube(planes, tmp_path / "whole", Options(beam=beam, axis="table"))
    cut(next(planes.glob("*.spw9.IQU.*.tt0.subim.fits")), slice(30, 80), slice(20, 90))
    cut(next(planes.glob("*.spw10.IQU.*.tt0.rms.subim.fits")), slice(30, 80), slice(20, 90))
    part = make_cube(planes, tmp_path / "part", Options(beam=beam, axis="table"))
    one, two = (data_of(result, "Q") for result in (whole, part))
    assert one.shape == two.shape and np.isfinite(two[1]).sum() == pytest.approx(50 * 70, rel=0.05)
    assert np.array_equal(two[[0, 2, 3]], one[[0, 2, 3]], equal_nan=True)
    assert np.nanmax(np.abs(one[1] - two[1])[40:70, 30:80]) < 1e-4  # beams reach over the edge
    rms = fits.getdata(part.cubes["Q"], "PLANES")["RMS"]
    assert rms[:2] == pytest.approx([2e-3 * (1 + 0.01 * 47.5 + 47.5), 2e-3 * (1 + 0.01 * 54.5 + 54.5)], rel=0.01)
    assert rms[2] == pytest.approx(rms[1])


def test_an_rms_image_of_another_place_counts_as_none(planes: Path, tmp_path: Path) -> None:
    cut(next(planes.glob("*.spw9.IQU.*.tt0.subim.fits")), slice(50, 90), slice(20, 90))
    cut(next(planes.glob("*.spw9.IQU.*.tt0.rms.subim.fits")), slice(10, 40), slice(20, 90))
    result = make_cube(planes, tmp_path / "out", Options(axis="table"))
    assert any("without an rms image" in line for line in result.warnings)
    assert np.isfinite(np.loadtxt(result.noise)).all()


@pytest.mark.parametrize(("interpolation", "loss"), [("linear", 0.02), ("exact", 2e-3)])
@pytest.mark.parametrize("dec", [89.98, -89.98])
def test_planes_beside_a_pole_lie_on_each_other(tmp_path: Path, dec: float, interpolation: str, loss: float) -> None:
    """The position corrections turn them by an angle that differs from plane to plane."""
    sources = (Source(48, 48, 1.0, 0.2, 60.0, 0.3), Source(250, 12, 0.5), Source(20, 270, 0.8))
    for spw in (2, 7, 17):
        write_plane(tmp_path, spw, Sky(sources, size=288, beam_pixels=9), centre=(359.9, dec))
    planes = find_planes(tmp_path)
    shift = shift_of(planes[0].wcs, nominal_grid(planes))
    assert shift.spread > 0.2 and shift.wcs is planes[0].wcs
    result = make_cube(tmp_path, tmp_path / "out", Options(axis="table", interpolation=interpolation))
    assert not result.warnings
    header = fits.getheader(result.cubes["I"])
    assert (header["CRVAL1"], header["CRVAL2"]) == pytest.approx((359.9, dec), abs=1e-9)
    places = sky_wcs((359.9, dec)).all_pix2world([250], [12], 0)
    assert celestial(header).all_world2pix(*places, 0) == pytest.approx(np.array([[250.0], [12.0]]), abs=1e-6)
    for channel, spw in enumerate((2, 7, 17)):
        for source in sources:
            x, y = int(source.x), int(source.y)
            image = data_of(result, "I")[channel]
            assert image[y, x] == pytest.approx(source.flux, abs=loss * source.flux)
            rows, columns = np.mgrid[-3:4, -3:4]
            box = image[y - 3 : y + 4, x - 3 : x + 4]
            middle = np.array([(box * columns).sum(), (box * rows).sum()]) / box.sum()
            assert np.abs(middle).max() < 0.01
        q = sources[0].stokes(FREQUENCIES[spw])["Q"]
        assert data_of(result, "Q")[channel, 48, 48] == pytest.approx(q, abs=loss)


def test_a_blank_pixel_stays_blank_and_spoils_nothing(tmp_path: Path) -> None:
    for spw in (2, 10):
        path = write_plane(tmp_path, spw, Sky(SOURCES, correct=False))
    before = make_cube(tmp_path, tmp_path / "before")
    with fits.open(path, mode="update") as hdus:
        hdus[0].data[:, 0, 70, 70] = np.nan
    after = make_cube(tmp_path, tmp_path / "after")
    one, two = data_of(before, "I"), data_of(after, "I")
    assert np.argwhere(np.isnan(two[1]) & ~np.isnan(one[1])).tolist() == [[70, 70]]
    assert np.nanmax(np.abs(one - two)) < 1e-3 and np.array_equal(one[0], two[0], equal_nan=True)


def test_nothing_is_overwritten_unasked(planes: Path, tmp_path: Path) -> None:
    make_cube(planes, tmp_path / "out")
    with pytest.raises(DataError, match="already has"):
        make_cube(planes, tmp_path / "out")
    make_cube(planes, tmp_path / "out", Options(overwrite=True))


def test_a_given_beam_must_hold_all(planes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold the beams of spw 2"):
        make_cube(planes, tmp_path / "out", Options(beam=parse_beam("3,3,0")))
    with pytest.raises(DataError, match="Not a beam"):
        parse_beam("3,big,0")
    with pytest.raises(DataError, match="Not a beam"):
        parse_beam("3,4,0")


def test_the_command_tells_what_it_left_out_and_all_that_it_wrote(planes: Path, tmp_path: Path) -> None:
    for more, word in ((("--axis", "table"), "left out"), (("--overwrite",), "blank")):
        done = ccip_batch("cube", planes, "--out", tmp_path / "out", *more)
        assert done.returncode == 0, done.stderr
        told = dict(line.split(": spw ")[1].split(": ") for line in done.stderr.splitlines() if line.startswith(word))
        assert told.pop("3") == "rejected (VLASSRJ = T)"
        assert told == {str(spw): "no file" for spw in (4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16)}
        assert {Path(line) for line in done.stdout.split()} == set((tmp_path / "out").iterdir())


@pytest.mark.parametrize("spws", [["2,3,17"], ["2~3", "17"], ["2", "3", "17"]])
def test_planes_are_chosen_by_their_windows(planes: Path, tmp_path: Path, spws: list[str]) -> None:
    done = ccip_batch("cube", planes, "--out", tmp_path, "--include-rejected", *(f"--spw={spw}" for spw in spws))
    assert done.returncode == 0, done.stderr
    with fits.open(next(tmp_path.glob("*.I.cube.fits"))) as hdus:
        assert [spw for spw in hdus["PLANES"].data["SPW"] if spw] == ["2", "3", "17"]
    wrong = ccip_batch("cube", planes, "--out", tmp_path / "none", "--spw", "2,4")
    assert wrong.returncode == ExitCode.DATA and "holds no plane of spw 4" in wrong.stderr


def test_a_table_of_frequencies_and_native_beams_by_option(planes: Path, tmp_path: Path) -> None:
    done = ccip_batch("cube", planes, "--out", tmp_path / "out", "--axis", "table", "--beam", "native")
    assert done.returncode == 0, done.stderr
    with fits.open(next((tmp_path / "out").glob("*.Q.cube.fits"))) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "WCS-TAB", "BEAMS", "PLANES"]
        assert hdus[0].header["CASAMBM"] is True and "BMAJ" not in hdus[0].header
        assert (hdus["BEAMS"].header["NCHAN"], hdus["BEAMS"].header["NPOL"]) == (4, 1)
        assert hdus["BEAMS"].data["BMAJ"] == pytest.approx(3600 * hdus["PLANES"].data["BMAJ"])
    wrong = ccip_batch("cube", planes, "--out", tmp_path / "none", "--beam", "natural")
    assert wrong.returncode == ExitCode.DATA and "or native" in wrong.stderr


def test_groups_of_several_windows(tmp_path: Path) -> None:
    write_plane(tmp_path, "3_4", Sky(SOURCES), frequency=(FREQUENCIES[3] + FREQUENCIES[4]) / 2)
    write_plane(tmp_path, 2, Sky(SOURCES))
    result = make_cube(tmp_path, tmp_path / "out", Options(blank_missing=True))
    assert [channel.group for channel in result.channels] == ["2", "3_4", *map(str, range(5, 18))]
    assert fits.getheader(result.cubes["I"])["CTYPE3"] == "FREQ-TAB"
    assert any("spw 3,4 (2220 MHz) is 64 MHz off" in line for line in result.warnings)
    write_plane(tmp_path, 4, Sky(SOURCES))
    with pytest.raises(DataError, match="spw 4 is in"):
        find_planes(tmp_path)


@pytest.mark.parametrize("name", ["Feld Ω", "-a*?", "x" * 190])
def test_names_of_images(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    file = write_plane(tmp_path / "in", 2, Sky([Source(48, 48)]), name=name)
    cube = make_cube(tmp_path / "in", tmp_path / "out").cubes["I"]
    with fits.open(cube) as hdus:
        assert cube.name == f"{name}.I.cube.fits" and np.nanmax(hdus[0].data) == pytest.approx(1, abs=0.05)
        assert hdus["PLANES"].data["FILE"][0] == file.name.encode("ascii", "backslashreplace").decode()


def test_of_a_plane_that_is_no_good_no_cube_is_left(planes: Path, tmp_path: Path) -> None:
    fits.setval(next(planes.glob("*.spw9.IQU.*.tt0.subim.fits")), "BMIN", value=-1.0)
    with pytest.raises(DataError, match=r"BMIN = -1\.0 is not a beam"):
        make_cube(planes, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.fits"))
