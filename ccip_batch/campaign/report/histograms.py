"""Histograms over all planes of a campaign: all spw groups together, and each group for itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ccip_batch.campaign.report.gathering import AT_HZ, CampaignFacts, Floats, Planes
from ccip_batch.report.plot import Plot
from ccip_batch.report.plots.canvas import FOUND, MODEL, Plots, Table
from ccip_batch.report.tables import Cell, number
from ccip_batch.report.words import count

_BINS = 40
_USUAL = (0.5, 99.5)
"""Percentiles of the values that an axis shows; what lies beyond is counted in its outermost bins."""
PARTS = (5.0, 50.0, 95.0)
"""Percentiles that are tabulated for each spw group."""


@dataclass(frozen=True)
class _Measure:
    name: str
    title: str
    axis: str
    text: str
    unit: str
    """At the end of the names of its columns."""


_BEAM = _Measure(
    "beams",
    "Beams",
    f"major axis × frequency / {AT_HZ / 1e9:g} GHz (arcsec)",
    f"Major axis of the restoring beam of each imaged plane, scaled to {AT_HZ / 1e9:g} GHz.",
    "arcsec",
)
_RMS = _Measure(
    "rms",
    "Noise",
    "median rms (mJy/beam)",
    "Median of the rms image of Stokes I of each imaged plane.",
    "mjy_beam",
)
_FLAGS = _Measure("flags", "Flags", "flagged fraction", "Flagged fraction of each plane.", "fraction")


@dataclass(frozen=True)
class SpwGroup:
    """A spw group over all squares: a row of the table below the histograms."""

    spw: str
    frequency: Cell
    states: list[int]
    """How many planes are in each state, as in `Planes.states`."""
    cells: list[Cell]
    """Median beam, noise and flagged fraction."""


def histograms(facts: CampaignFacts, plots: Plots) -> list[Plot]:
    """Draw those of which anything is known."""
    planes = facts.planes
    values = ((_BEAM, planes.beam), (_RMS, planes.rms * 1e3), (_FLAGS, planes.flagged))
    return [_draw(measure, of, planes, plots) for measure, of in values if np.isfinite(of).any()]


def _draw(measure: _Measure, values: Floats, planes: Planes, plots: Plots) -> Plot:
    known = np.isfinite(values)
    values, spw = values[known], planes.spw[known]
    low, high = (0.0, 1.0) if measure is _FLAGS else _axis(values)
    edges = np.linspace(low, high, _BINS + 1)
    inside = np.clip(values, low, high)
    groups = len(planes.spws)
    bins = np.minimum(((inside - low) / (high - low) * _BINS).astype(np.int64), _BINS - 1)
    of_group = np.bincount(spw * _BINS + bins, minlength=groups * _BINS).reshape(groups, _BINS)
    parts = {i: np.percentile(values[spw == i], PARTS) for i in np.unique(spw).tolist()}
    with plots.figure(measure.name, (9.6, 3.5), (1, 2)) as (all_of_them, each):
        all_of_them.stairs(of_group.sum(axis=0), edges, fill=True, color=FOUND)
        all_of_them.axvline(float(np.median(values)), color=MODEL, lw=1.3)
        all_of_them.set_xlabel(measure.axis)
        all_of_them.set_ylabel("planes")
        share = of_group / np.maximum(of_group.max(axis=1, keepdims=True), 1)
        each.imshow(
            np.ma.masked_equal(share.T, 0), origin="lower", aspect="auto", cmap="viridis", interpolation="nearest",
            extent=(-0.5, groups - 0.5, low, high), vmin=0, vmax=1,
        )  # fmt: skip
        each.grid(False)
        each.plot(
            list(parts), [np.clip(part[1], low, high) for part in parts.values()], "o", color=MODEL, markersize=3.5
        )
        names = [name.replace(",", "+") for name in planes.spws]
        each.set_xticks(range(groups), names, rotation=90 if groups > 20 else 0)
        each.set_xlabel("spw")
        each.set_ylabel(measure.axis)
    columns = ["spw", "planes", *(f"percentile_{part:.0f}_{measure.unit}" for part in PARTS)]
    rows = [(planes.spws[i], int((spw == i).sum()), *part) for i, part in parts.items()]
    plots.table(measure.name, Table(columns, rows))
    text = (
        f"{measure.text} Left: {count(len(values), 'plane')} of all spw groups, with their median. Right: each group "
        "for itself, the brightest bin where most of its planes are, with their medians. What lies beyond an axis is "
        "counted in its outermost bin."
    )
    return Plot(measure.name, measure.title, text)


def _axis(values: Floats) -> tuple[float, float]:
    low, high = (float(value) for value in np.percentile(values, _USUAL))
    margin = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def spw_groups(facts: CampaignFacts) -> list[SpwGroup]:
    """A row for each spw group."""
    planes = facts.planes
    rows = []
    for index, spw in enumerate(planes.spws):
        here = planes.spw == index
        states = np.bincount(planes.state[here], minlength=len(planes.states)).tolist()
        cells = [
            number(_median(planes.beam[here] * AT_HZ / planes.frequency[here]), ".3f"),
            number(_median(planes.rms[here]), ".3g", 1e3),
            number(_median(planes.flagged[here]), ".1f", 100),
        ]
        rows.append(SpwGroup(spw, number(_median(planes.frequency[here]), ".3f", 1e-9), states, cells))
    return rows


def _median(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None
