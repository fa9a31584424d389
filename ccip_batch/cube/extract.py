"""Spectra: I, Q, U, V against frequency, with errors, at positions on the sky."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy import ndimage

from ccip_batch.cube.beams import GaussianBeam, common_beam
from ccip_batch.cube.convolve import Grid, Shift, Transfer
from ccip_batch.cube.planes import Plane, find_planes
from ccip_batch.errors import DataError

FORMATS = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable", ".xml": "votable", ".csv": "ascii.csv"}
"""Table formats by the ending of the file's name."""
_RA = ("ra", "raj2000", "ra_icrs", "_raj2000", "ra_deg", "alpha_j2000")
_DEC = ("dec", "dej2000", "de_icrs", "_dej2000", "dec_deg", "delta_j2000")
_NAME = ("name", "source_name", "component_name", "source", "id", "object")
_BEAMS_AROUND = 6
"""For the common beam, a box that reaches this many beams to each side is convolved."""


@dataclass(frozen=True)
class Position:
    """A place on the sky, ICRS, degrees."""

    name: str
    ra: float
    dec: float


def parse_position(ra: str, dec: str) -> Position:
    """A position from degrees (`203.4 16.7`) or sexagesimal (`13:33:35.8 +16:44:04`, hours and degrees).

    Raises DataError if it is not a position.
    """
    sexagesimal = any(mark in ra for mark in ":hms ")
    try:
        place = SkyCoord(ra, dec, unit=(units.hourangle if sexagesimal else units.deg, units.deg), frame="icrs")
    except (ValueError, TypeError) as error:
        raise DataError(f"Not a position: {ra!r} {dec!r} ({error}). Give degrees, or 13:33:35.8 +16:44:04.") from error
    return Position(f"J{_compact(place)}", float(place.ra.deg), float(place.dec.deg))


def read_catalogue(path: Path) -> list[Position]:
    """Positions from a table (ECSV, CSV, FITS, VOTable): columns ra and dec (degrees or with units), perhaps a name.

    Raises DataError if the file is not a table, lacks these columns, or has a row without a position.
    """
    try:
        table = Table.read(path, format=_format(path))
    except DataError:
        raise
    except Exception as error:  # each reader raises its own kinds
        raise DataError(f"{path.name} is not a table that can be read ({error}).") from error
    columns = {name.lower(): name for name in table.colnames}
    ra, dec = (_first(columns, names) for names in (_RA, _DEC))
    if ra is None or dec is None:
        raise DataError(f"{path.name}: no columns ra and dec; it has {', '.join(table.colnames)}.")
    name = _first(columns, _NAME)
    positions = []
    for number, row in enumerate(table, 1):
        place = parse_position(_cell(table, row, ra), _cell(table, row, dec))
        if not (math.isfinite(place.ra) and math.isfinite(place.dec)):
            raise DataError(f"{path.name}: row {number} has no position.")
        positions.append(Position(str(row[name]) if name else place.name, place.ra, place.dec))
    if not positions:
        raise DataError(f"{path.name}: the table has no rows.")
    return positions


def extract(
    source: Path, positions: Sequence[Position], *, in_common_beam: bool = False, beam: GaussianBeam | None = None
) -> Table:
    """I, Q, U, V at each position in each plane of a run folder or a folder of planes: a row a position and plane.

    Values (Jy/beam) are interpolated (cubic) at the position in the plane's own, corrected WCS; errors are the rms
    image's value there (which is large next to a bright source). NaN where a plane is blank, where the position is
    outside it, and for errors where the rms image has no positive value. V is NaN for planes without a V file. Rejected
    planes have a row too, see column `state`. A position outside all planes is taken for a slip: DataError.

    in_common_beam: convolve a box around each position to the common beam of the kept planes, or to `beam`, first; the
    errors are then scaled by what the convolution does to noise that is correlated over a beam: the square root of the
    ratio of the beams' areas.
    """
    planes = find_planes(source, "IQU")
    v_planes = _v_planes(source)
    target = None
    if in_common_beam or beam is not None:
        target = beam or common_beam([plane.beam for plane in planes if not plane.rejected] or [p.beam for p in planes])
    rows = []
    for position in positions:
        values = [_row(position, plane, v_planes.get(plane.group), target) for plane in planes]
        if not any(row["inside"] for row in values):
            raise DataError(f"{position.name} ({position.ra:.6f} {position.dec:+.6f}) lies outside all planes.")
        rows += values
    return _table(rows, planes, target)


def write_table(table: Table, path: Path, *, overwrite: bool = False) -> None:
    """Write spectra as ECSV, FITS, VOTable or CSV, by the ending of the name. Raises DataError if the file exists."""
    form = _format(path)
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists; choose another name, or give --overwrite.")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write(path, format=form, overwrite=overwrite)


