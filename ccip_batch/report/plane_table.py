"""The table of planes: one row per plane, values that stand out marked."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ccip_batch.casa.images import STOKES
from ccip_batch.report.facts import PlaneFacts, RunFacts
from ccip_batch.report.tables import Cell, number, shade

_STATE_WEIGHT = {
    "failed": 1000.0,
    "rejected": 500.0,
    "rejected before imaging": 400.0,
    "empty": 300.0,
    "blocked": 200.0,
}
_LONGEST_REASON = 100
"""Characters; the verdict has all of it."""


@dataclass(frozen=True)
class Column:
    """One column."""

    title: str
    cell: Callable[[PlaneFacts], Cell]
    unit: str = ""
    scale: Callable[[PlaneFacts], float] | None = None
    """What a value is multiplied by before it is compared over the planes; None if it is not compared."""
    more_is_worse: bool = False
    """Whether only a larger value than that of the others counts; else any other."""


@dataclass(frozen=True)
class PlaneRow:
    """A plane's row."""

    plane: PlaneFacts
    cells: Sequence[Cell]
    suspicion: float
    """Its largest deviation in sigma; planes that are not kept come before all others."""


@dataclass(frozen=True)
class PlaneTable:
    """A table with one row per plane."""

    columns: Sequence[Column]
    rows: Sequence[PlaneRow]


def plane_table(facts: RunFacts) -> PlaneTable:
    """The table of planes, in order of frequency."""
    columns = [_compared(column, facts.planes) for column in COLUMNS]
    rows = []
    for index, plane in enumerate(facts.planes):
        cells = [column[index] for column in columns]
        largest = max(abs(cell.deviation) for cell in cells)
        rows.append(PlaneRow(plane, cells, _STATE_WEIGHT.get(plane.state, 0.0) + largest))
    return PlaneTable(COLUMNS, rows)


def _compared(column: Column, planes: Sequence[PlaneFacts]) -> list[Cell]:
    """The cells of a column, shaded over the planes that were imaged: an empty plane is not an outlier."""
    cells = [column.cell(plane) for plane in planes]
    if column.scale:
        imaged = [i for i, plane in enumerate(planes) if plane.images]
        marked = shade([cells[i] for i in imaged], [column.scale(planes[i]) for i in imaged], column.more_is_worse)
        for i, cell in zip(imaged, marked, strict=True):
            cells[i] = cell
    return cells


def _as_it_is(plane: PlaneFacts) -> float:
    return 1.0


def _frequency(plane: PlaneFacts) -> float:
    """Beams shrink with frequency."""
    return plane.frequency_ghz or 1.0


def _root_of_bandwidth(plane: PlaneFacts) -> float:
    """Noise falls with the root of the bandwidth, and a group may have two spws."""
    return math.sqrt(plane.target.bandwidth_hz if plane.target else 1.0)


def _sign_of_residual(plane: PlaneFacts) -> float:
    """The residual peak is compared by its size."""
    return math.copysign(1.0, _residual_peak(plane) or 1.0)


def _residual_peak(plane: PlaneFacts) -> float | None:
    return plane.cutouts.statistics["I"].residual.peak if plane.cutouts else None


def _rms(stokes: str) -> Callable[[PlaneFacts], Cell]:
    def cell(plane: PlaneFacts) -> Cell:
        return number(plane.cutouts.statistics[stokes].rms_median if plane.cutouts else None, ".3g", 1e3)

    return cell


def _dynamic_range(plane: PlaneFacts) -> Cell:
    return number(plane.cutouts.statistics["I"].image.peak_over_madrms if plane.cutouts else None, ".0f")


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


def _why(plane: PlaneFacts) -> Cell:
    why = plane.reason or ("as expected" if plane.state == "kept" else "–")
    return Cell(textwrap.shorten(why, _LONGEST_REASON, placeholder=" …"), plane.reason)


COLUMNS = (
    Column("spw", lambda p: Cell(p.spw.replace(",", "+"), float(p.spw.split(",")[0]))),
    Column("State", lambda p: Cell(p.state, p.state)),
    Column("Why", _why),
    Column("Frequency", lambda p: number(p.target.reffreq_ghz if p.target else None, ".3f"), "GHz"),
    Column("Flagged", lambda p: number(p.target.flagged_fraction if p.target else None, ".1f", 100), "%", _as_it_is,
           more_is_worse=True),
    Column("Bandwidth", lambda p: number(p.target.bandwidth_hz if p.target else None, ".0f", 1e-6), "MHz"),
    Column("Beam major", lambda p: number(p.images.beam.major_arcsec if p.images else None, ".2f"), "arcsec",
           _frequency),
    Column("Beam minor", lambda p: number(p.images.beam.minor_arcsec if p.images else None, ".2f"), "arcsec",
           _frequency),
    Column("Beam PA", lambda p: number(p.images.beam.pa_deg if p.images else None, ".1f"), "deg", _as_it_is),
    *(Column(f"rms {stokes}", _rms(stokes), "mJy/beam", _root_of_bandwidth, more_is_worse=True) for stokes in STOKES),
    Column("Peak I", lambda p: number(p.native.peak if p.native else None, ".4g", 1e3), "mJy/beam"),
    Column("Residual peak", lambda p: number(_residual_peak(p), ".3g", 1e3), "mJy/beam", _sign_of_residual,
           more_is_worse=True),
    Column("Dynamic range", _dynamic_range),
    Column("Major cycles",
           lambda p: number(sum(one.major_cycles for one in p.images.iterations) if p.images else None, ".0f")),
    Column("Iterations",
           lambda p: number(sum(one.iterations for one in p.images.iterations) if p.images else None, ".0f")),
    Column("Stopped by", _stop),
)  # fmt: skip
