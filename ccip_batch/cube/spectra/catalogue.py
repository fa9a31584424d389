"""Positions on the sky, as people write them and as catalogues have them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Table

from ccip_batch.cube.spectra.table_texts import read_table
from ccip_batch.errors import DataError

_RA = ("ra", "raj2000", "ra_icrs", "_raj2000", "ra_deg", "alpha_j2000")
_DEC = ("dec", "dej2000", "de_icrs", "_dej2000", "dec_deg", "delta_j2000", "decj2000")
_NAME = ("name", "source_name", "component_name", "source", "id", "object")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_PARTS = re.compile(r"[-+]?\d+[\s:]+\d+([\s:]+[\d.]+)?")
"""Two or three numbers, without letters that say what they are."""
_WITH_UNIT = re.compile(r"(?P<name>.*?)[\s_]*[\[(](?P<unit>[^\[\]()]+)[\])]")
_UNITS = {
    "deg": units.deg, "degree": units.deg, "degrees": units.deg, "degs": units.deg, "°": units.deg, "d": units.deg,
    "h": units.hourangle, "hr": units.hourangle, "hour": units.hourangle, "hours": units.hourangle,
    "hourangle": units.hourangle, "rad": units.rad, "radian": units.rad, "radians": units.rad,
    "arcmin": units.arcmin, "arcsec": units.arcsec, "mas": units.mas,
}  # fmt: skip
"""Units by the names that catalogues give them, in lower case."""
_SEXAGESIMAL = re.compile(r"[\"']?(h\W*m\W*s|d\W*m\W*s|sexagesimal|hms|dms|hh\W*mm\W*ss.*|dd\W*mm\W*ss.*)[\"']?")
_MOST_TOLD = 10
_AS = "Give degrees, or 13:33:35.8 +16:44:04"


@dataclass(frozen=True)
class Position:
    """A place on the sky, ICRS, degrees."""

    name: str
    ra: float
    dec: float


def parse_position(ra: str, dec: str) -> Position:
    """A position from degrees (`203.4 16.7`) or sexagesimal (`13:33:35.8 +16:44:04`, hours and degrees).

    Raises DataError if it is not a position.
    """
    try:
        place = _checked(_degrees(ra, units.hourangle), _degrees(dec, units.deg))
    except ValueError as error:
        raise DataError(f"Not a position: {ra!r} {dec!r} ({error}). {_AS}.") from error
    return Position(_compact(*place), *place)


def read_catalogue(path: Path) -> list[Position]:
    """Positions from a table (ECSV, CSV, FITS, VOTable): columns ra and dec (degrees or with units), perhaps a name.

    Raises DataError if the file is not a table or lacks these columns, and with the numbers of all rows that have no
    position.
    """
    table = read_table(path)
    columns = _columns(table, path)
    ra, dec = (_first(columns, names) for names in (_RA, _DEC))
    if ra is None or dec is None:
        there = ", ".join(map(str, table.colnames))
        raise DataError(f"{path.name}: no columns ra and dec (ICRS); it has {there}. Rename them, or add a header.")
    if not len(table):
        raise DataError(f"{path.name}: the table has no rows.")
    readers = [_Cells(table, column, path) for column in (ra, dec)]
    found = _first(columns, _NAME)
    names = _Cells(table, found, path) if found else None
    positions, wrong = [], []
    for row in range(len(table)):
        name = _plain(names.text(row)) if names else ""
        try:
            place = _checked(readers[0].degrees(row, units.hourangle), readers[1].degrees(row, units.deg))
        except ValueError as error:
            wrong.append(f"row {row + 1}{f' ({name})' if name else ''} has no position: {error}")
        else:
            positions.append(Position(name or _compact(*place), *place))
    if wrong:
        more = f" and {len(wrong) - _MOST_TOLD} more" if len(wrong) > _MOST_TOLD else ""
        raise DataError(f"{path.name}: {'; '.join(wrong[:_MOST_TOLD])}{more}. {_AS}, or remove the row.")
    return positions


class _Cells:
    """The cells of a column, as text or as angles."""

    def __init__(self, table: Table, column: tuple[str, str], path: Path) -> None:
        """column: its name, and the unit that stands in its name, if one does."""
        name, unit = column
        self._column = table[name]
        given = unit or str(getattr(self._column, "unit", None) or "")
        self._parts = given if _SEXAGESIMAL.fullmatch(given.strip().lower()) else ""
        self._unit = None if self._parts else _unit(given, f"{path.name}: column {name}")

    def text(self, row: int) -> str:
        """A cell as text; nothing if it is masked."""
        value = self._column[row]
        if np.ma.is_masked(value):
            return ""
        value = getattr(value, "value", value)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value).strip()

    def degrees(self, row: int, sexagesimal: units.Unit) -> float:
        """A cell as an angle. sexagesimal: the unit of what has three parts. Raises ValueError if it is none."""
        text = self.text(row)
        if self._parts and _NUMBER.fullmatch(text):
            raise ValueError(f"{text} is one number, but the unit of its column is {self._parts}")
        if self._unit is not None and _NUMBER.fullmatch(text):
            return float((float(text) * self._unit).to_value(units.deg))
        if self._unit not in (None, sexagesimal) and _PARTS.fullmatch(text):
            raise ValueError(f"{text[:40]!r} has parts, but the unit of its column is {self._unit}, not {sexagesimal}")
        return _degrees(text, sexagesimal)


def _unit(given: str, column: str) -> units.Unit | None:
    """A column's unit; None if none is given. Raises DataError if it is no angle."""
    text = given.strip().strip("\"'")
    if found := re.fullmatch(r"Angle\[(.*)\]", text, re.IGNORECASE):
        text = found[1]
    if not text:
        return None
    try:
        unit = _UNITS.get(text.lower()) or units.Unit(text)
        (1 * unit).to_value(units.deg)
    except (ValueError, TypeError, AttributeError, units.UnitsError):
        known = "deg, hourangle, rad, arcmin, arcsec, or hms and dms"
        raise DataError(f"{column} is in {given!r}, which is not an angle. Its unit is one of {known}.") from None
    return unit


