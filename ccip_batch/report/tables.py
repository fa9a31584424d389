"""Tables of planes: cells with a text to read, a number to sort by, and how far it lies from the other planes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ccip_batch.casa.images import MAD_TO_SIGMA, STOKES
from ccip_batch.report.facts import PlaneFacts, RunFacts

LEVELS = (3, 4, 5, 6)
"""Robust standard deviations from the median over the planes at which a value is shaded, as NRAO's are."""
WORST = LEVELS[-1]
_MIN_PLANES = 4
"""Fewer say nothing of what is usual."""
_STATE_WEIGHT = {
    "failed": 1000.0,
    "rejected": 500.0,
    "rejected before imaging": 400.0,
    "empty": 300.0,
    "blocked": 200.0,
}


@dataclass(frozen=True)
class Cell:
    """One cell."""

    text: str
    sort: float | str | None = None
    """What sorting goes by; None sorts last."""
    level: int = 0
    """Robust sigma that it deviates by, rounded down: 0 or one of LEVELS."""
    tip: str = ""
    """More words, for a tooltip and for readers of the screen."""
    deviation: float = 0.0

    @property
    def is_number(self) -> bool:
        """Whether it is set as a number."""
        return isinstance(self.sort, int | float) and not isinstance(self.sort, bool)


@dataclass(frozen=True)
class Column:
    """One column; `shaded`: its values are compared over the planes."""

    title: str
    unit: str = ""
    shaded: bool = False
    by_size: bool = False
    """Compared whatever its sign."""


@dataclass(frozen=True)
class PlaneRow:
    """A plane's row."""

    plane: PlaneFacts
    cells: Sequence[Cell]
    suspicion: float
    """Its largest deviation, planes that are not kept before all others."""


@dataclass(frozen=True)
class PlaneTable:
    """A table with a row a plane."""

    columns: Sequence[Column]
    rows: Sequence[PlaneRow]


def number(value: float | None, form: str = ".3g", scale: float = 1.0) -> Cell:
    """A cell with a number, or an empty one."""
    if value is None or not math.isfinite(value):
        return Cell("–")
    return Cell(format(value * scale, form), value * scale)


def shade(cells: Sequence[Cell], scales: Sequence[float] | None = None) -> list[Cell]:
    """Mark cells whose number, times its scale if there are scales, is far from the median of all."""
    scales = scales or [1.0] * len(cells)
    values = {i: cell.sort * scales[i] for i, cell in enumerate(cells) if isinstance(cell.sort, int | float)}
    if len(values) < _MIN_PLANES:
        return list(cells)
    array = np.array(list(values.values()), float)
    median = float(np.median(array))
    sigma = float(MAD_TO_SIGMA * np.median(np.abs(array - median)))
    if sigma <= 1e-9 * max(abs(median), 1e-30):
        return list(cells)
    marked = list(cells)
    for index, value in values.items():
        deviation = (value - median) / sigma
        level = max((level for level in LEVELS if abs(deviation) >= level), default=0)
        tip = f"{deviation:+.1f} sigma from the median of the planes" if level else cells[index].tip
        marked[index] = replace(cells[index], level=level, tip=tip, deviation=deviation)
    return marked


_LONGEST_REASON = 100
"""Characters; all of it stands in the verdict."""

COLUMNS = (
    Column("spw"),
    Column("State"),
    Column("Frequency", "GHz"),
    Column("Flagged", "%", True),
    Column("Bandwidth", "MHz"),
    Column("Beam major", "arcsec", True),
    Column("Beam minor", "arcsec", True),
    Column("Beam PA", "deg", True),
    *(Column(f"rms {stokes}", "mJy/beam", True) for stokes in STOKES),
    Column("Peak I", "mJy/beam"),
    Column("Residual peak", "mJy/beam", True, by_size=True),
    Column("Dynamic range"),
    Column("Major cycles"),
    Column("Iterations"),
    Column("Stopped by"),
    Column("Why"),
)


