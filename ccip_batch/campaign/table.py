"""The table of a campaign: a row a square, read with astropy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table

from ccip_batch.cube.spectra.table_texts import FORMATS
from ccip_batch.cube.spectra.table_texts import read_table as read_table_file
from ccip_batch.errors import ConfigError
from ccip_batch.job.config import Inputs
from ccip_batch.job.problems import Problem, failure, shown

INPUTS = tuple(Inputs.model_fields)
"""Columns that name an input."""
_KNOWN = ("name", "tile", "priority", *INPUTS)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_TILE = re.compile(r"T\d\dt\d\d")
_OURS = (".yaml", ".log")
"""Endings of files that lie beside the run folders of squares."""
_RESERVED = ("parent", "child", "all_nodes", "final")
"""What DAGMan takes for something else than a node."""
_PRIORITY = re.compile(r"[+-]?\d{1,6}")


class RowError(ConfigError):
    """The row of a square is wrong, or gone; the table itself is right."""


@dataclass(frozen=True)
class Square:
    """A square degree of a campaign: a row of its table."""

    name: str
    tile: str
    """Squares of a tile have a folder of their own: the column `tile`, or the tile in the name (`T16t21`), or else how
    the name begins."""
    priority: int
    """Those of higher priority come first; 0 if nothing is said."""
    row: int
    """Number of its row; the first one below the names of the columns is 1."""
    cells: Mapping[str, str]
    """What the row says, by column, without empty cells."""

    @property
    def node(self) -> str:
        """Its name in the outer DAG; DAGMan gives `.` and `+` a meaning."""
        return self.name.replace(".", "_").replace("+", "p")


@dataclass(frozen=True)
class SquareTable:
    """The squares of a campaign, as far as their rows are right."""

    path: Path
    squares: Sequence[Square]
    """In the order in which they are begun: by priority, then as in the table."""
    columns: Sequence[str]

    @property
    def unused(self) -> list[str]:
        """Columns that are no options, no inputs, and not otherwise known."""
        return [name for name in self.columns if name not in _KNOWN and "." not in name]


def place(path: Path, row: int, name: str = "") -> str:
    """A row of the table, for messages."""
    return f"{path}, row {row}" + (f" ({name})" if name else "")


def read_table(path: Path, problems: list[Problem]) -> SquareTable:
    """Read the table. What is wrong with single rows is added to `problems`.

    Raises DataError if the file cannot be read as a table, ConfigError if it has no column `name` or no rows.
    """
    table = _read(path)
    names = [str(name).strip() for name in table.colnames]
    if "name" not in names:
        raise ConfigError(f"{path}: has no column `name`; it has {', '.join(names) or 'none'}. Name each square.")
    if not len(table):
        raise ConfigError(f"{path}: has no rows. Write one for each square.")
    squares: list[Square] = []
    nodes: dict[str, int] = {}
    for number, cells in enumerate(_rows(table, names), 1):
        square = _square(path, number, cells, problems)
        if square is None:
            continue
        before = nodes.setdefault(square.node.lower(), number)
        if before != number:
            wrong = f"{square.name} is also the name of row {before}, or differs from it by little"
            right = "Give each square a name of its own; `.`, `_` and case do not tell two apart."
            problems.append(Problem(place(path, number, square.name), "name", wrong, right))
        else:
            squares.append(square)
    squares.sort(key=lambda square: -square.priority)
    return SquareTable(path, squares, names)


def find_square(path: Path, name: str) -> Square:
    """A square by its name. Raises RowError if the table has none of this name, or its row is wrong."""
    problems: list[Problem] = []
    for square in read_table(path, problems).squares:
        if square.name == name:
            return square
    of_row = [problem for problem in problems if problem.where.endswith(f"({name})")]
    if of_row:
        raise RowError(str(failure(of_row)))
    raise RowError(f"{path} has no square {name}. Look for its name in the column `name`.")


def _read(path: Path) -> Table:
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"{path}: tables of squares are {', '.join(FORMATS)}; its name ends otherwise.")
    if not path.is_file():
        raise ConfigError(f"{path}: the table of squares is not there. Correct `table`, or put it there.")
    return read_table_file(path)


def _rows(table: Table, names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Each row as text, without its empty cells."""
    columns = [_texts(table[name]) for name in table.colnames]
    for cells in zip(*columns, strict=True):
        yield {name: cell for name, cell in zip(names, cells, strict=True) if cell}


def _texts(column: Table.Column) -> list[str]:
    """The cells of a column; masked ones are empty."""
    masks = np.asarray(getattr(column, "mask", False))
    masks = np.broadcast_to(masks, (len(column), *masks.shape[1:])).reshape(len(column), -1)
    hidden = [bool(mask.any()) for mask in masks]
    cells = column.tolist() if isinstance(column, np.ndarray) else column  # other than arrays are times and places
    texts = (cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell) for cell in cells)
    return ["" if mask else text.strip() for text, mask in zip(texts, hidden, strict=True)]


def _square(path: Path, number: int, cells: dict[str, str], problems: list[Problem]) -> Square | None:
    name = cells.get("name", "")
    if not _NAME.fullmatch(name):
        right = "Names are letters, digits, `.`, `_`, `+` and `-`, and begin with a letter or a digit."
        problems.append(Problem(place(path, number), "name", f"{shown(name)} is not a name", right))
        return None
    if name.lower().endswith(_OURS) or name.lower() in _RESERVED:
        right = f"Files beside its run folder end with {' and '.join(_OURS)}, and DAGMan has words of its own."
        problems.append(Problem(place(path, number), "name", f"{shown(name)} cannot be a name", right))
        return None
    tile = cells.get("tile") or (found[0] if (found := _TILE.search(name)) else name[:4].rstrip(".") or name)
    priority = cells.get("priority", "0")
    where = place(path, number, name)
    if not _NAME.fullmatch(tile):
        right = "It is the name of a folder: letters, digits, `.`, `_`, `+` and `-`."
        problems.append(Problem(where, "tile", f"{shown(tile)} is not a tile", right))
        return None
    if not _PRIORITY.fullmatch(priority):
        problems.append(Problem(where, "priority", f"{shown(priority)} is not a whole number", "Such as 0 or 10."))
        return None
    return Square(name, tile, int(priority), number, cells)
