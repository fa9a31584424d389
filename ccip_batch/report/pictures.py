"""From arrays to picture files: stretches, colour maps, JPEG files, and the SVG lines drawn over them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import contourpy
import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS
from PIL import Image

from ccip_batch.casa.images import STOKES, RestoringBeam
from ccip_batch.cube.planes.noise import madrms
from ccip_batch.imaging.previews import Previews

THUMB_SIDE = 200
QUALITY = 55
"""Of JPEG files. Images are mostly noise, which other formats store neither smaller nor faster."""
_LAST_LABEL = 880.0
"""Where a label of 9 characters just fits into a frame that is 1000 units wide."""
NO_VALUE = (96, 104, 112)
"""Colour of blank pixels."""
_GAP = 4
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" preserveAspectRatio="none">'
    "{body}</svg>\n"
)

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Stretch:
    """How values become colours: from low to high, logarithmic beyond `soft` on either side of zero (asinh)."""

    low: float
    high: float
    soft: float
    """0: linear."""
    colours: str
    """`sequential` or `diverging`."""
    unit: str

    def place(self, values: Any) -> Array:
        """Where on the colour bar a value is, 0 to 1 (nan stays nan)."""
        low, high = self._bend(self.low), self._bend(self.high)
        return np.asarray(np.clip((self._bend(values) - low) / (high - low), 0, 1))

    def _bend(self, values: Any) -> Any:
        return np.arcsinh(np.asarray(values, np.float32) / self.soft) if self.soft else np.asarray(values, np.float32)

    def ticks(self) -> list[tuple[float, str]]:
        """A few values to label: (place on the colour bar, text)."""
        inner = [0.0] if self.low < 0 < self.high else []
        if self.soft:
            decades = [sign * 10.0**power for power in range(-3, 5) for sign in (-1, 1)]
            inner += [value for value in decades if self.low < value < self.high and abs(value) > self.soft]
        elif not inner:
            inner = [(self.low + self.high) / 2]
        chosen = [(0.0, self.low), (1.0, self.high)]
        for value in sorted(inner, key=abs):
            place = float(self.place(value))
            if all(abs(place - other) > 0.17 for other, _ in chosen):
                chosen.append((place, value))
        return [(place, f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}") for place, value in sorted(chosen)]


@cache
def colour_table(name: str) -> Bytes:
    """256 colours: from black over red and yellow to white, or from blue over black to orange, zero in the middle."""
    if name == "sequential":
        import matplotlib

        return np.asarray(matplotlib.colormaps["inferno"](np.arange(256))[:, :3] * 255, np.uint8)
    stops = np.array([(190, 225, 255), (60, 140, 225), (16, 20, 28), (230, 120, 30), (255, 232, 190)], float)
    places = np.linspace(0, 1, 256)
    return np.stack([np.interp(places, np.linspace(0, 1, 5), stops[:, c]) for c in range(3)], 1).astype(np.uint8)


def colour(values: Array, stretch: Stretch) -> Bytes:
    """RGBA of an image [y, x], y upwards in the array and downwards in the result."""
    upright = values[::-1]
    index = np.nan_to_num(stretch.place(upright) * 255, nan=256).astype(np.uint16)
    table = np.full((257, 4), 255, np.uint8)
    table[:256, :3], table[256, :3] = colour_table(stretch.colours), NO_VALUE
    pixels: Bytes = table.view(np.uint32)[index, 0].view(np.uint8)  # four times faster than byte by byte
    return pixels.reshape(*index.shape, 4)


def write_picture(rgba: Bytes, path: Path, quality: int = QUALITY) -> None:
    """Write RGBA pixels as a JPEG file."""
    Image.fromarray(rgba).convert("RGB").save(path, format="JPEG", quality=quality, optimize=True)


def shrink(values: Array, side: int) -> Array:
    """Average blocks of pixels so that no side is longer than `side`; nan only where a whole block is blank."""
    by = max(1, math.ceil(max(values.shape) / side))
    if by == 1:
        return values
    height, width = (-(-n // by) * by for n in values.shape)
    padded = np.full((height, width), np.nan, np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    blocks = padded.reshape(height // by, by, width // by, by)
    count = np.isfinite(blocks).sum(axis=(1, 3))
    return np.where(count > 0, np.nansum(blocks, axis=(1, 3)) / np.maximum(count, 1), np.nan)


def noise(values: Array) -> float:
    """Robust standard deviation of the pixels that are not blank; a small number if all are.

    Zeros are left out: an image without a mask is zero outside the primary beam.
    """
    good = values[np.isfinite(values) & (values != 0)].astype(np.float64)
    return max(madrms(good[:: max(1, good.size // 30_000)]), 1e-6) if good.size else 1e-6


def percentile(values: Array, percent: float) -> float:
    """Percentile of the pixels that are not blank; 0 if all are."""
    good = values[np.isfinite(values)]
    return float(np.percentile(good[:: max(1, good.size // 100_000)], percent)) if good.size else 0.0


class Stretches:
    """One stretch per kind and Stokes parameter, common to all planes of a run."""

    def __init__(self) -> None:
        self._noise: dict[tuple[str, str], list[float]] = {}
        self._top: dict[tuple[str, str], list[float]] = {}

    def add(self, previews: Previews) -> None:
        """Include a plane."""
        for kind in ("image", "residual", "rms"):
            for index, stokes in enumerate(STOKES):
                if kind in previews:
                    values = previews.arrays[kind][index].astype(np.float32)
                    self._noise.setdefault((kind, stokes), []).append(noise(values))
                    top = percentile(np.abs(values), 99.5) if kind != "image" else float(np.nanmax(np.abs(values)))
                    self._top.setdefault((kind, stokes), []).append(top)

    def of(self, kind: str, stokes: str) -> Stretch:
        """The stretch of a kind (`image`, `residual`, `rms`, `pb`, `psf`)."""
        if kind == "pb":
            return Stretch(0.0, 1.0, 0.0, "sequential", "")
        if kind == "psf":
            return Stretch(-1.0, 1.0, 0.03, "diverging", "")
        sigma = float(np.median(self._noise.get((kind, stokes), [1.0])))
        top = max(self._top.get((kind, stokes), [1.0]))
        if kind == "rms":
            return Stretch(0.0, max(float(np.median(self._top.get((kind, stokes), [1.0]))), 1e-6), 0.0, "sequential",
                           "mJy/beam")  # fmt: skip
        if kind == "residual":
            return Stretch(-6 * sigma, 6 * sigma, 0.0, "diverging", "mJy/beam")
        if stokes == "I":
            return Stretch(-3 * sigma, max(top, 10 * sigma), 2 * sigma, "sequential", "mJy/beam")
        limit = max(top, 8 * sigma)
        return Stretch(-limit, limit, 2 * sigma, "diverging", "mJy/beam")


def montage(previews: Previews, kind: str) -> tuple[Bytes, list[str]] | None:
    """Iterations in rows, Stokes parameters in columns: a picture and the names of its rows; None if there are none.

    kind: `image` (the last row is the model), or `residual` (with the outline of the clean mask).
    """
    names = [f"iter{n}" for n in range(4) if f"iter{n}.{kind}" in previews]
    if not names:
        return None
    rows = []
    last = previews.arrays[f"{names[-1]}.{kind}"].astype(np.float32)
    sigma = [noise(plane) for plane in last]
    for name in names:
        mask = previews.arrays.get(f"{name}.mask") if kind == "residual" else None
        tiles = []
        for index, stokes in enumerate(STOKES):
            values = previews.arrays[f"{name}.{kind}"][index].astype(np.float32)
            top = max(float(np.nanmax(np.abs(last[index]))), 8 * sigma[index])
            if kind == "residual":
                stretch = Stretch(-8 * sigma[index], 8 * sigma[index], 0.0, "diverging", "")
            elif stokes == "I":
                stretch = Stretch(-3 * sigma[index], top, 2 * sigma[index], "sequential", "")
            else:
                stretch = Stretch(-top, top, 2 * sigma[index], "diverging", "")
            tile = colour(values, stretch)
            if mask is not None and mask.shape[1:] == values.shape:
                tile[_outline(mask[0])[::-1]] = (90, 255, 120, 255)
            tiles.append(tile)
        rows.append(_beside(tiles, axis=1))
    if kind == "image" and "model" in previews:
        model = previews.arrays["model"].astype(np.float32)
        tiles = []
        for plane in model:
            top = max(float(np.nanmax(np.abs(plane))), 1e-6)
            tiles.append(colour(_thick(plane), Stretch(-top, top, top / 100, "diverging", "")))
        rows.append(_beside(tiles, axis=1))
        names.append("model")
    return _beside(rows, axis=0), names


def _thick(plane: Array) -> Array:
    """The value furthest from 0 of each 3 x 3 box: clean components are single pixels, too small to see."""
    padded = np.pad(plane, 1)
    height, width = plane.shape
    boxes = np.stack([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)])
    high, low = boxes.max(axis=0), boxes.min(axis=0)
    thick: Array = np.where(high >= -low, high, low)
    return thick


def _outline(mask: Array) -> Array:
    inner = mask.copy()
    inner[1:-1, 1:-1] &= mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    inner[[0, -1]] = False
    inner[:, [0, -1]] = False
    return np.asarray(mask & ~inner)


def _beside(tiles: Sequence[Bytes], axis: int) -> Bytes:
    shape = list(tiles[0].shape)
    shape[axis] = _GAP
    gap = np.zeros(shape, np.uint8)
    parts = [part for tile in tiles for part in (tile, gap)][:-1]
    return np.concatenate(parts, axis=axis)


@dataclass(frozen=True)
class Frame:
    """The sky that a picture shows. It is 1000 units wide in every SVG."""

    header: dict[str, Any]
    shape: tuple[int, int]
    """(y, x) of the array that the header describes."""

    @property
    def height(self) -> float:
        """Height of the picture in units."""
        return 1000.0 * self.shape[0] / self.shape[1]

    @property
    def arcsec(self) -> float:
        """Arcsec per unit."""
        return abs(float(self.header["CDELT1"])) * 3600 * self.shape[1] / 1000.0

    def to_units(self, points: Array) -> Array:
        """Pixels (x, y), counted from 0, in units (x, y), with y downwards."""
        scale = 1000.0 / self.shape[1]
        return np.stack([(points[:, 0] + 0.5) * scale, self.height - (points[:, 1] + 0.5) * scale], 1)


def grid_svg(frame: Frame) -> str:
    """Lines of right ascension and declination, labelled; all right ascensions if a pole is in the frame."""
    with_wcs = {key: value for key, value in frame.header.items() if key != "reduced"}
    wcs = WCS(with_wcs).celestial
    height, width = frame.shape
    edge = np.array([(x, y) for x in (0, width / 2, width - 1) for y in (0, height / 2, height - 1)])
    ra, dec = wcs.wcs_pix2world(edge, 0).T
    middle_ra = wcs.wcs_pix2world([[(width - 1) / 2, (height - 1) / 2]], 0)[0][0]
    ra = middle_ra + (ra - middle_ra + 180) % 360 - 180
    pole = math.copysign(90.0, dec[0])
    x, y = wcs.wcs_world2pix([[middle_ra, pole]], 0)[0]
    polar, count, ends = 0 <= x < width and 0 <= y < height, 21, (dec.min(), dec.max())
    if polar:
        ends = (dec[np.argmax(np.abs(dec - pole))], pole)
        dec, ra, count = np.append(dec, pole), middle_ra + np.array([-180.0, 179.0]), 121
    body = []
    for axis, low, high, steps in (
        (0, ra.min(), ra.max(), [s / 240 for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 7200, 14400)]),
        (1, dec.min(), dec.max(), [m / 3600 for m in (10, 20, 30, 60, 120, 300, 600, 1200, 3600)]),
    ):
        step = next((step for step in steps if (high - low) / step <= 6), steps[-1])
        for value in np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step:
            along = np.linspace(*ends, count) if axis == 0 else np.linspace(ra.min(), ra.max() + polar, count)
            fixed = np.full(count, value)
            world = np.stack([fixed, along], 1) if axis == 0 else np.stack([along, fixed], 1)
            units = frame.to_units(wcs.wcs_world2pix(world, 0))
            body.append(f'<path d="{_path(units)}"/>')
            inside = units[(units[:, 0] > 0) & (units[:, 0] < 1000) & (units[:, 1] > 0) & (units[:, 1] < frame.height)]
            if len(inside):
                x, y = (inside[0, 0] + 6, frame.height - 12) if axis == 0 else (8, inside[-1, 1] - 6)
                if polar:  # lines meet, and end anywhere
                    x, y = inside[0, 0] + 6, min(frame.height - 12, max(24.0, inside[0, 1]))
                end = ""
                if x > _LAST_LABEL:  # to the left of its line, where there is room
                    x, end = x - 12, ' text-anchor="end"'
                text = _clock(value) if axis == 0 else _degrees(value)
                body.append(f'<text x="{x:.0f}" y="{y:.0f}"{end}>{text}</text>')
    style = (
        '<g fill="none" stroke="#7fe3ff" stroke-opacity=".55" stroke-width="1.2" font-family="sans-serif" '
        'font-size="20"><style>text{fill:#d8f6ff;stroke:#001018;stroke-opacity:.8;stroke-width:4px;paint-order:stroke}'
        "</style>"
    )
    return _svg(frame, [style, *body, "</g>"])


def contour_svg(frame: Frame, layers: Iterable[tuple[Array, Sequence[float], str]], scale: float | None = None) -> str:
    """Contours of arrays [y, x] that begin where the frame does.

    layers: an array, its contour levels, and the SVG attributes of the lines. scale: how many pixels of the frame one
    of theirs is wide; None: they cover the frame, whatever their shape.
    """
    body = []
    for values, levels, attributes in layers:
        filled = np.pad(np.nan_to_num(values.astype(np.float32)), 1)
        generator = contourpy.contour_generator(z=filled)
        ratio = np.array([scale or frame.shape[axis] / values.shape[axis] for axis in (1, 0)])
        paths = []
        for level in levels:
            for line in generator.lines(level):
                points = (np.asarray(line) - 1 + 0.5) * ratio - 0.5
                paths.append(_path(frame.to_units(points)))
        body.append(f'<path fill="none" {attributes} d="{" ".join(paths)}"/>')
    return _svg(frame, body)


def beam_ellipse(frame: Frame, beam: RestoringBeam, centre: tuple[float, float], enlarged: float = 1.0) -> str:
    """An SVG ellipse of a beam (position angle from north to east, east to the left) around a place (x, y) in units."""
    x, y = centre
    major, minor = (axis / frame.arcsec / 2 * enlarged for axis in (beam.major_arcsec, beam.minor_arcsec))
    return (
        f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{minor:.2f}" ry="{major:.2f}" '
        f'transform="rotate({-beam.pa_deg:.1f} {x:.1f} {y:.1f})"/>'
    )


def psf_svg(frame: Frame, psf: Array, beam: RestoringBeam) -> str:
    """The 50% contour of a psf, and that of the fitted beam, which it should match."""
    x, y = frame.to_units(np.array([[(psf.shape[1] - 1) / 2, (psf.shape[0] - 1) / 2]]))[0]
    ellipse = beam_ellipse(frame, beam, (x, y))
    dashed = f'<g fill="none" stroke="#ffffff" stroke-width="4" stroke-dasharray="12 8">{ellipse}</g>'
    contour = contour_svg(frame, [(psf, (0.5,), 'stroke="#5aff78" stroke-width="4"')])
    return contour.replace("</svg>", f"{dashed}</svg>")


def _svg(frame: Frame, body: Sequence[str]) -> str:
    return _SVG.format(width=1000, height=round(frame.height, 2), body="".join(body))


def _path(points: Array) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _clock(degrees: float) -> str:
    seconds = round(degrees % 360 * 240)
    return f"{seconds // 3600 % 24:02d}h{seconds // 60 % 60:02d}m{seconds % 60:02d}s"


def _degrees(degrees: float) -> str:
    total = round(abs(degrees) * 3600)
    return f"{'-' if degrees < 0 else '+'}{total // 3600:02d}°{total // 60 % 60:02d}′{total % 60:02d}″"
