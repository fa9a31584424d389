"""Plots over time: the convergence of a plane, and when each node ran."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ccip_batch.imaging.convergence import IterationResult
from ccip_batch.report.facts import NodeFacts, PlaneFacts
from ccip_batch.report.plot import Plot
from ccip_batch.report.plots.canvas import BAD, COLOURS, FAINT, MARKERS, Plots, Table, decades


def convergence(plane: PlaneFacts, iterations: Sequence[IterationResult], plots: Plots) -> Plot | None:
    """Peak residual and model flux of a plane after each major cycle; None if nothing was cleaned."""
    cleaned = [one for one in iterations if one.convergence and one.iteration > 0]
    if not cleaned:
        return None
    name = f"convergence_{plane.label}"
    rows: list[Sequence[Any]] = []
    with plots.figure(name, (7.2, 3.0), (1, 2), fitted=False) as (left, right):
        offset = 0
        for one in cleaned:
            length = 0
            for stokes, course in one.convergence.items():
                cycles = np.arange(len(course.peak_residual_jy)) + offset + 1
                length = max(length, len(cycles))
                peaks = np.array(course.peak_residual_jy) * 1e3
                flux = np.array(course.model_flux_jy) * 1e3
                style: dict[str, Any] = {"marker": MARKERS[stokes], "ms": 2.5, "lw": 0.9, "color": COLOURS[stokes]}
                first = stokes if one is cleaned[0] else None
                left.plot(cycles, np.abs(peaks), label=first, **style)
                right.plot(cycles, flux, **style)
                rows += [
                    (one.iteration, stokes, int(cycles[i]), course.iterations[i], peaks[i], flux[i])
                    for i in range(len(cycles))
                ]
            for axes in (left, right):
                if offset:
                    axes.axvline(offset + 0.5, color=FAINT, lw=0.8, ls=":")
            left.annotate(f"iter{one.iteration}", (offset + 0.6, 1.0), xycoords=("data", "axes fraction"),
                          fontsize=7.5, xytext=(0, 2), textcoords="offset points")  # fmt: skip
            offset += length
        left.set_yscale("log")
        left.set_ylabel("peak residual (mJy/beam)")
        right.set_ylabel("model flux (mJy)")
        right.set_yscale("symlog", linthresh=1.0)
        decades(left.yaxis)
        decades(right.yaxis)
        for axes in (left, right):
            axes.set_xlabel("major cycle")
        left.legend(ncols=4)
    columns = ("iteration", "stokes", "major_cycle", "minor_iterations", "peak_residual_mjy_beam", "model_flux_mjy")
    plots.table(name, Table(columns, rows))
    return Plot(name, f"Convergence of spw {plane.spw}", "Peak residual and model flux after each major cycle.")


_KIND_COLOURS = {
    "restore": "#d9782b",
    "image": "#3f83e0",
    "analyze": "#b35ad0",
    "export": "#2f9e64",
    "publish": "#8b98a5",
}


def gantt(nodes: Sequence[NodeFacts], plots: Plots) -> Plot | None:
    """When each node and its stages ran; None if none has started."""
    timed = [facts for facts in nodes if facts.started is not None]
    if not timed:
        return None
    zero = min(facts.started for facts in timed if facts.started is not None)
    rows: list[Sequence[Any]] = []
    now = time.time()
    ends = {facts.node.name: _end(facts, now) for facts in timed}
    longest = max(ends.values()) - zero
    unit, seconds = ("h", 3600.0) if longest > 7200 else ("min", 60.0) if longest > 180 else ("s", 1.0)
    with plots.figure("gantt", (8.2, 0.9 + 0.24 * len(timed))) as (axes,):
        for row, facts in enumerate(timed):
            assert facts.started is not None
            colour = BAD if facts.failure else _KIND_COLOURS[facts.node.kind]
            last = ends[facts.node.name]
            axes.barh(row, (last - facts.started) / seconds, 0.62, (facts.started - zero) / seconds, color=colour,
                      alpha=0.35)  # fmt: skip
            for number, record in enumerate(facts.records):
                axes.barh(row, record.elapsed_s / seconds, 0.62, (record.started - zero) / seconds, color=colour,
                          alpha=1.0 if number % 2 == 0 else 0.7)  # fmt: skip
                rows.append((facts.node.name, record.name, record.started - zero, record.elapsed_s, record.cpu_s))
            if facts.state == "running":
                since = now - (facts.status.elapsed_s or 0.0)
                rows.append((facts.node.name, facts.status.stage, since - zero, now - since, None))
        axes.set_yticks(range(len(timed)), [facts.node.name for facts in timed])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"time since the first node began ({unit})")
    plots.table("gantt", Table(("node", "stage", "start_s", "elapsed_s", "cpu_s"), rows))
    text = "One bar per node, its stages in alternating shades; pale: time outside finished stages; red: failed."
    if any(facts.node.kind == "publish" and facts.result is None and facts.failure is None for facts in nodes):
        text += " Drawn before publish had ended (in a pool, by publish itself): its bar is missing or too short."
    return Plot("gantt", "When each node ran", text)


def _end(facts: NodeFacts, now: float) -> float:
    """When a node ended, seconds since 1970; now if it is running."""
    if facts.state == "running":
        return now
    if end := facts.failure or facts.result:
        return end.ended
    return max((record.started + record.elapsed_s for record in facts.records), default=now)
