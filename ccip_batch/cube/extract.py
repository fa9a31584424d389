"""Spectra: I, Q, U, V against frequency, with errors, at positions on the sky."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy import ndimage

from ccip_batch.cube.beams import GaussianBeam, common_beam
from ccip_batch.cube.catalogue import Position
from ccip_batch.cube.convolve import Grid, Shift, Transfer
from ccip_batch.cube.plane_file import PlaneFile
from ccip_batch.cube.plane_search import NoPlanesError
from ccip_batch.cube.planes import Plane, find_planes
from ccip_batch.cube.table_texts import FORMATS
from ccip_batch.errors import DataError
from ccip_batch.records import whole_file

_MOST_PANELS = 200
"""Positions in a plot; a picture of more is too high for its formats."""
_BEAMS_AROUND = 6
"""For the common beam, a box that reaches this many beams to each side is convolved."""


def extract(
    source: Path,
    positions: Sequence[Position],
    *,
    in_common_beam: bool = False,
    beam: GaussianBeam | None = None,
    warn: Callable[[str], None] | None = None,
) -> Table:
    """I, Q, U, V at each position in each plane of a run folder or a folder of planes: a row a position and plane.

    Values (Jy/beam) are interpolated (cubic) at the position in the plane's own, corrected WCS; errors are the rms
    image's value there (which is large next to a bright source). Each file is read at its own pixels, which need not be
    those of its companions. NaN where a plane is blank, where the position is outside it, and for errors where the rms
    image has no positive value. V is NaN for planes without a V file. Rejected planes have a row too, see column
    `state`. Positions outside all planes are left out, and `warn` is told of them; DataError if all are.

    in_common_beam: convolve a box around each position to the common beam of the kept planes, or to `beam`, first; the
    errors are then scaled by what the convolution does to noise that is correlated over a beam: the square root of the
    ratio of the beams' areas.

    warn: is told what looks like a plane and is not taken, and where V is not there.
    """
    say = warn or (lambda line: None)
    planes = find_planes(source, "IQU", warn=say)
    v_planes = _v_planes(source, planes, say)
    target = None
    if in_common_beam or beam is not None:
        target = beam or common_beam([plane.beam for plane in planes if not plane.rejected] or [p.beam for p in planes])
    rows, outside = [], []
    for position in positions:
        values = [_row(position, plane, v_planes.get(plane.group), target) for plane in planes]
        if any(row["inside"] for row in values):
            rows += values
        else:
            outside.append(f"{position.name} ({position.ra:.6f} {position.dec:+.6f})")
    if not rows:
        more = f", like the {len(outside) - 1} others" if len(outside) > 1 else ""
        raise DataError(f"{outside[0]} lies outside all planes{more}. Give positions in the image, ICRS.")
    if warn:
        for place in outside:
            warn(f"left out: {place} lies outside all planes")
    return _table(rows, planes, target)


def check_out(out: Path, picture: Path | None, *, overwrite: bool = False, positions: int = 1) -> None:
    """Raise DataError, before any work is done, if spectra cannot be written to `out`, or their plot to `picture`."""
    _format(out)
    for path in filter(None, (out, picture)):
        if path.is_dir():
            raise DataError(f"{path} is a folder; name a file.")
        if any(not letter.isprintable() for letter in path.name):
            raise DataError(f"{str(path)!r} cannot be the name of a file of spectra; choose another.")
    if out.exists() and not overwrite:
        raise DataError(f"{out} exists; choose another name, or give --overwrite.")
    if picture:
        _check_picture(picture)
        if positions > _MOST_PANELS:
            raise DataError(
                f"{picture}: a plot has at most {_MOST_PANELS} positions, not {positions}; leave --plot out, or give "
                "fewer positions."
            )


def _check_picture(path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    kinds = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in kinds:
        raise DataError(f"{path}: the plot cannot be written; end the name with one of {', '.join(sorted(kinds))}.")


def write_spectra(table: Table, out: Path, picture: Path | None = None, *, overwrite: bool = False) -> None:
    """Write spectra as ECSV, FITS, VOTable or CSV, by the ending of the name, and their plot: both or neither.

    Raises DataError as `check_out` does, or if such a file cannot hold them.
    """
    check_out(out, picture, overwrite=overwrite)
    with ExitStack() as stack:
        for path, write in ((out, _write_table), (picture, plot)):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write(table, stack.enter_context(whole_file(path)))


def _write_table(table: Table, path: Path) -> None:
    try:
        table.write(path, format=_format(path), overwrite=True)
    except (UnicodeError, ValueError) as error:
        raise DataError(f"A {path.suffix} table cannot hold these spectra ({error}). Choose an .ecsv file.") from error


def plot(table: Table, path: Path) -> None:
    """Draw the spectra, a row of panels (I, Q, U, V) a position, as PNG, PDF or SVG by the name's ending."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    starts = np.flatnonzero(table["spw"] == table["spw"][0])  # each position has a row a plane
    figure = Figure(figsize=(14, 3 * len(starts)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(starts), 4, squeeze=False, sharex=True)
    for row, first, end in zip(panels, starts, [*starts[1:], len(table)], strict=True):
        mine = table[first:end]
        for panel, stokes in zip(row, "IQUV", strict=True):
            for state, face in (("kept", "C0"), ("rejected", "none")):
                part = mine[mine["state"] == state]
                panel.errorbar(
                    part["frequency"] / 1e9, part[stokes] * 1e3, part[f"{stokes}_err"] * 1e3,
                    fmt="o", color="C0", markerfacecolor=face, label=state if len(part) else None,
                )  # fmt: skip
            panel.set(ylabel="mJy/beam", xlabel="GHz")
            panel.set_title(f"{mine['name'][0]}  {stokes}", parse_math=False)  # a name is no formula
            if "rejected" in mine["state"]:
                panel.legend()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of letters that the font lacks
            figure.savefig(path)
    except ValueError as error:
        raise DataError(f"{path}: the plot cannot be written ({error}).") from error


def _v_planes(source: Path, planes: Sequence[Plane], say: Callable[[str], None]) -> dict[str, Plane]:
    """The V planes that go with `planes`, by group."""
    try:
        found = {plane.group: plane for plane in find_planes(source, "V", warn=say)}
    except NoPlanesError as error:
        found = {}
        for line in error.passed_over:
            say(line)
    for plane in planes:
        if plane.group in found and found[plane.group].common != plane.common:
            say(f"{found[plane.group].path.name} is not taken: {plane.path.name} has another beam.")
            del found[plane.group]
    without = [plane.group.replace("_", ",") for plane in planes if plane.group not in found]
    if without:
        say(f"No V plane for spw {'; '.join(without)}: V is blank (NaN) there.")
    return found


def _row(position: Position, plane: Plane, v_plane: Plane | None, target: GaussianBeam | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": position.name, "ra": position.ra, "dec": position.dec, "frequency": plane.frequency,
        "spw": plane.group.replace("_", ","), "state": "rejected" if plane.rejected else "kept", "inside": False,
    }  # fmt: skip
    for owner in (plane, v_plane):
        # Each file by its own pixels: somebody may have cut some of them.
        place = owner.pixel(position.ra, position.dec) if owner else None
        row["inside"] |= place is not None
        for stokes in owner.stokes if owner else "V":
            value = error = math.nan
            if owner is not None and place is not None:
                value = _value(owner, stokes, *place, target)
                error = _rms(owner, stokes, position) * (math.sqrt(target.area / owner.beam.area) if target else 1.0)
            row[stokes], row[f"{stokes}_err"] = value, error
    return row


def _value(plane: Plane, stokes: str, x: float, y: float, target: GaussianBeam | None) -> float:
    """A Stokes parameter of a plane at column x, row y (from 0). target: convolve a box around the place to this beam
    first; None: take the plane as it is."""
    reach = 8
    if target is not None:
        reach += math.ceil(_BEAMS_AROUND * target.major_deg / abs(float(plane.header["CDELT2"])))
    left, low = max(0, math.floor(x) - reach), max(0, math.floor(y) - reach)
    box = _box(plane.file, stokes, left, low, 2 * reach + 2)
    if target is not None:
        cdelt = float(plane.header["CDELT1"]), float(plane.header["CDELT2"])
        grid = Grid(box.shape, (0.0, 0.0), (1.0, 1.0), cdelt, WCS(naxis=2))
        box = Transfer(plane.beam, target, grid.shape, grid, Shift(0.0, 0.0, 0.0), "linear").apply(box)
    return interpolate(box, x - left, y - low)


def interpolate(image: NDArray[np.float32], x: float, y: float) -> float:
    """An image's value at column x, row y (from 0): cubic spline; linear where one of the 16 pixels around is blank or
    off the image; NaN where one of the four next to it is."""
    column, row = math.floor(x), math.floor(y)
    for order, before, after in ((3, 1, 3), (1, 0, 2)):
        # A place on a pixel's centre does not need that pixel's far neighbour.
        right, top = (after - (order == 1 and part == 0) for part in (x - column, y - row))
        rows, columns = slice(row - before, row + top), slice(column - before, column + right)
        fits_in = (
            rows.start >= 0 and columns.start >= 0 and rows.stop <= image.shape[0] and columns.stop <= image.shape[1]
        )
        if fits_in and np.isfinite(image[rows, columns]).all():
            filled = np.where(np.isfinite(image), image, 0).astype(np.float64)
            return float(ndimage.map_coordinates(filled, [[y], [x]], order=order, mode="mirror")[0])
    return math.nan


def _rms(plane: Plane, stokes: str, position: Position) -> float:
    """The rms of a plane's Stokes parameter in the pixel at a position; NaN where its rms image tells none."""
    place = plane.rms.pixel(position.ra, position.dec) if plane.rms else None
    if plane.rms is None or place is None:
        return math.nan
    value = _box(plane.rms.file, stokes, round(place[0]), round(place[1]), 1)
    # imdev's cubic interpolation can give zero and less, which is not a noise level.
    return float(value[0, 0]) if value.size and value[0, 0] > 0 else math.nan


def _box(file: PlaneFile, stokes: str, left: int, low: int, size: int) -> NDArray[np.float32]:
    """A square part of a Stokes parameter of a file. left, low: the first column and row, from 0. size: of a side,
    pixels; less at the image's edge. Raises DataError if it cannot be read."""
    return file.read(stokes, slice(low, low + size), slice(left, left + size))


def _table(rows: list[dict[str, Any]], planes: list[Plane], target: GaussianBeam | None) -> Table:
    for row in rows:
        del row["inside"]
    table = Table(rows=rows)
    table["ra"].unit = table["dec"].unit = units.deg
    table["frequency"].unit = units.Hz
    for stokes in "IQUV":
        table[stokes].unit = table[f"{stokes}_err"].unit = units.Jy / units.beam
    table.meta["IMAGE"] = planes[0].imagename
    table.meta["BEAM"] = str(target) if target else "each plane's own"
    return table


def _format(path: Path) -> str:
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise DataError(f"{path.name}: a table's name ends in {', '.join(FORMATS)}.")
    return form
