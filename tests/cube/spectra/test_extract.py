"""Spectra at positions."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable, Table
from click.testing import CliRunner
from helpers.small_disks import small_disk
from skies import CELL, CENTRE, FREQUENCIES, Sky, Source, cut, sky_wcs, slant, write_plane

from ccip_batch.cli import main
from ccip_batch.cube.spectra.catalogue import Position, parse_position, read_catalogue
from ccip_batch.cube.spectra.extract import extract
from ccip_batch.cube.spectra.measure import Photometry
from ccip_batch.cube.spectra.output import check_out, plot, write_tables
from ccip_batch.errors import DataError, says_disk_is_full

SOURCE = Source(60.3, 40.6, 0.2, 0.15, 40.0, 0.5, 0.02)
PLACE = Position(
    "S", CENTRE[0] - (SOURCE.x - 48) * CELL / np.cos(np.radians(CENTRE[1])), CENTRE[1] + (SOURCE.y - 48) * CELL
)


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    folder = tmp_path / "planes"
    folder.mkdir()
    for spw in (2, 9, 17):
        write_plane(folder, spw, Sky([SOURCE], noise=1e-4), rejected=spw == 9)
    return folder


@pytest.mark.parametrize("common", [False, True])
def test_a_source_between_pixels(planes: Path, common: bool) -> None:
    table = extract(planes, [PLACE], Photometry(in_common_beam=common))
    assert list(table["spw"]) == ["2", "9", "17"] and list(table["state"]) == ["kept", "rejected", "kept"]
    for row in table:
        for stokes, truth in SOURCE.stokes(FREQUENCIES[int(row["spw"])]).items():
            assert row[stokes] == pytest.approx(truth, abs=5e-4 + 0.004 * abs(truth))
    errors = table["Q_err"] / 1e-4
    assert errors == pytest.approx([1, 1.44, 1.92] if common else [1, 1, 1], rel=0.02)


@pytest.mark.parametrize("measure", ["value", "gaussian"])
def test_a_rejected_plane_with_a_larger_beam_is_blank_in_the_common_beam(planes: Path, measure: str) -> None:
    write_plane(planes, 9, Sky([SOURCE], noise=1e-4), rejected=True, beam=(8 / 3600, 6 / 3600, 20.0))
    told: list[str] = []
    table = extract(planes, [PLACE], Photometry(measure, in_common_beam=True), warn=told.append)
    assert list(table["spw"]) == ["2", "9", "17"] and np.isfinite(table["I"]).tolist() == [True, False, True]
    assert any("spw 9 are blank" in line for line in told)
    assert np.isfinite(extract(planes, [PLACE], Photometry(measure))["I"]).all()


def test_blank_and_absent_values(planes: Path) -> None:
    for path in planes.glob("*.spw9.V.*"):
        path.unlink()
    next(planes.glob("*.spw17.IQU.*.rms.*")).unlink()
    edge = Position("edge", CENTRE[0], CENTRE[1] - 47 * CELL)
    table = extract(planes, [PLACE, edge])
    assert np.isnan(table["V"][1]) and np.isfinite(table["V"][0])
    assert np.isnan(table["I_err"][2]) and np.isfinite(table["V_err"][2])
    assert np.isnan(table["I"][3:]).all()
    with pytest.raises(DataError, match="outside all planes"):
        extract(planes, [Position("far", 200.0, 10.0)])


def test_what_has_no_value_or_no_error_is_told(planes: Path) -> None:
    next(planes.glob("*.spw17.IQU.*.rms.*")).unlink()
    told: list[str] = []
    extract(planes, [PLACE, Position("edge", CENTRE[0], CENTRE[1] - 47 * CELL)], warn=told.append)
    assert told == [
        "No rms image for spw 17 IQU: errors are blank (NaN) there. Put the .rms files there too.",
        "no value in any plane: edge",
    ]
    for path in planes.glob("*.IQU.*.rms.*"):
        path.unlink()
    extract(planes, [PLACE], warn=told.append)
    assert told[-1] == "without errors: the rms images are blank or not there: S"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["12.5", "-2.5"], "Put --, after all options, before a position with a negative declination: -- 203.4 -16.6"),
        (["12.5", "-.5"], "before a position with a negative declination"),
        (["--", "12.5", "-2.5", "--out", "a.csv"], "Give RA and DEC, or --catalogue; options go before --."),
        (["12.5", "--catalogue", "a.csv"], "Give RA and DEC, or --catalogue."),
        (["12.5", "2.5", "--mesure", "peak"], "No such option"),
    ],
)
def test_words_that_are_no_position(planes: Path, words: list[str], says: str) -> None:
    done = CliRunner().invoke(main, ["extract", str(planes), *words])
    assert done.exit_code == 2 and says in done.output


@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize(
    "files", ["*.IQU.*.tt0.subim.fits", "*.V.*.tt0.subim.fits", "*.tt0.rms.subim.fits", "*.spw9.*"]
)
def test_each_file_is_read_at_its_own_pixels(planes: Path, files: str, common: bool) -> None:
    """Some files are cut, their companions are not."""
    for path in planes.glob("*.rms.*"):
        slant(path)
    whole = extract(planes, [PLACE], Photometry(in_common_beam=common))
    for path in planes.glob(files):
        cut(path, slice(5, 80), slice(14, 95))
    part = extract(planes, [PLACE], Photometry(in_common_beam=common))
    for stokes in "IQUV":
        assert part[stokes] == pytest.approx(whole[stokes], abs=2e-4)  # the noise around is cut off, too
        assert part[f"{stokes}_err"] == pytest.approx(whole[f"{stokes}_err"])


def test_a_position_in_some_of_the_files(planes: Path) -> None:
    for path in (*planes.glob("*.IQU.*.tt0.subim.fits"), *planes.glob("*.V.*.rms.*")):
        cut(path, slice(50, 90), slice(5, 90))
    table = extract(planes, [PLACE])
    assert np.isnan(table["I"]).all() and np.isnan(table["I_err"]).all() and np.isnan(table["V_err"]).all()
    assert table["V"] == pytest.approx([SOURCE.flux * SOURCE.v] * 3, abs=5e-4)


@pytest.mark.parametrize("dec", [89.995, -89.995])
def test_a_source_across_the_pole(tmp_path: Path, dec: float) -> None:
    write_plane(tmp_path, 2, Sky([SOURCE], noise=1e-4), centre=(0.001, dec))
    ra, dec = (float(value) for value in sky_wcs((0.001, dec)).all_pix2world(SOURCE.x, SOURCE.y, 0))
    table = extract(tmp_path, [Position("S", ra, dec)])
    for stokes, truth in SOURCE.stokes(FREQUENCIES[2]).items():
        assert table[stokes][0] == pytest.approx(truth, abs=5e-4 + 0.004 * abs(truth))


@pytest.mark.parametrize("name", ["t.ecsv", "t.fits", "t.vot", "t.csv"])
def test_tables_and_catalogues_in_each_format(planes: Path, tmp_path: Path, name: str) -> None:
    table = extract(planes, [PLACE])
    write_tables({tmp_path / name: table})
    read = Table.read(tmp_path / name)
    assert np.allclose(read["I"], table["I"]) and len(read) == 3
    places = read_catalogue(tmp_path / name)
    assert places[0].name == "S" and places[0].ra == pytest.approx(PLACE.ra, abs=1e-9)
    with pytest.raises(DataError, match="exists"):
        write_tables({tmp_path / name: table})


def test_units_and_names_of_catalogues(tmp_path: Path) -> None:
    from astropy import units

    QTable({"RAJ2000": [3.0] * units.hourangle, "DEJ2000": [-60.0] * units.arcmin}).write(tmp_path / "a.ecsv")
    place = read_catalogue(tmp_path / "a.ecsv")[0]
    assert (place.ra, place.dec) == pytest.approx((45.0, -1.0)) and place.name == "J030000.0-010000"
    (tmp_path / "b.csv").write_text("Name,RA,Dec\nx,00:50:00.4,-02:30:00\n")
    place = read_catalogue(tmp_path / "b.csv")[0]
    assert (place.name, place.ra, place.dec) == ("x", pytest.approx(12.501667, abs=1e-6), -2.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,2\n", "no columns ra and dec"), ("ra,dec\n", "no rows"), ("ra,dec\n1,north\n", "row 1 has no position")],
)
def test_bad_catalogues(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_catalogue(tmp_path / "c.csv")
    with pytest.raises(DataError, match="name ends in"):
        read_catalogue(tmp_path / "c.txt")


def test_positions_as_people_write_them() -> None:
    for ra, dec in (("12.5", "-2.5"), ("00:50:00", "-02:30:00"), ("0h50m0s", "-2d30m")):
        place = parse_position(ra, dec)
        assert (place.ra, place.dec) == pytest.approx((12.5, -2.5))
    with pytest.raises(DataError, match="Not a position"):
        parse_position("10", "95")


def test_the_plot(planes: Path, tmp_path: Path) -> None:
    table = extract(planes, [PLACE, Position("T", *CENTRE)])
    plot(table, tmp_path / "spectra.png")
    assert (tmp_path / "spectra.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(DataError, match="cannot be written"):
        plot(table, tmp_path / "spectra.xyz")


def test_a_position_outside_is_left_out_with_a_warning(planes: Path) -> None:
    told: list[str] = []
    table = extract(planes, [Position("far", 200.0, 10.0), PLACE], warn=told.append)
    assert set(table["name"]) == {"S"} and told == ["left out: far (200.000000 +10.000000) lies outside all planes"]


def test_rows_of_one_name_have_panels_of_their_own(planes: Path, tmp_path: Path) -> None:
    name = "$\\frac{1$ é"  # no formula
    table = extract(planes, [Position(name, PLACE.ra, PLACE.dec), Position(name, PLACE.ra, PLACE.dec + CELL)])
    write_tables({tmp_path / "t.ecsv": table}, tmp_path / "t.svg")
    assert (tmp_path / "t.svg").read_text().count("axes_") == 8
    with pytest.raises(DataError, match=r"A \.fits table cannot hold these spectra .* Choose an \.ecsv file"):
        write_tables({tmp_path / "t.fits": table})
    assert sorted(path.name for path in tmp_path.glob("*t.*")) == ["t.ecsv", "t.svg"]


def test_outputs_are_judged_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "dir.ecsv").mkdir()
    for out, picture, says in (
        (tmp_path / "dir.ecsv", None, "is a folder; name a file"),
        (tmp_path / "a.ecsv", tmp_path / "dir.ecsv", "is a folder; name a file"),
        (tmp_path / "a.ecsv", tmp_path / "a.txt", "the plot cannot be written"),
        (tmp_path / "a.ecsv", tmp_path / "a.png", "a plot has at most 200 positions, not 5000"),
    ):
        with pytest.raises(DataError, match=says):
            check_out([out], picture, overwrite=True, positions=5000)


def test_a_full_disk_leaves_nothing(planes: Path, tmp_path: Path) -> None:
    """So that the same command can be given again."""
    disk = small_disk(tmp_path / "disk", kilobytes=64)
    table = extract(planes, [PLACE])[[0, 1, 2] * 400]
    with disk, pytest.raises(OSError) as caught:
        write_tables({tmp_path / "disk" / "t.ecsv": table})
    assert says_disk_is_full(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_files_are_opened_once_for_all_positions(planes: Path, packed: bool) -> None:
    """However many there are; and what is read is the same in a file of gzip."""
    opened: list[str] = []
    sys.addaudithook(lambda event, words: opened.append(str(words[0])) if event == "open" else None)
    many = [Position(f"{n}", PLACE.ra, PLACE.dec + (n - 20) * CELL) for n in range(40)]
    whole = extract(planes, many)
    if packed:
        for path in planes.glob("*.fits"):
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
            path.unlink()
    counts = []
    for positions in ([PLACE], many):
        opened.clear()
        table = extract(planes, positions)
        counts.append(sorted(path for path in opened if path.startswith(str(planes))))
    assert counts[0] == counts[1] and len(counts[0]) > 12
    for stokes in "IQUV":
        assert np.array_equal(table[stokes], whole[stokes], equal_nan=True)
