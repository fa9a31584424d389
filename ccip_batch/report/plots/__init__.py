"""The plots, each with its numbers."""

from __future__ import annotations

from collections.abc import Callable

from ccip_batch.report.facts import RunFacts
from ccip_batch.report.plot import Plot
from ccip_batch.report.plots.canvas import Plots
from ccip_batch.report.plots.courses import convergence, gantt
from ccip_batch.report.plots.places import at_places
from ccip_batch.report.plots.planes import beams, flags, noise, pb_histogram

__all__ = ["Plot", "Plots", "convergence", "gantt", "make_plots"]


def make_plots(facts: RunFacts, plots: Plots) -> dict[str, Plot]:
    """Make all plots of planes and places for which there are results; by name."""
    makers: list[Callable[[RunFacts, Plots], list[Plot]]] = [flags, beams, noise, at_places, pb_histogram]
    return {plot.name: plot for make in makers for plot in make(facts, plots)}
