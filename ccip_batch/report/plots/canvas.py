"""What all plots share: colours, figures as SVG in the reader's light or dark colours, numbers as CSV beside them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator, NullLocator

INK, FAINT, WASH = "#010203", "#010204", "#010205"
"""Placeholders for the page's colours until the SVG is written."""
_STYLE = (
    "<style>:root{--ink:#1d2733;--faint:#8b98a5;--wash:#e3e9ef}"
    "@media (prefers-color-scheme:dark){:root{--ink:#e3e9ef;--faint:#7b8794;--wash:#313b46}}"
    "@media print{:root{--ink:#000;--faint:#777;--wash:#ddd}}</style>"
)
COLOURS = {"I": "#3f83e0", "Q": "#d9782b", "U": "#2f9e64", "V": "#b35ad0"}
MARKERS = {"I": "o", "Q": "s", "U": "^", "V": "D"}
BRIGHT = (0.25, 0.9)
"""The part of the colour map that can be seen on light and on dark."""
FOUND, MODEL, BAD = "#3f83e0", "#d9782b", "#d6455d"
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "grid.color": WASH,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.markersize": 4.5,
}


@dataclass(frozen=True)
class Table:
    """The numbers of a plot. Column names end with their unit."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Plots:
    """Writes plots into a folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def figure(
        self, name: str, size: tuple[float, float], grid: tuple[int, int] = (1, 1), fitted: bool = True
    ) -> Iterator[list[Axes]]:
        """A figure that is written when the block ends; yields its axes, row by row.

        size: width and height, inches. grid: rows and columns of axes. fitted: the margins follow from the labels.
        """
        with matplotlib.rc_context():
            matplotlib.rcdefaults()  # not what a matplotlibrc of the user's says
            matplotlib.rcParams.update({**_RC, "figure.constrained_layout.use": fitted})
            figure = Figure(figsize=size)
            if not fitted:  # much faster, for figures that every plane has
                figure.subplots_adjust(left=0.09, right=0.99, bottom=0.17, top=0.92, wspace=0.22)
            yield list(figure.subplots(*grid, squeeze=False).flat)
            out = io.StringIO()
            figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = out.getvalue()
        for stands_for, variable in ((INK, "--ink"), (FAINT, "--faint"), (WASH, "--wash")):
            text = text.replace(stands_for, f"var({variable})")
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], count=1, flags=re.DOTALL)
        text = text.replace(">", f">{_STYLE}", 1)
        (self._folder / f"{name}.svg").write_text(text, encoding="utf-8")

    def table(self, name: str, table: Table) -> None:
        """Write the numbers of a plot."""
        with (self._folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(table.columns)
            writer.writerows([["" if value is None else value for value in row] for row in table.rows])


def decades(axis: Axis) -> None:
    """Plain numbers on a logarithmic axis: typesetting exponents takes as long as all the rest."""
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_locator(NullLocator())


def plain_ticks(axes: Axes) -> None:
    """A few plain numbers on both axes."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FormatStrFormatter("%g"))
