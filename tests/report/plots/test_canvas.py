"""Figures and their numbers."""

from __future__ import annotations

import csv
from pathlib import Path

from ccip_batch.report.plots.canvas import FAINT, INK, WASH, Plots, Table, plain_ticks


def test_figures_follow_the_colours_of_the_page(tmp_path: Path) -> None:
    with Plots(tmp_path / "plots").figure("one", (4.0, 3.0), (2, 3)) as axes:
        assert len(axes) == 6
        axes[0].plot([1, 2, 3], [1, 4, 9], color=FAINT)
        plain_ticks(axes[0])
    text = (tmp_path / "plots" / "one.svg").read_text()
    assert text.startswith("<svg") and "<metadata>" not in text
    assert not any(colour in text for colour in (INK, FAINT, WASH)) and "var(--faint)" in text
    assert "prefers-color-scheme:dark" in text


def test_a_figure_that_breaks_is_not_written(tmp_path: Path) -> None:
    plots = Plots(tmp_path)
    try:
        with plots.figure("one", (4.0, 3.0)) as (axes,):
            axes.plot([1, 2], [1, 2, 3])
    except ValueError:
        pass
    assert not list(tmp_path.iterdir())


def test_numbers_are_kept_to_the_last_bit(tmp_path: Path) -> None:
    Plots(tmp_path).table("one", Table(("spw", "flux_jy"), [("3,4", 0.1 + 0.2), ("5", None)]))
    with (tmp_path / "one.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["spw"] == "3,4" and float(rows[0]["flux_jy"]) == 0.1 + 0.2 and rows[1]["flux_jy"] == ""
