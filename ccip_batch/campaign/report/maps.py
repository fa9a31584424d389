"""What the sky maps show, and in words; the page draws them."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.colors import to_hex

from ccip_batch.campaign.report.gathering import CampaignFacts, Floats
from ccip_batch.report.words import count

_MARGIN, _LEAST = 0.8, 5.0
"""Degrees beyond the outermost squares, and of the smallest map."""
_GAP = 15.0
"""Degrees of right ascension without squares; if there is no such gap, the map goes all the way round."""
_FLATTEST = 0.2
"""Height of a map over its width, at least."""
_COLOURS = 24
_USUAL = (2.0, 98.0)
"""Percentiles between which the colours of the noise change."""


@dataclass(frozen=True)
class Extent:
    """The part of the sky that has squares, degrees."""

    west: float
    """Right ascension at the right edge, from 0 to 360."""
    width: float
    """Of right ascension, to the left edge."""
    south: float
    north: float


@dataclass(frozen=True)
class Maps:
    """Both maps."""

    extent: Extent | None
    """None if no place of a square is known."""
    states: str
    """What the map of states shows, in words."""
    noise: str
    scale: tuple[float, float] | None
    """mJy/beam at both ends of the colours; None if no noise is known."""
    colours: list[str]
    """From little to much noise."""
    unplaced: int
    """Squares whose place is not known."""


def maps(facts: CampaignFacts) -> Maps:
    """Describe both maps."""
    squares = facts.squares
    placed = np.isfinite(squares.ra) & np.isfinite(squares.dec)
    where = extent(squares.ra[placed], squares.dec[placed])
    rms = squares.rms[placed & np.isfinite(squares.rms)] * 1e3
    scale = None
    if len(rms):
        low, high = (float(value) for value in np.percentile(rms, _USUAL))
        scale = (low, high) if high > low else (low * 0.95, low * 1.05)
    states = ", ".join(f"{number} {name}" for name, number in facts.state.counts.items() if number)
    sky = "" if where is None else f" on the sky, {_range(where)}"
    noise = (
        f"{count(len(rms), 'square')}{sky}, coloured by the median rms of their planes: from {scale[0]:.3g} to "
        f"{scale[1]:.3g} mJy/beam, median {float(np.median(rms)):.3g} mJy/beam"
        if scale
        else "no noise is known yet"
    )
    palette = matplotlib.colormaps["viridis"](np.linspace(0, 1, _COLOURS))
    return Maps(
        extent=where,
        states=f"{count(int(placed.sum()), 'square')}{sky}, coloured by state. All squares: {states}",
        noise=noise,
        scale=scale,
        colours=[to_hex(colour) for colour in palette],
        unplaced=int((~placed).sum()),
    )


def extent(ra: Floats, dec: Floats) -> Extent | None:
    """The part of the sky that these places cover; what lies on both sides of right ascension 0 is not torn apart."""
    if not len(ra):
        return None
    turned = np.sort(ra % 360)
    gaps = np.diff(turned, append=turned[0] + 360)
    largest = int(np.argmax(gaps))
    margin = _MARGIN / max(0.02, float(np.cos(np.radians(np.abs(dec).max()))))
    width = 360 - float(gaps[largest]) + 2 * margin
    west = float(turned[(largest + 1) % len(turned)]) - margin
    if gaps[largest] < _GAP or width >= 360:
        west, width = 0.0, 360.0
    else:
        west, east = _at_least(west, west + width, _LEAST)
        width = east - west
    least = max(_LEAST, width * _FLATTEST * float(np.cos(np.radians(np.median(dec)))))
    south, north = _at_least(float(dec.min()) - _MARGIN, float(dec.max()) + _MARGIN, least)
    return Extent(west % 360, width, max(-90.0, south), min(90.0, north))


def _at_least(low: float, high: float, least: float) -> tuple[float, float]:
    missing = max(0.0, least - (high - low)) / 2
    return low - missing, high + missing


def _range(where: Extent) -> str:
    ra = "all right ascensions" if where.width >= 360 else (
        f"right ascension {where.west:.1f} to {(where.west + where.width) % 360:.1f} degrees"
    )  # fmt: skip
    return f"{ra}, declination {where.south:.1f} to {where.north:.1f} degrees"
