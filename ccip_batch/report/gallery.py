"""The pictures of all planes: thumbnails with a common stretch, large views, and their overlays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ccip_batch.casa.images import STOKES, RestoringBeam
from ccip_batch.imaging.previews import Previews
from ccip_batch.report.facts import PlaneFacts
from ccip_batch.report.pictures import (
    THUMB_SIDE,
    Frame,
    Stretches,
    beam_ellipse,
    colour,
    colour_table,
    contour_svg,
    grid_svg,
    montage,
    psf_svg,
    shrink,
    write_picture,
)

KINDS = {
    "image": "Image",
    "residual": "Residual",
    "rms": "rms",
    "pb": "Primary beam",
    "psf": "PSF",
}
PB_LEVELS = (0.2, 0.5, 0.8)
_MASKS = {"tier1": 'stroke="#ffd447" stroke-width="2.5"', "tier2": 'stroke="#5aff78" stroke-width="2.5"',
          "mask": 'stroke="#ffffff" stroke-width="2" stroke-dasharray="10 8"'}  # fmt: skip
_LARGEST_BEAM = 22.0
"""Size of the largest beam, percent of a thumbnail's width: drawn to scale, beams would be dots."""


@dataclass(frozen=True)
class Picture:
    """One Stokes plane of one kind."""

    full: str
    thumb: str
    words: str
    layers: dict[str, str]
    """Overlays: files by name."""


@dataclass(frozen=True)
class Bar:
    """A colour bar: its strip is `pictures/<colours>.jpg`."""

    colours: str
    unit: str
    ticks: Sequence[tuple[float, str]]


@dataclass
class PlanePictures:
    """All pictures of a plane."""

    pictures: dict[str, dict[str, Picture]] = field(default_factory=dict)
    """By kind and Stokes."""
    beam: str = ""
    """SVG ellipse in a box of 100 x 100, on the scale that all planes share."""
    montages: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    """By kind (`image`, `residual`): file and names of the rows."""


@dataclass
class Gallery:
    """All pictures of a run."""

    planes: dict[str, PlanePictures]
    """By spw group."""
    bars: dict[str, Bar]
    """By kind and Stokes: `image.I`."""
    reduced: int
    """Width of a picture's pixel in pixels of the image; 0 if there is no picture."""


def make_gallery(planes: Sequence[PlaneFacts], folder: Path) -> Gallery:
    """Write all pictures into `folder/pictures`. Only one plane's previews are in memory at a time."""
    target = folder / "pictures"
    target.mkdir(parents=True)
    stretches = Stretches()
    seen: set[str] = set()
    for plane in planes:
        previews = plane.previews(*KINDS)
        if previews:
            seen |= previews.arrays.keys()
            stretches.add(previews)
    made: dict[str, PlanePictures] = {}
    reduced = 0
    if seen:
        for name in ("sequential", "diverging"):
            strip = np.repeat(colour_table(name)[np.newaxis], 8, axis=0)
            write_picture(strip, target / f"{name}.jpg", 90)
    largest = max((beam.major_arcsec for plane in planes if (beam := _beam(plane))), default=1.0)
    for plane in planes:
        previews = plane.previews()
        made[plane.spw] = PlanePictures(beam=_beam_mark(plane, largest))
        if previews:
            writer = _PlaneWriter(plane, previews, stretches, target)
            made[plane.spw].pictures = writer.pictures()
            made[plane.spw].montages = writer.montages()
            reduced = max(reduced, int(previews.headers.get("image", {}).get("reduced", 0)))
    bars = {
        f"{kind}.{stokes}": Bar(stretch.colours, stretch.unit, stretch.ticks())
        for kind in KINDS
        if kind in seen
        for stokes in STOKES
        for stretch in [stretches.of(kind, stokes)]
    }
    return Gallery(made, bars, reduced)


def _beam(plane: PlaneFacts) -> RestoringBeam | None:
    return plane.images.beam if plane.images else None


def _beam_mark(plane: PlaneFacts, largest: float) -> str:
    """The beam in the lower left corner of a box of 100, on the same scale for all planes."""
    beam = _beam(plane)
    if beam is None:
        return ""
    frame = Frame({"CDELT1": 1 / 3600}, (1000, 1000))  # 1 arcsec per unit
    return beam_ellipse(frame, beam, (_LARGEST_BEAM / 2 + 3, 97 - _LARGEST_BEAM / 2), _LARGEST_BEAM / largest)


