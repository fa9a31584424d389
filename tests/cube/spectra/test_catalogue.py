"""Tables of positions as people, spreadsheets and archives write them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ccip_batch.cube.spectra.catalogue import parse_position, read_catalogue
from ccip_batch.errors import DataError

PLAIN = "name,ra,dec\nA,203.4,16.7\n"
VOTABLE = """<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
<FIELD name="ra" datatype="double" unit="Angle[deg]"/><FIELD name="dec" datatype="double" unit="degrees"/>
<DATA><TABLEDATA><TR><TD>203.4</TD><TD>16.7</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf" + PLAIN.encode(), b"\xef\xbb\xbf# a comment\n" + PLAIN.encode(),
        f"# {'名' * 999}\n{PLAIN}".encode("utf-16"), PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"), PLAIN.encode("utf-16-be"),
        PLAIN.replace("\n", "\r\n").encode(), PLAIN.replace("\n", "\r").encode(), PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(), PLAIN.replace(",", " | ").encode(), PLAIN.replace(",", "  ").encode(),
        b"sep=;\r\nname;ra;dec\r\nA;203.4;16.7\r\n", b"# a comment, of two parts\n\n" + PLAIN.encode(),
        b" Source Name , RA , Dec \n A , 203.4 , 16.7 \n", b"name,RA [deg],DEC (deg)\nA,203.4,16.7\n",
        b"name,ra,dec\nA,13:33:36,+16:42:00\n", b"name,ra,dec\nA,13h33m36s,+16d42m00s\n",
        b"name,ra,dec\nA,13 33 36,16 42 00\n", b"name,ra[hourangle],dec\nA,13.56,16.7\n",
        b"name,ra,dec,\nA,203.4,16.7,\n",
    ],
)  # fmt: skip
def test_a_text_in_any_form(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(raw)
    (place,) = read_catalogue(path)
    assert place.name == "A" and (place.ra, place.dec) == pytest.approx((203.4, 16.7))


def test_a_mark_before_an_ecsv_table(tmp_path: Path) -> None:
    head = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: ra, unit: rad, datatype: float64}\n"
    path = tmp_path / "t.ecsv"
    path.write_text(f"\ufeff{head}# - {{name: dec, unit: dms, datatype: string}}\nra dec\n3.0 +16:42:00\n")
    assert (read_catalogue(path)[0].ra, read_catalogue(path)[0].dec) == pytest.approx((np.degrees(3.0), 16.7))


@pytest.mark.parametrize("unit", ["DEGREE", "degrees", "deg", "Angle[deg]", "h", "hourangle", "rad", "mas"])
def test_units_as_fits_tables_have_them(tmp_path: Path, unit: str) -> None:
    size = {"h": 15, "hourangle": 15, "rad": np.degrees(1), "mas": 1 / 3.6e6}.get(unit, 1)
    columns = [fits.Column("RA", "D", unit=unit, array=[3.0]), fits.Column("DEC", "D", unit="DEGREE", array=[16.7])]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    assert (read_catalogue(tmp_path / "t.fits")[0].ra) == pytest.approx(3.0 * size)


def test_units_of_votables(tmp_path: Path) -> None:
    (tmp_path / "t.vot").write_text(VOTABLE)
    assert read_catalogue(tmp_path / "t.vot")[0].ra == 203.4
    (tmp_path / "t.vot").write_text(VOTABLE.replace("<TD>203.4</TD>", "<TD></TD>"))
    with pytest.raises(DataError, match="row 1 has no position: a coordinate is empty"):
        read_catalogue(tmp_path / "t.vot")


@pytest.mark.parametrize(
    ("unit", "says"),
    [("Jy", "column RA is in 'Jy', which is not an angle"), ("hms", "row 1 has no position: 3.0 is one")],
)
def test_units_that_do_not_fit(tmp_path: Path, unit: str, says: str) -> None:
    columns = [fits.Column("RA", "D", unit=unit, array=[3.0]), fits.Column("DEC", "D", array=[16.7])]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    with pytest.raises(DataError, match=re.escape(says)):
        read_catalogue(tmp_path / "t.fits")


def test_all_rows_without_a_position_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("name,ra,dec\nA,,16.7\nB,203,95\nC,400,3\nD,203,4\n,x,y\nF,13:75:00,3\nG,nan,1\n")
    with pytest.raises(DataError) as caught:
        read_catalogue(tmp_path / "t.csv")
    for told in ("row 1 (A)", "row 2 (B) has no position: declination 95", "row 3 (C)", "row 5 ", "row 6", "row 7"):
        assert told in str(caught.value)
    assert "row 4" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,ra,dec\nA,203,4,5\n", "row 1 has 4 cells, but there are 3 columns"),
        ('name,ra,dec\n"A,203,4\n', "unexpected end of data"),
        ("ra,RA,dec\n1,2,3\n", "ra and RA are one name"),
        ("", "it is empty"),
        ("ra,dec\n", "has no rows"),
        ("ra;dec\n203,4;16,7\n", "row 1 has no position: '203,4' is not an angle"),
        (
            "ra [deg],dec [deg]\n13:33:35,16:44:04\n",
            "'13:33:35' has parts, but the unit of its column is deg, not hour",
        ),
        ("ra,dec [arcmin]\n13 33 35,16 44 04\n", "'16 44 04' has parts, but the unit of its column is arcmin"),
        ("ra,dec\n\uff11\uff13,2\n", "is not an angle"),
    ],
)
def test_what_is_no_catalogue(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(says)):
        read_catalogue(tmp_path / "t.csv")


def test_text_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("name,ra,dec\né,203,4\n".encode("latin-1"))
    with pytest.raises(DataError, match="not text in UTF-8 or UTF-16; save it as UTF-8"):
        read_catalogue(tmp_path / "t.csv")


def test_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('name,ra,dec\n,203.4,16.7\n" a/b\n$x^{\x07",203.4,16.7\n007,203.4,16.7\n')
    assert [place.name for place in read_catalogue(tmp_path / "t.csv")] == ["J133336.0+164200", "a/b $x^{?", "007"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_text("name,ra,dec\né,203.4,16.7\n", encoding=encoding)
    assert read_catalogue(tmp_path / "t.csv")[0].name == "é"


def test_a_name_from_a_place_that_is_rounded_up_to_a_full_turn() -> None:
    assert parse_position("359.99999", "-0.00001").name == "J000000.0-000000"
    assert parse_position("24:00:00", "0").name == "J000000.0+000000"
