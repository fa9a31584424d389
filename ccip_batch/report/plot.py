"""What the page must know of a plot that was written. It needs no matplotlib."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plot:
    """A plot that was written."""

    name: str
    """Its files are `plots/<name>.svg` and `plots/<name>.csv`."""
    title: str
    text: str
    """What it shows, in words that also serve without the picture."""