def plane_table(facts: RunFacts) -> PlaneTable:
    """The table of planes, in order of frequency."""
    raw = [_cells(plane) for plane in facts.planes]
    columns = [list(column) for column in zip(*raw, strict=True)] if raw else []
    frequencies = [plane.frequency_ghz or 1.0 for plane in facts.planes]
    bandwidths = [plane.target.bandwidth_hz if plane.target else 1.0 for plane in facts.planes]
    imaged = [i for i, plane in enumerate(facts.planes) if plane.images]  # an empty plane is no outlier
    for column, cells in zip(COLUMNS, columns, strict=False):
        if column.shaded:
            scales = [frequencies[i] if column.unit == "arcsec" else 1.0 for i in imaged]
            if column.title.startswith(
                "rms"
            ):  # noise falls with the root of the bandwidth, and a group may have two spws
                scales = [math.sqrt(bandwidths[i]) for i in imaged]
            if column.by_size:
                values = [cells[i].sort for i in imaged]
                scales = [math.copysign(1.0, value) if isinstance(value, float) else 1.0 for value in values]
            for i, cell in zip(imaged, shade([cells[i] for i in imaged], scales), strict=True):
                cells[i] = cell
    rows = []
    for number_of, plane in enumerate(facts.planes):
        cells = [column[number_of] for column in columns]
        largest = max((abs(cell.deviation) for cell in cells), default=0.0)
        rows.append(PlaneRow(plane, cells, _STATE_WEIGHT.get(plane.state, 0.0) + largest))
    return PlaneTable(COLUMNS, rows)


def _cells(plane: PlaneFacts) -> list[Cell]:
    target, images, cutouts = plane.target, plane.images, plane.cutouts
    statistics = cutouts.statistics if cutouts else {}
    beam = images.beam if images else None
    intensity = statistics.get("I")
    peak = plane.native.peak if plane.native else None
    why = plane.reason or ("as expected" if plane.state == "kept" else "–")
    return [
        Cell(plane.spw.replace(",", "+"), float(plane.spw.split(",")[0])),
        Cell(plane.state, plane.state),
        number(target.reffreq_ghz if target else None, ".3f"),
        number(target.flagged_fraction if target else None, ".1f", 100),
        number(target.bandwidth_hz if target else None, ".0f", 1e-6),
        number(beam.major_arcsec if beam else None, ".2f"),
        number(beam.minor_arcsec if beam else None, ".2f"),
        number(beam.pa_deg if beam else None, ".1f"),
        *(number(statistics[s].rms_median if s in statistics else None, ".3g", 1e3) for s in STOKES),
        number(peak, ".4g", 1e3),
        number(intensity.residual.peak if intensity else None, ".3g", 1e3),
        number(intensity.image.peak_over_madrms if intensity else None, ".0f"),
        number(sum(one.major_cycles for one in images.iterations) if images else None, ".0f"),
        number(sum(one.iterations for one in images.iterations) if images else None, ".0f"),
        _stop(plane),
        Cell(textwrap.shorten(why, _LONGEST_REASON, placeholder=" …"), plane.reason),
    ]


def _stop(plane: PlaneFacts) -> Cell:
    """Why each cleaning iteration stopped, said once if it was always the same."""
    cleaned = [one for one in plane.images.iterations if one.iteration] if plane.images else []
    if not cleaned:
        return Cell("–")
    reasons = {one.stop_reason for one in cleaned}
    if len(reasons) == 1:
        return Cell(reasons.pop(), cleaned[-1].stop_reason)
    text = "; ".join(f"iter{one.iteration} {one.stop_reason}" for one in cleaned)
    return Cell(text, cleaned[-1].stop_reason)


def limits(value: float | None, bounds: Sequence[float], below: bool) -> int:
    """How many of some bounds a value passes, as a level of LEVELS (0: none). `below`: smaller is worse."""
    if value is None:
        return 0
    passed = sum(1 for bound in bounds if (value < bound if below else value >= bound))
    return LEVELS[passed - 1] if passed else 0
