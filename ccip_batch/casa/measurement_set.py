"""What is in a measurement set, read with the table tool."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ccip_batch.casa.session import Casa
from ccip_batch.errors import DataError
from ccip_batch.job.data_size import folder_bytes
from ccip_batch.records import Model

ROWS_AT_ONCE = 200_000
"""Rows of the main table that are in memory at once."""
VALUES_AT_ONCE = 2**23
"""Values of a column that are: 128 MB of complex numbers, and rows of 64 channels would be 800 MB."""


class Spw(Model):
    """A spectral window."""

    id: int
    name: str
    channels: int
    channel_width_hz: float
    mean_frequency_hz: float
    """Mean of the channel frequencies."""
    bandwidth_hz: float


class Field(Model):
    """A pointing of the mosaic."""

    id: int
    name: str
    ra_rad: float
    dec_rad: float
    target: bool
    """Whether it was observed with the intent TARGET."""


class MsSummary(Model):
    """What stages need to know about a measurement set. Only fields that have rows are listed."""

    name: str
    telescope: str
    observer: str
    rows: int
    bytes: int
    spws: list[Spw]
    fields: list[Field]
    target_scans: list[int]
    scans: list[int]
    antennas: list[str]
    longest_baseline_m: float = 0.0
    """Between any two antennas; 0 in the results of older versions."""
    intents: list[str]
    target_intent: str = ""
    """The intents of the target as CASA selects them; empty in the results of older versions, which knew only one."""
    start_mjd: float
    """First TIME - INTERVAL/2 of the target scans, MJD, UTC (of all scans if there are none)."""
    end_mjd: float
    """Last TIME + INTERVAL/2 of the target scans, MJD, UTC."""

    def spw(self, spw: int) -> Spw:
        """The spectral window of that id. Raises KeyError."""
        for candidate in self.spws:
            if candidate.id == spw:
                return candidate
        raise KeyError(spw)


def row_chunks(rows: int, values: int = 1) -> Iterator[tuple[int, int]]:
    """(start, number) of successive chunks of rows, of which each has so many values in a column."""
    most = max(1, min(ROWS_AT_ONCE, VALUES_AT_ONCE // values))
    for start in range(0, rows, most):
        yield start, min(most, rows - start)


def summarize(casa: Casa, vis: Path) -> MsSummary:
    """Read a measurement set. Raises DataError if it is not a measurement set."""
    if not (vis / "table.dat").is_file() or not (vis / "SPECTRAL_WINDOW" / "table.dat").is_file():
        raise DataError(
            f"{vis} is not a measurement set (it has no table.dat or no SPECTRAL_WINDOW); check inputs.vis."
        )
    spws = _spws(casa, vis)
    with casa.table(str(vis / "FIELD")) as table:
        names = [str(name) for name in table.getcol("NAME")]
        directions = _directions(table)
    with casa.table(str(vis / "STATE")) as table:
        modes = [str(mode) for mode in table.getcol("OBS_MODE")] if table.nrows() else []
    antennas, longest = _antennas(casa, vis)
    with casa.table(str(vis / "OBSERVATION")) as table:
        if not table.nrows():
            raise DataError(f"{vis} has an empty OBSERVATION table; it is not a whole measurement set.")
        telescope = str(table.getcol("TELESCOPE_NAME")[0])
        observer = str(table.getcol("OBSERVER")[0])
    with casa.table(str(vis)) as table:
        rows = table.nrows()
        seen, times = _scan_rows(table, rows)
    if not rows:
        raise DataError(f"{vis} has no rows; check inputs.vis.")
    beyond = sorted({field for field, _, _ in seen if not 0 <= field < len(names)})
    if beyond:
        raise DataError(f"{vis} has rows of field {beyond[0]}, but its FIELD table has only {len(names)} fields.")
    of_target = [is_target(mode) for mode in modes]

    def on_target(state: int) -> bool:
        return 0 <= state < len(of_target) and of_target[state]

    target_scans = sorted({scan for _, state, scan in seen if on_target(state)})
    used = target_scans or sorted(times)
    target_fields = {field for field, state, _ in seen if on_target(state)}
    return MsSummary(
        name=vis.name,
        telescope=telescope,
        observer=observer,
        rows=rows,
        bytes=folder_bytes(vis),
        spws=spws,
        fields=[
            Field(
                id=field,
                name=names[field],
                ra_rad=directions[field][0],
                dec_rad=directions[field][1],
                target=field in target_fields,
            )
            for field in sorted({field for field, _, _ in seen})
        ],
        target_scans=target_scans,
        scans=sorted(times),
        antennas=antennas,
        longest_baseline_m=longest,
        intents=sorted({part for mode in modes for part in mode.split(",")}),
        target_intent=_selected({modes[state] for _, state, _ in seen if on_target(state)}),
        start_mjd=min(times[scan][0] for scan in used) / 86400.0,
        end_mjd=max(times[scan][1] for scan in used) / 86400.0,
    )


def _antennas(casa: Casa, vis: Path) -> tuple[list[str], float]:
    """Names, and the longest distance between any two, m."""
    with casa.table(str(vis / "ANTENNA")) as table:
        if not table.nrows():
            return [], 0.0
        places = np.asarray(table.getcol("POSITION")).T
        longest = max(np.linalg.norm(places - place, axis=1).max() for place in places)
        return [str(name) for name in table.getcol("NAME")], float(longest)


def _spws(casa: Casa, vis: Path) -> list[Spw]:
    spws = []
    with casa.table(str(vis / "SPECTRAL_WINDOW")) as table:
        for row in range(table.nrows()):
            frequencies = np.asarray(table.getcell("CHAN_FREQ", row), dtype=float)
            widths = np.abs(np.asarray(table.getcell("CHAN_WIDTH", row), dtype=float))
            spws.append(
                Spw(
                    id=row,
                    name=str(table.getcell("NAME", row)),
                    channels=frequencies.size,
                    channel_width_hz=float(widths.mean()),
                    mean_frequency_hz=float(frequencies.mean()),
                    bandwidth_hz=float(widths.sum()),
                )
            )
    return spws


def _directions(table: Any) -> list[tuple[float, float]]:
    """(right ascension from 0 to 2 pi, declination) in radian of each field, J2000 as VLASS has it."""
    return [
        (float(cell[0][0]) % (2 * np.pi), float(cell[1][0]))
        for cell in (table.getcell("PHASE_DIR", row) for row in range(table.nrows()))
    ]


def is_target(mode: str) -> bool:
    """Whether an OBS_MODE (`OBSERVE_TARGET#UNSPECIFIED`, `OBSERVE_TARGET.ON_SOURCE`) holds the intent TARGET."""
    return any(re.split(r"[#.]", intent.strip())[0] == "OBSERVE_TARGET" for intent in mode.split(","))


def _selected(modes: set[str]) -> str:
    """OBS_MODEs of the target as CASA selects them: by name, or by a pattern if a name has commas in it."""
    return "*OBSERVE_TARGET*" if any("," in mode for mode in modes) else ",".join(sorted(modes))


def _scan_rows(table: Any, rows: int) -> tuple[set[tuple[int, int, int]], dict[int, tuple[float, float]]]:
    """The (field, state, scan) that occur, and (first, last) second of each scan."""
    seen: set[tuple[int, int, int]] = set()
    times: dict[int, tuple[float, float]] = {}
    for start, number in row_chunks(rows):
        scans = table.getcol("SCAN_NUMBER", start, number)
        keys = np.stack([table.getcol("FIELD_ID", start, number), table.getcol("STATE_ID", start, number), scans])
        seen.update((int(f), int(s), int(n)) for f, s, n in np.unique(keys, axis=1).T)
        half = table.getcol("INTERVAL", start, number) / 2
        middle = table.getcol("TIME", start, number)
        for scan in np.unique(scans):
            rows_of_scan = scans == scan
            first = float((middle - half)[rows_of_scan].min())
            last = float((middle + half)[rows_of_scan].max())
            before = times.get(int(scan), (first, last))
            times[int(scan)] = (min(first, before[0]), max(last, before[1]))
    return seen, times
