"""Whether a CASA table is whole: its files, and how long they say that they are. Read without CASA.

An interrupted copy leaves files out or cuts them short, and CASA finds that out hours later, in its own words.
`table.dat` names the storage managers of a table and its subtables; each storage manager's own file says how much there
is of its data. The layouts are casacore's (AipsIO, ColumnSet, SSMBase, ISMBase, TiledStMan, StManArrayFile). Whatever
is not as known here is passed over: CASA may read more than this module does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

REQUIRED = (
    "ANTENNA", "DATA_DESCRIPTION", "FEED", "FIELD", "FLAG_CMD", "HISTORY", "OBSERVATION", "POINTING", "POLARIZATION",
    "PROCESSOR", "SPECTRAL_WINDOW", "STATE",
)  # fmt: skip
"""The subtables that a measurement set has by its definition (version 2)."""

_MARK = b"\xbe\xbe\xbe\xbe"
_MOST = 1 << 26
"""Bytes that are read of one file at most; a `table.dat` of an image has 10 kB, one of a PIMS less than 1 MB."""
_BUCKETS_START = 512
"""Where the buckets of StandardStMan and IncrementalStMan begin in their files."""
_SUBTABLE = re.compile(rb"\x00\x00\x00(.)\./(?:\./)?(\w[\w.-]*)", re.DOTALL)
"""A keyword with a table inside of this one: the length of the text, and the text."""
_ARRAYS = re.compile(rb"\x00\x00\x00.(?=ArrayColumnDesc<)", re.DOTALL)
"""Where the description of a column of arrays begins."""
_DIRECT, _FIXED_SHAPE = 1, 4
"""Options of a column (casacore's ColumnDesc)."""
_ARRAYS_BESIDE = ("StandardStMan", "IncrementalStMan")
_WITH_FILES = ("StandardStMan", "IncrementalStMan", "StManAipsIO", "TiledShapeStMan", "TiledColumnStMan",
               "TiledCellStMan", "TiledDataStMan", "DyscoStMan")  # fmt: skip
"""Storage managers with a file `table.f<number>`; others keep nothing, or are not known here."""

Order = Literal["big", "little"]


class _UnknownError(Exception):
    """A layout that is not known here, or a file that ends too early for it."""


class _Reader:
    """Numbers and texts of a piece of a file, one after the other."""

    def __init__(self, content: bytes, order: Order = "big") -> None:
        self.content, self.order, self.at = content, order, 0

    def take(self, number: int) -> bytes:
        part = self.content[self.at : self.at + number]
        if number < 0 or len(part) < number:
            raise _UnknownError
        self.at += number
        return part

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size), self.order)

    def text(self) -> str:
        return self.take(self.number()).decode("latin-1")


def incomplete(table: Path, required: tuple[str, ...] = ()) -> list[str]:
    """What is missing of a table and of its subtables, a sentence each; empty if nothing is.

    table: its folder. required: subtables that it has, whatever its `table.dat` says.
    """
    return list(_incomplete(table, table, required, depth=0))


def _incomplete(table: Path, top: Path, required: tuple[str, ...], depth: int) -> Iterator[str]:
    def name(file: Path) -> str:
        return str(file.relative_to(top))

    main = table / "table.dat"
    try:
        content = _head(main)
        wrong = _short(main, content)
        if wrong:
            yield f"{name(main)} {wrong}"
            return
        managers, subtables = _managers(content), _subtables(content)
        for number, manager in managers.items() if not _is_one_file(table) else ():
            for file, wrong in _wrong_files(table / f"table.f{number}", manager):
                yield f"{name(file)} {wrong}"
            arrays = table / f"table.f{number}i"
            if manager in _ARRAYS_BESIDE and number in _with_arrays(content) and not arrays.is_file():
                yield f"{name(arrays)} is missing"
    except FileNotFoundError as error:
        yield f"{name(Path(error.filename))} is missing"
        return
    except OSError as error:
        yield f"{name(Path(error.filename or main))} cannot be read ({error.strerror})"
        return
    if depth < 3:  # tables in tables in tables do not occur
        for subtable in dict.fromkeys((*required, *subtables)):
            yield from _incomplete(table / subtable, top, (), depth + 1)


def _head(file: Path, start: int = 0, most: int = _MOST) -> bytes:
    with file.open("rb") as source:
        source.seek(start)
        return source.read(most)


def _short(file: Path, content: bytes) -> str:
    """What is wrong with a file that is one AipsIO object in big-endian order; empty if it is as long as it says."""
    size = file.stat().st_size
    if not size:
        return "is empty"
    if len(content) < 8 and _MARK.startswith(content[:4]):
        return f"is cut short: it has {size} bytes"
    if content[:4] != _MARK:
        return "is damaged: it does not begin as a file of a CASA table does"
    return _too_short(size, 4 + int.from_bytes(content[4:8]))


def _too_short(size: int, needed: int) -> str:
    if size >= needed:
        return ""
    return f"is cut short: it has {size} bytes of {needed}" if size else "is empty"


def _managers(content: bytes) -> dict[int, str]:
    """The storage managers of a table by number, from its `table.dat`; none if it is laid out in another way."""
    reader = _Reader(content)
    try:
        reader.take(8)
        if reader.text() != "Table":
            return {}
        wide = 8 if reader.number() >= 3 else 4  # how many bytes a number of rows takes
        reader.take(wide + 4)
        if reader.text() != "PlainTable":
            return {}
        description = int.from_bytes(reader.content[reader.at : reader.at + 4])
        reader.take(description)
        version = -int.from_bytes(reader.take(4), signed=True)
        if version not in (2, 3):
            return {}
        reader.take(8 if version == 3 else 0)  # where the data are: see `_is_one_file`
        reader.take(wide + 4)
        count = reader.number()
        found = {}
        for _ in range(min(count, 1000)):
            manager = reader.text()
            found[reader.number()] = manager
        return found
    except _UnknownError:
        return {}


