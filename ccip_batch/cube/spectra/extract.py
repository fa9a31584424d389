"""Spectra: I, Q, U, V against frequency, with errors, at positions on the sky."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Table
from numpy.typing import NDArray

from ccip_batch.cube.beams import common_beam
from ccip_batch.cube.planes.plane import Plane, find_planes
from ccip_batch.cube.planes.search import NoPlanesError
from ccip_batch.cube.spectra.catalogue import Position
from ccip_batch.cube.spectra.measure import Photometry, measure, too_broad
from ccip_batch.errors import DataError

_MOST_TOLD = 10


def extract(
    source: Path,
    positions: Sequence[Position],
    how: Photometry | None = None,
    *,
    warn: Callable[[str], None] | None = None,
) -> Table:
    """I, Q, U, V at each position in each plane of a run folder or a folder of planes: a row a position and plane.

    Positions are looked up in each plane's own, corrected WCS. Errors are the noise of what is measured, from the rms
    image's value at the position (which is large next to a bright source) and the correlation of the plane's noise; of
    values between pixels also what the interpolation may be wrong by. Where a value is less than `how.limit` errors,
    column `<Stokes>_limit` has so many errors, and NaN elsewhere. Each file is read at its own pixels, which need not
    be those of its companions. NaN where a plane is blank, where the position is outside it, and for errors where the
    rms image has no positive value. V is NaN for planes without a V file. Rejected planes have a row too, see column
    `state`. Positions outside all planes are left out, and `warn` is told of them; DataError if all are.

    how: what is measured, and in which beam. In another beam than the planes' own, a box around each position is
    convolved, and errors are those of the convolved noise. Rejected planes with a larger beam are NaN.

    warn: is told what looks like a plane and is not taken, where V is not there, and what has no value or no error.
    """
    say = warn or (lambda line: None)
    how = how or Photometry()
    planes = find_planes(source, "IQU", warn=say)
    v_planes = _v_planes(source, planes, say)
    _tell_no_rms([*planes, *v_planes.values()], say)
    target = how.beam
    if how.in_common_beam and target is None:
        target = common_beam([plane.beam for plane in planes if not plane.rejected] or [p.beam for p in planes])
    broad = [plane.group.replace("_", ",") for plane in planes if too_broad(plane, target)]
    if broad:
        say(f"The rejected plane(s) of spw {'; '.join(broad)} are blank (NaN): their beams are larger than {target}.")
    measured = [measure(plane, v_planes.get(plane.group), positions, how, target) for plane in planes]
    columns = {name: np.stack([one[name] for one in measured], axis=1) for name in measured[0]}
    inside = np.asarray(columns.pop("inside").any(axis=1), dtype=np.bool_)
    outside = [f"{p.name} ({p.ra:.6f} {p.dec:+.6f})" for p, there in zip(positions, inside, strict=True) if not there]
    if len(outside) == len(positions):
        more = f", and so do all others ({len(outside) - 1})" if len(outside) > 1 else ""
        raise DataError(f"{outside[0]} lies outside all planes{more}. Give positions in the image, ICRS.")
    for place in outside:
        say(f"left out: {place} lies outside all planes")
    _tell_blanks(positions, columns | {"inside": inside}, say)
    table = _table([p for p, there in zip(positions, inside, strict=True) if there], planes, how)
    for name, values in columns.items():
        table[name] = values[inside].ravel()
        table[name].unit = how.columns().get(name, how.unit)
    for stokes in "IQUV":
        table[f"{stokes}_limit"] = _limits(table[stokes].data, table[f"{stokes}_err"].data, how.limit)
        table[f"{stokes}_limit"].unit = how.unit
    table.meta["BEAM"] = str(target) if target else "each plane's own"
    return table


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


def _tell_no_rms(planes: Sequence[Plane], say: Callable[[str], None]) -> None:
    """Which planes have no errors, so that what is measured in them has no upper limit and no rotation measure."""
    without = [f"{plane.group.replace('_', ',')} {plane.stokes}" for plane in planes if plane.rms is None]
    if without:
        say(f"No rms image for spw {'; '.join(without)}: errors are blank (NaN) there. Put the .rms files there too.")


def _tell_blanks(positions: Sequence[Position], columns: dict[str, NDArray[Any]], say: Callable[[str], None]) -> None:
    """Positions on the planes that have no value of Stokes I in any of them, or values and nowhere an error."""
    value, error = (np.isfinite(columns[name]).any(axis=1) for name in ("I", "I_err"))
    for found, what in (
        (columns["inside"] & ~value, "no value in any plane"),
        (value & ~error, "without errors: the rms images are blank or not there"),
    ):
        names = [position.name for position, blank in zip(positions, found, strict=True) if blank]
        if names:
            more = f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else ""
            say(f"{what}: {', '.join(names[:_MOST_TOLD])}{more}")


def _table(positions: Sequence[Position], planes: Sequence[Plane], how: Photometry) -> Table:
    """What is known before anything is measured: a row a position and plane."""
    rows = [
        {
            "name": position.name, "ra": position.ra, "dec": position.dec, "frequency": plane.frequency,
            "spw": plane.group.replace("_", ","), "state": "rejected" if plane.rejected else "kept",
        }
        for position in positions
        for plane in planes
    ]  # fmt: skip
    table = Table(rows=rows)
    table["ra"].unit = table["dec"].unit = units.deg
    table["frequency"].unit = units.Hz
    table.meta["IMAGE"] = planes[0].imagename
    table.meta["MEASURE"] = f"aperture of {how.aperture:g} arcsec" if how.aperture else how.measure
    table.meta["LIMIT"] = how.limit
    return table


def _limits(values: NDArray[np.float64], errors: NDArray[np.float64], number: float) -> NDArray[np.float64]:
    """Upper limits of what is not detected: `number` errors; NaN where it is, or where there is no error."""
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(values) < number * errors, number * errors, np.nan)
