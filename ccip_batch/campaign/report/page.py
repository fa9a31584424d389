"""The page: its parts, and the numbers of all squares for its scripts."""

from __future__ import annotations

import json
import math
import textwrap
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ccip_batch import __version__
from ccip_batch.campaign.report.gathering import MEASURES, CampaignFacts, Floats
from ccip_batch.campaign.report.histograms import histograms, spw_groups
from ccip_batch.campaign.report.maps import Maps, maps
from ccip_batch.campaign.report.plane_list import one_line
from ccip_batch.campaign.state import STATES, CampaignState
from ccip_batch.report.page import copy_assets, environment
from ccip_batch.report.plots.canvas import Plots
from ccip_batch.report.tables import LEVELS
from ccip_batch.report.words import amount, count, moment
from ccip_batch.run.failures import span

_PACKAGE = "ccip_batch.campaign.report"
_LONGEST_WHY = 160
"""Characters of why a square failed that are in the table; its own report and `campaign explain` have all."""
_NAMED = 3
"""Squares that are named for each cause."""
_MOST_PROBLEMS = 20


def write_page(facts: CampaignFacts, folder: Path) -> None:
    """Write `index.html` into a new folder, and all that it needs."""
    folder.mkdir()
    state, sky = facts.state, maps(facts)
    content: dict[str, Any] = {
        "name": state.campaign.folder.path.name,
        "version": __version__,
        "written": moment(time.time()),
        "headline": headline(state),
        "level": level(state),
        "counts": {name: number for name, number in state.counts.items() if number},
        "planes": _planes(facts),
        "problems": [f"{p.where}: {p.key}: {p.wrong}" for p in state.problems[:_MOST_PROBLEMS]],
        "more_problems": max(0, len(state.problems) - _MOST_PROBLEMS),
        "identity": identity(state),
        "failures": {cause: (len(found), _examples(state, cause)) for cause, found in state.failures.items()},
        "explain": f"ccip-batch campaign explain {state.campaign.path.parent}",
        "sky": sky,
        "gradient": ", ".join(sky.colours),
        "plots": histograms(facts, Plots(folder / "plots")),
        "groups": spw_groups(facts),
        "plane_states": facts.planes.states,
        "levels": LEVELS,
    }
    copy_assets(folder, "style.css")
    copy_assets(folder, "campaign.css", "table.js", "map.js", package=_PACKAGE)
    # no `<`: so nothing in it ends a script, wherever it is pasted
    text = json.dumps(data(facts, sky), separators=(",", ":"), allow_nan=False).replace("<", r"\u003c")
    (folder / "squares.js").write_text(f"globalThis.CAMPAIGN = {text};\n", encoding="utf-8")
    page = environment(_PACKAGE).get_template("campaign.html.j2").render(content)
    (folder / "index.html").write_text(page, encoding="utf-8")


def headline(state: CampaignState) -> str:
    """The campaign in one sentence."""
    counts, number = state.counts, len(state.table.squares)
    done = f"{counts['done']} of {count(number, 'square')} done"
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    if counts["done"] + counts["failed"] == number:
        return f"Ended: {done}{failed}." if failed else f"Done: {done}."
    if state.alive:
        left = f"; some {span(state.seconds_left)} left" if state.seconds_left else ""
        held = "; held: no square is begun" if state.held else ""
        return f"Under way: {done}{failed}, {counts['at work']} at work{left}{held}."
    begun = counts["done"] + counts["failed"] + counts["stopped"]
    return f"Nothing works on it now: {done}{failed}." if begun else f"Not begun: {count(number, 'square')}."


def level(state: CampaignState) -> str:
    """`good`, `attention`, `waiting`: as of a run, but single squares that failed do not make a campaign bad."""
    if state.counts["failed"] or state.problems:
        return "attention"
    return "good" if state.counts["done"] == len(state.table.squares) else "waiting"


def identity(state: CampaignState) -> dict[str, str]:
    """What it works on, and what it costs."""
    return {
        "Folder": str(state.campaign.folder.path),
        "Table": str(state.table.path),
        "Squares done": f"{state.rate:.1f} a day" if state.rate else "none in the last day",
        "Time left": span(state.seconds_left) if state.seconds_left else "–",
        "CPU time": f"{state.cpu_s / 3600:,.1f} core hours",
        "Products": amount(state.products),
        "Disk taken or kept free": amount(state.disk),
        "Squares at work at once": f"at most {state.bound}",
    }


def _planes(facts: CampaignFacts) -> dict[str, int]:
    found = Counter(facts.planes.state.tolist())
    return {facts.planes.states[index]: number for index, number in found.most_common()}


def _examples(state: CampaignState, cause: str) -> list[tuple[str, str]]:
    return [(square.name, _why(state, square.name)) for square in state.failures[cause][:_NAMED]]


def _why(state: CampaignState, name: str) -> str:
    return textwrap.shorten(one_line(state.entries[name].text), _LONGEST_WHY, placeholder=" …")


def data(facts: CampaignFacts, sky: Maps) -> dict[str, Any]:
    """All squares, column by column, as `table.js` reads them."""
    state, squares = facts.state, facts.squares
    names = [square.name for square in state.table.squares]
    states = [STATES.index(state.state_of(square)) for square in state.table.squares]
    tiles, causes = list(dict.fromkeys(square.tile for square in state.table.squares)), list(state.failures)
    tile_numbers = {tile: number for number, tile in enumerate(tiles)}
    cause_of = {square.name: i for i, found in enumerate(state.failures.values()) for square in found}
    deviations = np.array([squares.deviations[measure] for measure in MEASURES])
    largest = np.where(np.isfinite(deviations), np.abs(deviations), -1).max(axis=0, initial=-1)
    return {
        "states": STATES,
        "tiles": tiles,
        "causes": causes,
        "map": {"extent": asdict(sky.extent) if sky.extent else None, "scale": sky.scale, "colours": sky.colours},
        "name": names,
        "tile": [tile_numbers[square.tile] for square in state.table.squares],
        "state": states,
        "cause": [cause_of.get(name, -1) for name in names],
        "why": {i: why for i, name in enumerate(names) if name in cause_of and (why := _why(state, name))},
        "report": "".join("1" if there else "0" for there in squares.has_report.tolist()),
        "kept": squares.kept.tolist(),
        "planes": squares.planes.tolist(),
        "rms": numbers(squares.rms * 1e3, 4),
        "beam": numbers(squares.beam, 3),
        "flagged": numbers(squares.flagged * 100, 1),
        "cpu": numbers(squares.cpu_s / 3600, 2),
        "ended": numbers(squares.ended, 0),
        "ra": numbers(squares.ra, 4),
        "dec": numbers(squares.dec, 4),
        "deviation": numbers(np.where(largest < 0, np.nan, largest), 1),
        "levels": {measure: _levels(squares.deviations[measure]) for measure in MEASURES},
    }


def numbers(values: Floats, digits: int) -> list[float | int | None]:
    """Rounded to so many decimals; None where nothing is known."""
    rounded: Iterable[float] = np.round(values, digits).tolist()
    finite = (value if math.isfinite(value) else None for value in rounded)
    return [int(value) if value is not None and value == int(value) else value for value in finite]


def _levels(deviations: Floats) -> str:
    """A digit for each square: the level of LEVELS that its deviation passes, or 0."""
    passed = sum((np.nan_to_num(np.abs(deviations)) >= bound).astype(np.int64) for bound in LEVELS)
    return "".join(str((0, *LEVELS)[number]) for number in np.asarray(passed).tolist())