def _with_arrays(content: bytes) -> set[int]:
    """The numbers of storage managers that have columns of arrays of varying shape, from `table.dat`.

    StandardStMan and IncrementalStMan keep these in a file of their own, which is there also if there are no rows.
    """
    numbers = set()
    for match in _ARRAYS.finditer(content):
        reader = _Reader(content[match.start() :])
        try:
            kind = reader.text()
            reader.take(4)
            column = reader.text().encode("latin-1")
            for _ in range(3):  # comment, storage manager's type and name
                reader.text()
            reader.take(4)
            fixed = reader.number() & (_DIRECT | _FIXED_SHAPE)
        except _UnknownError:
            continue
        bound = len(column).to_bytes(4) + column + b"\x00\x00\x00\x01"  # the last occurrence is in the list of columns
        at = content.rfind(bound) + len(bound)
        if not fixed and "String" not in kind and at >= len(bound):
            numbers.add(int.from_bytes(content[at : at + 4]))
    return numbers


def _is_one_file(table: Path) -> bool:
    """Whether all storage managers of a table share one file (casacore's MultiFile), which few tables have."""
    return any((table / name).exists() for name in ("table.mf", "table.mfh5"))


def _subtables(content: bytes) -> list[str]:
    """The names of the tables that keywords of a table name, and that are in its own folder."""
    return [
        match[2].decode() for match in _SUBTABLE.finditer(content) if match[1][0] == match.end() - match.start() - 4
    ]


def _wrong_files(file: Path, manager: str) -> Iterator[tuple[Path, str]]:
    """Files of one storage manager that are missing or too short, and what is wrong. file: its `table.f<number>`."""
    if manager not in _WITH_FILES:
        return
    content = _head(file, most=1 << 20)
    size = file.stat().st_size
    if not size:
        yield file, "is empty"
        return
    check: Mapping[str, Callable[[Path, bytes], int]] = {
        "StandardStMan": _standard_size,
        "IncrementalStMan": _incremental_size,
    }
    try:
        if manager in check:
            wrong = _too_short(size, check[manager](file, content))
        else:
            wrong = _short(file, content) if manager.startswith("Tiled") else ""
        if wrong:
            yield file, wrong
        elif manager.startswith("Tiled"):
            yield from _wrong_tiles(file, content)
    except _UnknownError:
        if size < _BUCKETS_START and manager in check:
            yield file, f"is cut short: it has {size} bytes"
    yield from _wrong_arrays(file.with_name(file.name + "i"))


def _opened(content: bytes, kind: str) -> _Reader:
    """The header of a storage manager of a kind, after its version; in the byte order of the file."""
    orders: tuple[Order, Order] = ("big", "little")
    for order in orders:
        reader = _Reader(content, order)
        if reader.take(4) != _MARK:
            raise _UnknownError
        reader.take(4)
        if reader.number() == len(kind) and reader.take(len(kind)) == kind.encode():
            return reader
    raise _UnknownError


def _standard_size(file: Path, content: bytes) -> int:
    """Bytes that a StandardStMan's file must have: 512 and its buckets, the first of which holds its header."""
    reader = _opened(content, "StandardStMan")
    if reader.number() >= 3:
        reader.take(1)
    bucket, buckets = reader.number(), reader.number()
    return _BUCKETS_START + bucket * buckets


def _incremental_size(file: Path, content: bytes) -> int:
    """Bytes that an IncrementalStMan's file must have: 512, its buckets, and behind them their index."""
    reader = _opened(content, "IncrementalStMan")
    if reader.number() >= 5:
        reader.take(1)
    end = _BUCKETS_START + reader.number() * reader.number()
    index = _Reader(_head(file, end, 8), reader.order)
    if len(index.content) < 8:
        return end + 8
    if index.take(4) != _MARK:
        raise _UnknownError
    return end + 4 + index.number()


def _wrong_tiles(file: Path, content: bytes) -> Iterator[tuple[Path, str]]:
    """Files of tiles that are missing or shorter than the header in `table.f<number>` says."""
    start = content.find(b"\x00\x00\x00\x0aTiledStMan")
    if start < 0:
        raise _UnknownError
    reader = _Reader(content[start:])
    reader.text()
    version = reader.number()
    if version not in (1, 2, 3):
        raise _UnknownError
    if version >= 2:
        reader.take(1)
    reader.take(4)
    reader.take(8 if version >= 3 else 4)
    reader.take(4 * reader.number())
    reader.text()
    reader.take(8)
    for _ in range(reader.number()):
        if not reader.number(1):
            continue
        wide = reader.number() >= 2
        part = file.with_name(f"{file.name}_TSM{reader.number()}")
        needed = reader.number(8 if wide else 4)
        if not part.is_file():
            yield part, "is missing"
            continue
        wrong = _too_short(part.stat().st_size, needed)
        if wrong:
            yield part, wrong


def _wrong_arrays(file: Path) -> Iterator[tuple[Path, str]]:
    """The file of arrays of varying shape, which not every storage manager has, if it is cut short.

    It begins with its version and its length, in the table's byte order.
    """
    if not file.is_file():
        return
    size = file.stat().st_size
    if not size:
        yield file, "is empty"
        return
    content = _head(file, most=16)
    if len(content) < 16:
        yield file, f"is cut short: it has {size} bytes"
        return
    needed = min(
        int.from_bytes(content[4:12], "little"), int.from_bytes(content[4:12])
    )  # in the other order it is huge
    wrong = _too_short(size, needed)
    if wrong:
        yield file, wrong
