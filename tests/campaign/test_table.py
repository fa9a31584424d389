"""The table of squares: what is read from it, in all its forms, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table
from astropy.time import Time

from ccip_batch.campaign.table import find_square, read_table
from ccip_batch.errors import CcipError, ConfigError, DataError
from ccip_batch.job.problems import Problem

ROWS = "name,tile,priority,imaging.niter,note\na1,T16t21,,100,x\n007,,5,,\nVLASS2.1.cc.T10t02.J0+1,,0,,\n"


def write(folder: Path, text: str, name: str = "campaign.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_text(text, encoding=encoding)
    return folder / name


def squares(path: Path) -> list[tuple[str, str, int, int]]:
    return [(one.name, one.tile, one.priority, one.row) for one in read_table(path, []).squares]


def test_squares_come_by_priority_then_as_in_the_table(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    assert squares(path) == [("007", "007", 5, 2), ("a1", "T16t21", 0, 1), ("VLASS2.1.cc.T10t02.J0+1", "T10t02", 0, 3)]
    assert read_table(path, []).squares[1].cells == {
        "name": "a1",
        "tile": "T16t21",
        "imaging.niter": "100",
        "note": "x",
    }
    assert read_table(path, []).unused == ["note"]


@pytest.mark.parametrize("name", ["t.ecsv", "t.fits", "t.vot", "t.xml"])
def test_every_form_of_table_gives_the_same_squares(tmp_path: Path, name: str) -> None:
    niter = MaskedColumn([100, 0], name="imaging.niter", mask=[False, True])
    table = Table(
        [["a1", "b2"], ["T16t21", "T10t02"], [0, 7], niter], names=("name", "tile", "priority", "imaging.niter")
    )
    form = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable", ".xml": "votable"}[Path(name).suffix]
    table.write(tmp_path / name, format=form)
    assert squares(tmp_path / name) == [("b2", "T10t02", 7, 2), ("a1", "T16t21", 0, 1)]
    first, second = read_table(tmp_path / name, []).squares
    assert "imaging.niter" not in first.cells and second.cells["imaging.niter"] == "100"


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert squares(write(tmp_path, "name\na\n", encoding="utf-8-sig")) == [("a", "a", 0, 1)]


def test_nodes_of_the_outer_dag_have_names_that_dagman_takes(tmp_path: Path) -> None:
    (square,) = read_table(write(tmp_path, "name\nVLASS2.1.T10t02.J0+1\n"), []).squares
    assert square.node == "VLASS2_1_T10t02_J0p1"


@pytest.mark.parametrize(
    ("row", "column", "wrong"),
    [
        ("../x,,", "name", "'../x' is not a name"),
        (",,", "name", "'' is not a name"),
        ("'; rm -rf x,,", "name", "is not a name"),
        ("good,..,", "tile", "'..' is not a tile"),
        ("good,a/b,", "tile", "'a/b' is not a tile"),
        ("good,,high", "priority", "'high' is not a whole number"),
        ("first.yaml,,", "name", "cannot be a name"),
        ("x.LOG,,", "name", "cannot be a name"),
        ("Parent,,", "name", "cannot be a name"),
        ("FIRST,,", "name", "FIRST is also the name of row 1"),
    ],
)
def test_a_wrong_row_is_named_with_its_column(tmp_path: Path, row: str, column: str, wrong: str) -> None:
    path = write(tmp_path, f"name,tile,priority\nfirst,,\n{row}\nlast,,\n")
    problems: list[Problem] = []
    assert [one.name for one in read_table(path, problems).squares] == ["first", "last"]
    (problem,) = problems
    assert "row 2" in problem.where and problem.key == column and wrong in problem.wrong and problem.right


@pytest.mark.parametrize(
    ("name", "text", "kind", "says"),
    [
        ("t.csv", "tile\nT1\n", ConfigError, "no column `name`; it has tile"),
        ("t.csv", "name\n", ConfigError, "has no rows"),
        ("t.csv", "", DataError, "is not a table"),
        ("t.fits", "no fits", DataError, "is not a table"),
        ("t.xlsx", "x", ConfigError, "its name ends otherwise"),
        ("t.ecsv", "name\na\n", DataError, "is not a table"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, name: str, text: str, kind: type[CcipError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        read_table(write(tmp_path, text, name), [])


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        read_table(tmp_path / "t.csv", [])


def test_a_square_is_found_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, "name,priority\na,1\nb,x\n")
    assert find_square(path, "a").row == 1
    with pytest.raises(ConfigError, match="is not a whole number"):
        find_square(path, "b")
    with pytest.raises(ConfigError, match="has no square c"):
        find_square(path, "c")


def test_numbers_of_a_fits_table_are_read_as_they_are_written(tmp_path: Path) -> None:
    Table({"name": np.array(["a"]), "imaging.nsigma": np.array([4.5])}).write(tmp_path / "t.fits")
    assert read_table(tmp_path / "t.fits", []).squares[0].cells["imaging.nsigma"] == "4.5"


def test_columns_that_are_no_arrays_are_text(tmp_path: Path) -> None:
    table = Table({"name": ["a"]})
    table["where"], table["when"] = SkyCoord([1], [2], unit="deg"), Time(["2020-01-01"])
    table.write(tmp_path / "t.ecsv", format="ascii.ecsv")
    cells = read_table(tmp_path / "t.ecsv", []).squares[0].cells
    assert cells["name"] == "a" and cells["when"].startswith("2020-01-01")