def check_picture(path: Path) -> None:
    """Raise DataError if `plot` cannot write a picture with this ending of the name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    kinds = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in kinds:
        raise DataError(f"{path}: the plot cannot be written; end the name with one of {', '.join(sorted(kinds))}.")


def plot(table: Table, path: Path) -> None:
    """Draw the spectra, a row of panels (I, Q, U, V) a position, as PNG, PDF or SVG by the name's ending."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(table["name"]))
    figure = Figure(figsize=(14, 3 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(names), 4, squeeze=False, sharex=True)
    for row, name in zip(panels, names, strict=True):
        mine = table[table["name"] == name]
        for panel, stokes in zip(row, "IQUV", strict=True):
            for state, face in (("kept", "C0"), ("rejected", "none")):
                part = mine[mine["state"] == state]
                panel.errorbar(
                    part["frequency"] / 1e9, part[stokes] * 1e3, part[f"{stokes}_err"] * 1e3,
                    fmt="o", color="C0", markerfacecolor=face, label=state if len(part) else None,
                )  # fmt: skip
            panel.set(title=f"{name}  {stokes}", ylabel="mJy/beam", xlabel="GHz")
            if "rejected" in mine["state"]:
                panel.legend()
    try:
        figure.savefig(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: the plot cannot be written ({error}).") from error


def _v_planes(source: Path) -> dict[str, Plane]:
    try:
        return {plane.group: plane for plane in find_planes(source, "V")}
    except DataError as error:
        if "holds no plane" in str(error):
            return {}
        raise


def _row(position: Position, plane: Plane, v_plane: Plane | None, target: GaussianBeam | None) -> dict[str, Any]:
    x, y = (float(value) for value in plane.wcs.all_world2pix(position.ra, position.dec, 0))
    rows, columns = plane.shape
    inside = math.isfinite(x) and math.isfinite(y) and -0.5 <= x < columns - 0.5 and -0.5 <= y < rows - 0.5
    row: dict[str, Any] = {
        "name": position.name, "ra": position.ra, "dec": position.dec, "frequency": plane.frequency,
        "spw": plane.group.replace("_", ","), "state": "rejected" if plane.rejected else "kept", "inside": inside,
    }  # fmt: skip
    factor = math.sqrt(target.area / plane.beam.area) if target else 1.0
    for stokes in "IQUV":
        owner = v_plane if stokes == "V" else plane
        value = error = math.nan
        if owner is not None and inside:
            value = _value(owner, stokes, x, y, target)
            error = _rms(owner, stokes, x, y) * factor
        row[stokes], row[f"{stokes}_err"] = value, error
    return row


def _value(plane: Plane, stokes: str, x: float, y: float, target: GaussianBeam | None) -> float:
    """A Stokes parameter of a plane at column x, row y (from 0). target: convolve a box around the place to this beam
    first; None: take the plane as it is."""
    reach = 8
    if target is not None:
        reach += math.ceil(_BEAMS_AROUND * target.major_deg / abs(float(plane.header["CDELT2"])))
    left, low = max(0, math.floor(x) - reach), max(0, math.floor(y) - reach)
    box = _box(plane.path, plane.stokes.index(stokes), left, low, 2 * reach + 2)
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


def _rms(plane: Plane, stokes: str, x: float, y: float) -> float:
    if plane.rms_path is None:
        return math.nan
    rows, columns = plane.shape
    column, row = min(max(round(x), 0), columns - 1), min(max(round(y), 0), rows - 1)
    value = _box(plane.rms_path, plane.stokes.index(stokes), column, row, 1)
    # imdev's cubic interpolation can give zero and less, which is not a noise level.
    return float(value[0, 0]) if value.size and value[0, 0] > 0 else math.nan


def _box(path: Path, index: int, left: int, low: int, size: int) -> NDArray[np.float32]:
    """A square part of the file `path`. index: of the Stokes parameter in it. left, low: the first column and row, from
    0. size: of a side, pixels; less at the image's edge. Raises DataError if it cannot be read."""
    try:
        with fits.open(path, memmap=True) as hdus:
            section = hdus[0].section[index, 0, low : low + size, left : left + size]
            return np.array(section, dtype=np.float32)
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"{path.name}: the pixels cannot be read ({error}). Copy the file again.") from error


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


def _first(columns: dict[str, str], names: Sequence[str]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _cell(table: Table, row: Any, column: str) -> str:
    """A cell as text, in degrees if its column has another angular unit."""
    value, unit = row[column], table[column].unit
    if np.ma.is_masked(value):
        return "nan"
    if unit is not None and not isinstance(value, str):
        try:
            return repr(float((value * units.Unit(unit) if not hasattr(value, "unit") else value).to_value(units.deg)))
        except units.UnitConversionError:
            raise DataError(f"Column {column} is in {unit}, which is not an angle.") from None
    return str(value)


def _compact(place: SkyCoord) -> str:
    if not math.isfinite(place.ra.deg):
        return "nan"
    ra = place.ra.to_string(unit=units.hourangle, sep="", precision=1, pad=True)
    return str(ra + place.dec.to_string(sep="", precision=0, alwayssign=True, pad=True))
