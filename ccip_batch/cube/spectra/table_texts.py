"""Tables in files: FITS, VOTable, ECSV, and CSV as people and spreadsheets write it, in any common encoding and with
any common separator."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import warnings
from collections.abc import Iterable
from pathlib import Path

from astropy.table import Table

from ccip_batch.errors import DataError

FORMATS = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable", ".xml": "votable", ".csv": "ascii.csv"}
"""Table formats by the ending of the file's name."""
_SEPARATORS = ",;\t|"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
"""The longer ones come first: that of UTF-32 begins as that of UTF-16 does."""


def read_table(path: Path) -> Table:
    """A table in the format that the ending of its name tells; all cells of a CSV file are text: 007 is a name.

    Raises DataError if there is none, or it cannot be read as such a table.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise DataError(f"{path}: a table's name ends in {', '.join(FORMATS)}.")
    if not path.is_file():
        raise DataError(f"{path} {'is not a file' if path.exists() else 'is not there'}. Name a table.")
    try:
        with warnings.catch_warnings():  # of units and of headers; what matters of them is told by who reads the cells
            warnings.simplefilter("ignore")
            if form == "ascii.csv":
                return _csv_table(_text(path))
            return Table.read(_text(path).splitlines() if form == "ascii.ecsv" else path, format=form)
    except OSError as error:
        why = error.strerror or str(error)
    except Exception as error:  # each reader raises its own kinds
        why = str(error)
    raise DataError(f"{path} is not a table that can be read ({next(iter(why.splitlines()), '')[:200]}).")


def _text(path: Path) -> str:
    """The text of a file. Raises ValueError if it is none."""
    raw = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    half = raw[:2000]
    if encoding == "utf-8" and 3 * half.count(b"\0") > len(half):  # half of the bytes of plain text in UTF-16
        encoding = "utf-16-le" if half.count(b"\0") == half[1::2].count(b"\0") else "utf-16-be"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8 or UTF-16; save it as UTF-8") from None


def _csv_table(text: str) -> Table:
    """The table in a text. Raises ValueError if its rows do not fit its columns."""
    lines = io.StringIO(text, newline=None).read().split("\n")
    start = next((number for number, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    separator = ""
    if lines[start : start + 1] and lines[start].lower().startswith("sep=") and len(lines[start]) == 5:
        separator, start = lines[start][4], start + 1  # spreadsheets write this line, and read it
    if start == len(lines):
        raise ValueError("it is empty")
    rows = _rows(lines[start:], separator or _separator(lines[start]))
    names = [name.strip() for name in next(rows)]
    while names and not names[-1]:  # a separator at the end of the line
        names.pop()
    body = []
    for number, row in enumerate(rows, 1):
        if len(row) > len(names) and any(cell.strip() for cell in row[len(names) :]):
            raise ValueError(f"row {number} has {len(row)} cells, but there are {len(names)} columns")
        body.append([cell.strip() for cell in [*row, *[""] * len(names)][: len(names)]])
    columns = [list(column) for column in zip(*body, strict=True)] or [[] for _ in names]
    return Table(columns, names=names, dtype=[str] * len(names) if not body else None)


def _rows(lines: Iterable[str], separator: str) -> itertools.filterfalse[list[str]]:
    """The rows; lines that are empty are none."""
    stripped = (line.strip(" ") for line in lines) if separator == " " else lines
    parts = csv.reader((f"{line}\n" for line in stripped), delimiter=separator, skipinitialspace=True, strict=True)
    return itertools.filterfalse(lambda row: not row or (len(row) == 1 and not row[0].strip()), parts)


def _separator(header: str) -> str:
    """What is between the names of the columns; blanks if nothing else is."""
    best = max(_SEPARATORS, key=header.count)
    return best if best in header else (" " if " " in header.strip() else ",")
