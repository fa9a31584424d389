"""All that is drawn for the page, plots and pictures, and what the page must know of it.

Drawing takes most of the time of a report. What was drawn is noted beside it, so that a page can be written anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ccip_batch.records import write_whole
from ccip_batch.report.facts import RunFacts
from ccip_batch.report.gallery import Gallery, PlanePictures, make_gallery
from ccip_batch.report.plot import Plot

NAME = "drawings.json"


@dataclass(frozen=True)
class Drawings:
    """What was drawn."""

    gallery: Gallery
    plots: Mapping[str, Plot] = field(default_factory=dict)
    """Of planes and places, by name."""
    courses: Mapping[str, Plot | None] = field(default_factory=dict)
    """The convergence of each plane, by spw group."""
    gantt: Plot | None = None
    drawn: bool = False
    """Whether it was tried: there may be nothing yet that could be drawn."""


def draw(facts: RunFacts, folder: Path) -> Drawings:
    """Draw everything into the folder of the page."""
    from ccip_batch.report.plots import Plots, convergence, gantt, make_plots  # matplotlib takes a second to import

    plots = Plots(folder / "plots")
    imaged = ((plane, plane.images) for plane in facts.planes)
    drawings = Drawings(
        gallery=make_gallery(facts.planes, folder),
        plots=make_plots(facts, plots),
        courses={plane.spw: convergence(plane, made.iterations, plots) for plane, made in imaged if made},
        gantt=gantt(list(facts.nodes.values()), plots),
        drawn=True,
    )
    write_whole(folder / NAME, TypeAdapter(Drawings).dump_json(drawings, indent=1).decode() + "\n")
    return drawings


def read_drawings(facts: RunFacts, folder: Path) -> Drawings:
    """What `draw` noted in a folder; without a note that can be read, nothing is drawn."""
    try:
        return TypeAdapter(Drawings).validate_json((folder / NAME).read_bytes())
    except (OSError, ValidationError):
        return Drawings(Gallery({plane.spw: PlanePictures() for plane in facts.planes}, {}, 0))