class _PlaneWriter:
    """Writes the pictures of one plane."""

    def __init__(self, plane: PlaneFacts, previews: Previews, stretches: Stretches, folder: Path) -> None:
        self._plane = plane
        self._previews = previews
        self._stretches = stretches
        self._folder = folder

    def pictures(self) -> dict[str, dict[str, Picture]]:
        """Write the pictures of all kinds that the plane has, in all Stokes parameters."""
        layers = self._layers() if "image" in self._previews else {}
        return {
            kind: {stokes: self._picture(kind, index, layers) for index, stokes in enumerate(STOKES)}
            for kind in KINDS
            if kind in self._previews
        }

    def montages(self) -> dict[str, tuple[str, list[str]]]:
        """Write the montages: iterations in rows, Stokes parameters in columns."""
        made = {}
        for kind in ("image", "residual"):
            found = montage(self._previews, kind)
            if found:
                name = f"{self._plane.label}.iterations.{kind}.jpg"
                write_picture(found[0], self._folder / name)
                made[kind] = (f"pictures/{name}", found[1])
        return made

    def _picture(self, kind: str, index: int, layers: dict[str, str]) -> Picture:
        stokes = STOKES[index]
        values = self._previews.arrays[kind][index].astype(np.float32)
        stretch = self._stretches.of(kind, stokes)
        name = f"{self._plane.label}.{kind}.{stokes}"
        write_picture(colour(values, stretch), self._folder / f"{name}.jpg")
        full = thumb = f"pictures/{name}.jpg"
        if max(values.shape) > 1.5 * THUMB_SIDE:
            thumb = f"pictures/{name}.small.jpg"
            write_picture(colour(shrink(values, THUMB_SIDE), stretch), self._folder / f"{name}.small.jpg")
        if kind == "psf":
            layers = self._psf_layer(values, name)
        finite = values[np.isfinite(values)]
        extremes = f", from {finite.min():.3g} to {finite.max():.3g} {stretch.unit}" if finite.size else ", all blank"
        words = f"spw {self._plane.spw}, {KINDS[kind].lower() if kind != 'psf' else 'PSF'}, Stokes {stokes}"
        return Picture(full, thumb, words + extremes.rstrip(), layers)

    def _layers(self) -> dict[str, str]:
        header = self._previews.headers["image"]
        shape = self._previews.arrays["image"].shape[1:]
        frame = Frame(header, (shape[0], shape[1]))
        files = {"grid": grid_svg(frame)}
        if "pb" in self._previews:
            pb = self._previews.arrays["pb"][0]
            lines = [(pb, PB_LEVELS, 'stroke="#ff8ad8" stroke-width="2.5"')]
            files["primary beam"] = contour_svg(frame, lines, self._ratio("pb"))
        masks = [kind for kind in _MASKS if kind in self._previews]
        if masks:
            outlines = [(self._previews.arrays[kind][0], (0.5,), _MASKS[kind]) for kind in masks]
            files["masks"] = contour_svg(frame, outlines, self._ratio(masks[0]))
        if beam := _beam(self._plane):
            mark = contour_svg(frame, [])
            ellipse = beam_ellipse(frame, beam, (45, frame.height - 70))
            files["beam"] = mark.replace(
                "</svg>", f'<g fill="#fff" fill-opacity=".35" stroke="#fff" stroke-width="2">{ellipse}</g></svg>'
            )
        return {name: self._write(f"{self._plane.label}.{name.replace(' ', '_')}.svg", text)
                for name, text in files.items()}  # fmt: skip

    def _ratio(self, kind: str) -> float:
        """How many pixels of the image's preview one of another kind's is wide. The last ones may be of fewer."""
        headers = self._previews.headers
        return float(headers[kind]["reduced"] / headers["image"]["reduced"])

    def _psf_layer(self, values: np.ndarray, name: str) -> dict[str, str]:
        beam = _beam(self._plane)
        if beam is None:
            return {}
        frame = Frame(self._previews.headers["psf"], (values.shape[0], values.shape[1]))
        return {"50% and fitted beam": self._write(f"{name}.svg", psf_svg(frame, values, beam))}

    def _write(self, name: str, text: str) -> str:
        (self._folder / name).write_text(text, encoding="utf-8")
        return f"pictures/{name}"
