"""Whether the user's flag commands select anything of a measurement set, by CASA's own reading of them.

CASA reads a command hours later, in stage 5, and then stops at an antenna that is not there if the command is the only
one, and passes over it if there are several. Here each part of a command is tried by itself. Rows are tried in a table
of one row for each time, field, spw, scan, intent, array and observation, so that a large measurement set takes
seconds: what depends on the baseline (antennas, uvrange) is looked up by name alone.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ccip_batch.casa.measurement_set import MsSummary, is_target, row_chunks
from ccip_batch.casa.session import Casa
from ccip_batch.job.flag_commands import Command
from ccip_batch.job.problems import Problem
from ccip_batch.records import Model

_CASA_KEYS = {
    "antenna": "baseline", "spw": "spw", "field": "field", "scan": "scan", "intent": "scanintent",
    "observation": "observation", "array": "array", "timerange": "time", "uvrange": "uvdist",
    "correlation": "polarization",
}  # fmt: skip
"""What a part of a command is called in MSSelection."""
_OF_ROWS = ("scan", "observation", "array")
"""Parts that name what is in rows alone: any number is right for CASA."""
_OF_BASELINES = ("antenna", "uvrange", "correlation")
"""Parts that say nothing of the rows that are tried."""
_STOKES = ("", "ALL", "I", "Q", "U", "V")
"""Correlations that flagdata computes from those that there are."""
_EXPRESSION = re.compile(r"^(ABS|ARG|RE|IM|REAL|IMAG|NORM)_")
_CHANNELS = re.compile(r"(\d{1,9})(?:\s*~[^A-Za-z]*)?")
"""A channel or a range of channels by number; with a unit at its end (`2100~2200MHz`) a range is one of frequencies."""
_KEYS = ("TIME", "FIELD_ID", "DATA_DESC_ID", "SCAN_NUMBER", "STATE_ID", "ARRAY_ID", "OBSERVATION_ID")


class Doubt(Model):
    """A flag command that selects nothing."""

    line: int
    """Of the file of flag commands, from 1."""
    wrong: str
    missing: bool
    """Whether it names something that is not in the measurement set; else that is there, but there are no such data."""


def doubts(
    casa: Casa, vis: Path, summary: MsSummary, commands: Sequence[Command], spws: Collection[int]
) -> list[Doubt]:
    """What is wrong with flag commands. summary: of `vis`. spws: those that are imaged, with fields of the target."""
    if not commands:
        return []
    found: list[Doubt] = []
    with tempfile.TemporaryDirectory() as folder, casa.tool("ms") as tool:
        parts = _parts(casa, vis, Path(folder), spws)
        for command in commands:
            given = {key: value for key, value in command.selection.items() if key in _CASA_KEYS and value.strip()}
            pieces = [(key, piece) for key, value in given.items() for piece in _pieces(key, value)]
            missing = [
                Doubt(line=command.line, wrong=f"{key}={piece!r} names nothing in {vis.name}{there}", missing=True)
                for key, piece in pieces
                if (there := _why_not(tool, parts[0], summary, key, piece)) is not None
            ]
            found += missing
            rows = {key: value for key, value in given.items() if key not in _OF_BASELINES}
            if not missing and rows and not _selects(tool, parts[1], rows):
                wrong = f"selects none of the data of {vis.name} that are imaged"
                found.append(Doubt(line=command.line, wrong=wrong, missing=False))
    return found


def judged(path: Path, found: Sequence[Doubt], commands: int) -> tuple[list[Problem], list[str]]:
    """What is wrong with a file of flag commands, and what is only to be told. commands: how many there are."""
    right = "Correct the command, or remove it."
    problems = [Problem(f"{path}:{one.line}", "", one.wrong, right) for one in found if one.missing]
    idle = [one for one in found if not one.missing]
    if not problems and len(idle) == commands:
        problems = [Problem(f"{path}:{one.line}", "", one.wrong, right) for one in idle]
        return problems, []
    return problems, [f"{path}:{one.line}: {one.wrong}" for one in idle]


def _pieces(key: str, value: str) -> Iterator[str]:
    """The parts of a selection that each name something."""
    if key in ("timerange", "uvrange") or "/" in value:
        yield value
        return
    texts = re.split(r"[;&,]", value) if key == "antenna" else value.split(",")
    for text in texts:
        piece = text.strip().lstrip("!") if key == "antenna" else text.strip()
        if key == "correlation":
            piece = _EXPRESSION.sub("", piece.upper())
            if piece in _STOKES:
                continue
        if piece:
            yield piece


def _why_not(tool: Any, table: Path, summary: MsSummary, key: str, piece: str) -> str | None:
    """Why a part of a command names nothing: what there is instead, for messages. None if it names something."""
    if not _selects(tool, table, {key: piece}, of_rows=key in _OF_ROWS):
        return _there(key, summary)
    return _beyond(piece, summary) if key == "spw" else None


def _beyond(piece: str, summary: MsSummary) -> str | None:
    """That channels of an spw are beyond the last, where CASA would take the last instead; None if they are not."""
    name, _, channels = piece.partition(":")
    spws = [spw for spw in summary.spws if not name.isdecimal() or spw.id == int(name)]
    most = max((spw.channels for spw in spws), default=0)
    ranges = [_CHANNELS.fullmatch(part.strip()) for part in channels.split(";")]
    if any(found and int(found[1]) >= most for found in ranges):
        return f": {f'spw {name}' if name.isdecimal() else 'an spw'} has {most} channels"
    return None


def _selects(tool: Any, table: Path, given: Mapping[str, str], of_rows: bool = True) -> bool:
    """Whether a selection selects rows; or, not `of_rows`, whether CASA finds what it names."""
    tool.open(str(table))
    try:
        return bool(tool.msselect({_CASA_KEYS[key]: value for key, value in given.items()}, onlyparse=not of_rows))
    except RuntimeError:  # where nothing is found, this or False, by the key
        return False
    finally:
        tool.close()


def _there(key: str, summary: MsSummary) -> str:
    """What there is of the kind that a part of a command names, for messages."""
    match key:
        case "antenna":
            return f": it has the antennas {_some(summary.antennas)}"
        case "spw":
            return f": it has the spws {min(spw.id for spw in summary.spws)} to {max(spw.id for spw in summary.spws)}"
        case "field":
            return f": it has the fields {_some([f'{field.id} ({field.name})' for field in summary.fields])}"
        case "scan":
            return f": it has the scans {_some([str(scan) for scan in summary.scans])}"
        case "intent":
            return f": it has the intents {_some(summary.intents)}"
    return ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:4])} ... {names[-1]} ({len(names)})"


def _parts(casa: Casa, vis: Path, folder: Path, spws: Collection[int]) -> tuple[Path, Path]:
    """Two tables with a few rows of a measurement set: of all of it, and of the target in these spws."""
    with casa.table(f"{vis}/DATA_DESCRIPTION") as table:
        spw_of = np.asarray(table.getcol("SPECTRAL_WINDOW_ID"))
    with casa.table(f"{vis}/STATE") as table:
        target = [is_target(str(mode)) for mode in table.getcol("OBS_MODE")] if table.nrows() else []
    with casa.table(str(vis)) as table:
        rows, keys = _representatives(table)
        imaged = np.isin(spw_of[keys[:, 2].astype(int)], list(spws))
        imaged &= np.isin(keys[:, 4].astype(int), np.flatnonzero(target))
        paths = folder / "all.ms", folder / "imaged.ms"
        for path, chosen in zip(paths, (rows, rows[imaged]), strict=True):
            table.selectrows(chosen.tolist(), str(path)).close()
    return paths


def _representatives(table: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """A row for each set of values of `_KEYS`, and its values, in this order."""
    rows, values = [], []
    for start, number in row_chunks(table.nrows()):
        keys = np.stack([np.asarray(table.getcol(key, start, number), float) for key in _KEYS], axis=1)
        begins = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])
        _, first = np.unique(keys[begins], axis=0, return_index=True)
        rows.append(begins[first] + start)
        values.append(keys[begins[first]])
    return np.concatenate(rows), np.concatenate(values)