def _degrees(text: str, sexagesimal: units.Unit) -> float:
    """An angle in degrees, from a number of degrees or from hours or degrees, minutes, seconds. Raises ValueError."""
    text = text.strip().replace("\N{MINUS SIGN}", "-")
    if not text or text.lower() in ("nan", "--", "null", "none", "masked"):
        raise ValueError("a coordinate is empty")
    if _NUMBER.fullmatch(text):
        return float(text)
    if not any(letter in "0123456789" for letter in text):  # other digits would make a number of degrees one of hours
        raise ValueError(f"{text[:40]!r} is not an angle")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of 60 seconds, which is the next minute
            return float(Angle(text, unit=sexagesimal).deg)
    except Exception as error:  # its parser raises several kinds
        raise ValueError(f"{text[:40]!r} is not an angle") from error


def _checked(ra: float, dec: float) -> tuple[float, float]:
    """Right ascension from 0 to 360, and declination. Raises ValueError if they are out of range."""
    if not -180 <= ra <= 360:
        raise ValueError(f"right ascension {ra:g} deg is not from 0 to 360 deg")
    if not -90 <= dec <= 90:
        raise ValueError(f"declination {dec:g} deg is not from -90 to 90 deg")
    return ra % 360, dec


def _columns(table: Table, path: Path) -> dict[str, tuple[str, str]]:
    """Columns by name in lower case and without a unit, and the unit. Raises DataError if two have one name."""
    columns: dict[str, tuple[str, str]] = {}
    for column in table.colnames:
        text = column.strip().lstrip("\ufeff#").strip()
        found = _WITH_UNIT.fullmatch(text)
        key = re.sub(r"\s+", "_", (found["name"] if found else text).lower())
        if key in columns and key in (*_RA, *_DEC, *_NAME):
            raise DataError(f"{path.name}: {columns[key][0]} and {column} are one name. Rename one of the columns.")
        columns[key] = (column, found["unit"] if found else "")
    return columns


def _first(columns: dict[str, tuple[str, str]], names: Sequence[str]) -> Any:
    return next((columns[name] for name in names if name in columns), None)


def _plain(name: str) -> str:
    """A name in one line, of characters that can be shown."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(name.split()))[:200]


def _compact(ra: float, dec: float) -> str:
    tenths = round(ra * 2400) % 864000  # of a second of time: what is rounded up to 24 h is 0 h
    place = SkyCoord(tenths / 2400, dec, unit=units.deg)
    text = place.ra.to_string(unit=units.hourangle, sep="", precision=1, pad=True)
    return str(f"J{text}" + place.dec.to_string(sep="", precision=0, alwayssign=True, pad=True))
