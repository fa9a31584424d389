"""Pictures of two maps of Faraday depth peaks, RM and polarised intensity, and what the report must know of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from ccip_batch.cube.faraday import FaradayMaps
from ccip_batch.cube.planes.plane import celestial
from ccip_batch.records import write_whole

NOTE = "pictures.json"
_INCHES, _DPI = 8.0, 125


@dataclass(frozen=True)
class FaradayPicture:
    """One picture."""

    file: str
    """Its name."""
    words: str
    """What it shows; they also serve without it."""


def draw(maps: FaradayMaps, folder: Path) -> list[FaradayPicture]:
    """Draw RM and P of maps into a folder as `<imagename>.{RM,P}.map.png`.

    Where the pictures have fewer pixels than the maps, each shows the brightest of its block and of its neighbours.
    """
    header = fits.getheader(maps.paths["P"])
    spws, least = header.get("VLASSSPW", ""), header["SNRMIN"]
    of = f"{maps.pixels} pixels with a polarised S/N of {least:g} or more, spw {spws}"
    limit = max(10.0, _largest(np.abs(maps.previews["RM"])))
    top = 1e3 * _largest(maps.previews["P"])
    shown = _visible(maps, header)
    kinds = (
        ("RM", shown["RM"], (-limit, limit, "RdBu_r"), "Rotation measure (rad/m2)"),
        ("P", 1e3 * shown["P"], (0.0, top or 1.0, "viridis"), "Polarised intensity (mJy/beam)"),
    )
    made = []
    for name, values, scale, title in kinds:
        path = folder / maps.paths[name].with_suffix(".png").name
        _draw(values, _reduced_wcs(header, values.shape), scale, title, path)
        good = values[np.isfinite(values)]
        extremes = f", from {good.min():.3g} to {good.max():.3g}" if good.size else ""
        made.append(FaradayPicture(path.name, f"{title} of {of}{extremes}."))
    return made


def keep(pictures: Sequence[FaradayPicture], source: Path, folder: Path) -> None:
    """Copy pictures from folder `source` into another one, which `kept` reads; those of before are replaced."""
    folder.mkdir(exist_ok=True)
    for old in kept(folder):
        (folder / old.file).unlink(missing_ok=True)
    for picture in pictures:
        (folder / picture.file).write_bytes((source / picture.file).read_bytes())
    write_whole(folder / NOTE, json.dumps([asdict(picture) for picture in pictures], indent=1) + "\n")


def kept(folder: Path) -> list[FaradayPicture]:
    """The pictures that a folder keeps; none if it keeps none, or its note cannot be read."""
    try:
        pictures = [FaradayPicture(**one) for one in json.loads((folder / NOTE).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []
    return [one for one in pictures if Path(one.file).name == one.file and (folder / one.file).is_file()]


def _largest(values: NDArray[np.float32]) -> float:
    good = values[np.isfinite(values)]
    return float(np.percentile(good, 99)) if good.size else 0.0


def _visible(maps: FaradayMaps, header: fits.Header) -> dict[str, NDArray[np.float32]]:
    """The previews; where they are reduced, with sources of a pixel or two made three pixels wide."""
    shown = {name: values.copy() for name, values in maps.previews.items()}
    rows, columns = shown["P"].shape
    if rows == header["NAXIS2"]:
        return shown
    padded = {name: np.pad(values, 1, constant_values=np.nan) for name, values in maps.previews.items()}
    for y in range(3):
        for x in range(3):
            near = {name: values[y : y + rows, x : x + columns] for name, values in padded.items()}
            brighter = near["P"] > np.nan_to_num(shown["P"])
            for name, values in shown.items():
                values[brighter] = near[name][brighter]
    return shown


def _reduced_wcs(header: fits.Header, shape: tuple[int, ...]) -> WCS:
    """The coordinates of a preview, whose pixels are blocks of the map's."""
    wcs = celestial(header)
    block = math.ceil(header["NAXIS2"] / shape[0])
    wcs.wcs.crpix = (wcs.wcs.crpix - 0.5) / block + 0.5
    wcs.wcs.cdelt = wcs.wcs.cdelt * block
    return wcs


def _draw(values: NDArray[np.float32], wcs: WCS, scale: tuple[float, float, str], title: str, path: Path) -> None:
    """Draw a map. scale: least and largest value, and the name of the colours."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_INCHES, _INCHES * 0.85), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(projection=wcs)
    axes.set_facecolor("#9aa0a6")
    low, high, colours = scale
    image = axes.imshow(values, origin="lower", vmin=low, vmax=high, cmap=colours, interpolation="nearest")
    axes.coords[0].set_axislabel("Right ascension")
    axes.coords[1].set_axislabel("Declination")
    figure.colorbar(image, ax=axes, label=title, shrink=0.9)
    figure.savefig(path)
