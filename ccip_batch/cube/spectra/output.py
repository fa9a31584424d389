"""Spectra written as tables and pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from astropy.table import Table

from ccip_batch.cube.spectra.table_texts import FORMATS
from ccip_batch.errors import DataError
from ccip_batch.records import whole_file

_MOST_PANELS = 200
"""Positions in a plot; a picture of more is too high for its formats."""


def check_out(tables: Iterable[Path], picture: Path | None, *, overwrite: bool = False, positions: int = 1) -> None:
    """Raise DataError, before any work is done, if tables of spectra or their plot cannot be written to these files."""
    tables = list(tables)
    for path in tables:
        _format(path)
    for path in filter(None, (*tables, picture)):
        if path.is_dir():
            raise DataError(f"{path} is a folder; name a file.")
        if any(not letter.isprintable() for letter in path.name):
            raise DataError(f"{str(path)!r} cannot be the name of a file of spectra; choose another.")
    for path in tables:
        if path.exists() and not overwrite:
            raise DataError(f"{path} exists; choose another name, or give --overwrite.")
    if picture:
        _check_picture(picture)
        if positions > _MOST_PANELS:
            raise DataError(
                f"{picture}: a plot has at most {_MOST_PANELS} positions, not {positions}; leave --plot out, or give "
                "fewer positions."
            )


def _check_picture(path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    kinds = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in kinds:
        raise DataError(f"{path}: the plot cannot be written; end the name with one of {', '.join(sorted(kinds))}.")


def write_tables(tables: Mapping[Path, Table], picture: Path | None = None, *, overwrite: bool = False) -> list[Path]:
    """Write tables as ECSV, FITS, VOTable or CSV, by the endings of their names, and a plot of the first, which has
    spectra: all or nothing. Returns what was written.

    Raises DataError as `check_out` does, or if such a file cannot hold them.
    """
    check_out(tables, picture, overwrite=overwrite)
    work = [(path, _write_table, table) for path, table in tables.items()]
    if picture:
        work.append((picture, plot, next(iter(tables.values()))))
    with ExitStack() as stack:
        for path, write, table in work:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(table, stack.enter_context(whole_file(path)))
    return [path for path, _, _ in work]


def _write_table(table: Table, path: Path) -> None:
    try:
        table.write(path, format=_format(path), overwrite=True)
    except (UnicodeError, ValueError) as error:
        raise DataError(f"A {path.suffix} table cannot hold these spectra ({error}). Choose an .ecsv file.") from error


def plot(table: Table, path: Path) -> None:
    """Draw the spectra, a row of panels (I, Q, U, V) a position, as PNG, PDF or SVG by the name's ending."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    starts = np.flatnonzero(table["spw"] == table["spw"][0])  # each position has a row a plane
    figure = Figure(figsize=(14, 3 * len(starts)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(starts), 4, squeeze=False, sharex=True)
    for row, first, end in zip(panels, starts, [*starts[1:], len(table)], strict=True):
        mine = table[first:end]
        for panel, stokes in zip(row, "IQUV", strict=True):
            for state, face in (("kept", "C0"), ("rejected", "none")):
                part = mine[mine["state"] == state]
                panel.errorbar(
                    part["frequency"] / 1e9, part[stokes] * 1e3, part[f"{stokes}_err"] * 1e3,
                    fmt="o", color="C0", markerfacecolor=face, label=state if len(part) else None,
                )  # fmt: skip
            panel.set(ylabel=f"m{table[stokes].unit}".replace(" / ", "/"), xlabel="GHz")
            panel.set_title(f"{mine['name'][0]}  {stokes}", parse_math=False)  # a name is no formula
            if "rejected" in mine["state"]:
                panel.legend()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of letters that the font lacks
            figure.savefig(path)
    except ValueError as error:
        raise DataError(f"{path}: the plot cannot be written ({error}).") from error


def _format(path: Path) -> str:
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise DataError(f"{path.name}: a table's name ends in {', '.join(FORMATS)}.")
    return form
