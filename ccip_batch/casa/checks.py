"""Checks that CASA did its work: it can return without an error and leave zeros, NaN, or a beam that it never fitted.

Each check only reads, and raises what is wrong, where, and what to do. What is only suspicious stops nothing; see
`flux_jumps`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from ccip_batch.casa.images import STOKES, RestoringBeam, Statistics, image_shape, read_plane
from ccip_batch.casa.measurement_set import row_chunks
from ccip_batch.casa.session import Casa
from ccip_batch.cube.planes.header import STOKES_NUMBERS
from ccip_batch.errors import CasaError, DataError

BEAM_AREA_FACTOR = 3.0
"""How far the area of a fitted beam may be from that of the psf above half its peak. Coarse pixels make a third."""
LOST_FLAGS = 0.05
"""Fraction of the data flagged so far that a flag version may unflag. Flags of the same rows unflag nothing; moved by
one row they unflag 15% in a simulation, in random order 90%."""
SAMPLED = 16
"""Every n-th pixel of a row and of a column is read first, which takes a fiftieth of the time of the whole plane. One
pixel with a value is enough; the whole plane is read only if none of these has one."""
_LOG = "See casa.log of the node, and run it again; if it stays, leave this spw group out."


def check_planes(casa: Casa, image: str) -> None:
    """That an image has I, Q, U, V in this order, none of them blank or zero. Raises CasaError."""
    with casa.image(image) as tool:
        order = [str(stokes) for stokes in tool.coordsys().stokes()]
    if order != list(STOKES):
        raise CasaError(f"{image} has the Stokes planes {', '.join(order)} instead of {', '.join(STOKES)}. {_LOG}")
    for index, stokes in enumerate(STOKES):
        some, valid = read_plane(casa, image, index, step=SAMPLED)
        if not some[valid & np.isfinite(some)].any():
            values, valid = read_plane(casa, image, index)
            _check_values(values[valid], f"Stokes {stokes} of {image}")


def check_statistics(image: str, statistics: Mapping[str, Statistics]) -> None:
    """As `check_planes` for an image whose statistics are known, keyed by Stokes. Raises CasaError."""
    for stokes, one in statistics.items():
        if not one.pixels:
            raise CasaError(f"Stokes {stokes} of {image} has no finite pixel. {_LOG}")
        if one.max == 0 and one.min == 0:
            raise CasaError(f"Stokes {stokes} of {image} is zero everywhere. {_LOG}")


def _check_values(values: npt.NDArray[np.floating], what: str) -> None:
    finite = np.isfinite(values)
    if not finite.any():
        raise CasaError(f"{what} has no finite pixel. {_LOG}")
    if not values[finite].any():
        raise CasaError(f"{what} is zero everywhere. {_LOG}")


def check_fits(path: Path, stokes: str) -> None:
    """That a FITS image has these Stokes planes in this order, none of them blank or zero. Raises CasaError."""
    with fits.open(path, memmap=True) as hdus:
        header, data = hdus[0].header, hdus[0].data
        axis = next((n for n in range(1, header["NAXIS"] + 1) if header.get(f"CTYPE{n}") == "STOKES"), None)
        if axis is None:
            raise CasaError(f"{path.name} has no Stokes axis. {_LOG}")
        first, step = (
            header[f"CRVAL{axis}"] + header[f"CDELT{axis}"] * (1 - header[f"CRPIX{axis}"]),
            header[f"CDELT{axis}"],
        )
        found = [first + step * n for n in range(header[f"NAXIS{axis}"])]
        if found != [STOKES_NUMBERS[letter] for letter in stokes]:
            numbers = ", ".join(f"{number:g}" for number in found)
            legend = ", ".join(f"{letter}={number}" for letter, number in STOKES_NUMBERS.items())
            raise CasaError(f"{path.name} has the Stokes planes {numbers} ({legend}) instead of {stokes}. {_LOG}")
        planes = np.moveaxis(data, header["NAXIS"] - axis, 0)
        for letter, plane in zip(stokes, planes, strict=True):
            _check_values(plane, f"Stokes {letter} of {path.name}")


def check_beam(casa: Casa, psf: str, beam: RestoringBeam) -> None:
    """That a beam is valid and that of the psf: where its fit fails, CASA goes on with a default. Raises CasaError."""
    if not (math.isfinite(beam.pa_deg) and math.inf > beam.major_arcsec >= beam.minor_arcsec > 0):
        raise CasaError(f"the beam of {psf} was not fitted: {beam}. {_LOG}")
    values, _ = read_plane(casa, psf)
    peak = float(np.nanmax(values)) if np.isfinite(values).any() else math.nan
    if not peak > 0:
        raise CasaError(f"{psf} has no positive pixel: no beam can be fitted. {_LOG}")
    with casa.image(psf) as tool:
        cell_x, cell_y = tool.coordsys().increment(type="direction", format="n")["numeric"][:2]
    cell = math.degrees(math.sqrt(abs(cell_x * cell_y))) * 3600.0
    fitted = math.pi / 4 * beam.major_arcsec * beam.minor_arcsec / cell**2
    seen = _pixels_of_main_lobe(values, peak)
    if not 1 / BEAM_AREA_FACTOR <= fitted / seen <= BEAM_AREA_FACTOR:
        raise CasaError(
            f"the beam of {psf} was not fitted: {beam.major_arcsec:.3g} x {beam.minor_arcsec:.3g} arcsec has the area "
            f"of {fitted:.3g} pixels, but {seen} pixels of the psf are above half its peak. {_LOG}"
        )


def _pixels_of_main_lobe(psf: npt.NDArray[np.float32], peak: float) -> int:
    """Number of pixels above half the peak that are connected with it."""
    from scipy import ndimage

    labels, _ = ndimage.label(psf > peak / 2)
    return int((labels == labels[np.unravel_index(np.nanargmax(psf), psf.shape)]).sum())


def check_mask(casa: Casa, source: str, mask: str, template: str) -> None:
    """That the mask of an iteration has pixels, and is of the sky of the plane. Raises DataError.

    source: the mask of SE-CONT; mask: what was made of it on the pixels of template, an image of the plane.
    """
    remedy = "Check that reimaging_resources.tgz is of this square degree."
    if not (read_plane(casa, source)[0] > 0).any():
        raise DataError(f"{Path(source).name} is empty: no pixel of it is to be cleaned. {remedy}")
    if image_shape(casa, source)[:2] == image_shape(casa, template)[:2]:
        offset = _offset(casa, source, template)
        if not offset <= 1.0:
            raise DataError(f"{Path(source).name} is of another part of the sky: {offset:.3g} pixels off. {remedy}")
    elif not (read_plane(casa, mask)[0] > 0).any():
        raise DataError(f"{Path(source).name} is of another part of the sky: none of it is in the image. {remedy}")


def _offset(casa: Casa, image: str, template: str) -> float:
    """How many pixels at most the corners of template are from where an image of the same shape has them."""
    with casa.image(template) as tool:
        width, height = (int(n) for n in tool.shape()[:2])
        corners = [(x, y) for x in (0, width - 1) for y in (0, height - 1)]
        world = [tool.toworld([x, y, 0, 0], "n")["numeric"][:2] for x, y in corners]
    offset = 0.0
    try:
        with casa.image(image) as tool:
            rest = list(tool.coordsys().referencevalue(format="n")["numeric"][2:])
            for corner, place in zip(corners, world, strict=True):
                pixel = tool.topixel([*place, *rest])["numeric"][:2]
                offset = max(offset, math.dist(corner, pixel))
    except CasaError:  # so far off that the projection has no pixel for the place
        return math.inf
    return offset


def check_model(casa: Casa, vis: str, model: str) -> float:
    """That MODEL_DATA is finite, and not zero in a spw with data; gives its largest absolute value, Jy.

    model: the image it was predicted from. 0 if all data are flagged. Raises CasaError.
    """
    with casa.table(vis) as table:
        if "MODEL_DATA" not in table.colnames():
            raise CasaError(f"tclean filled no MODEL_DATA in {vis}: the prediction failed; see casa.log.")
    peaks: dict[int, float] = {}
    for spw, cells in _cells(casa, vis, ("MODEL_DATA", "FLAG")):
        used = np.abs(cells["MODEL_DATA"][~cells["FLAG"]])
        if not used.size:
            continue
        peak = float(used.max())
        if not math.isfinite(peak):
            raise CasaError(f"MODEL_DATA of spw {spw} in {vis} is not finite after the prediction from {model}. {_LOG}")
        peaks[spw] = max(peaks.get(spw, 0.0), peak)
    empty = sorted(spw for spw, peak in peaks.items() if not peak > 0)
    if empty:
        where = "everywhere" if len(empty) == len(peaks) else f"in spw {', '.join(map(str, empty))}"
        raise CasaError(
            f"MODEL_DATA of {vis} is zero {where} after the prediction from {model}. Check that the model images of "
            "reimaging_resources.tgz have a source in them and are of this square degree."
        )
    return max(peaks.values(), default=0.0)


def weight_sum(casa: Casa, vis: str) -> float:
    """Sum of all weights, which shows whether statwt has changed any."""
    total = 0.0
    with casa.table(vis) as table:
        for start, number in row_chunks(table.nrows()):
            total += float(table.getcol("WEIGHT", start, number).sum(dtype=np.float64))
    return total


def check_weights(casa: Casa, vis: str) -> None:
    """That statwt has given weights that are finite, not negative, and in no spw all zero.

    Only data that are not flagged count. Raises CasaError.
    """
    with casa.table(vis) as table:
        column = "WEIGHT_SPECTRUM" if "WEIGHT_SPECTRUM" in table.colnames() else "WEIGHT"
        if column == "WEIGHT_SPECTRUM" and not table.iscelldefined(column, 0):
            column = "WEIGHT"
    good: dict[int, bool] = {}
    for spw, cells in _cells(casa, vis, (column, "FLAG")):
        used = ~cells["FLAG"] if column == "WEIGHT_SPECTRUM" else ~cells["FLAG"].all(axis=1)
        weights = cells[column][used]
        if not weights.size:
            continue
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise CasaError(f"{column} of spw {spw} in {vis} is negative or not finite after statwt. {_LOG}")
        good[spw] = good.get(spw, False) or bool((weights > 0).any())
    zero = sorted(spw for spw, positive in good.items() if not positive)
    if zero:
        raise CasaError(f"{column} of spw {', '.join(map(str, zero))} in {vis} is zero after statwt. {_LOG}")


def check_flag_version(casa: Casa, vis: str, version: str) -> float:
    """That a flag version has the rows of a measurement set, in their order; CASA applies it row by row.

    Returns the fraction of the flags so far that it takes away. No column of a version identifies its rows, but it was
    made from the same data, so what is flagged in them already is flagged in it. Raises DataError.
    """
    name = f"flags.{version}"
    flags = f"{vis}.flagversions/{name}"
    remedy = "Check that vis, SEIP_parameter.list and reimaging_resources.tgz are of the same SE-CONT run."
    if not Path(flags).is_dir():
        raise DataError(f"{flags} is missing. {remedy}")
    with casa.table(flags) as table:
        kept = table.nrows()
    with casa.table(vis) as table:
        rows = table.nrows()
    if kept != rows:
        raise DataError(
            f"{name} has {kept} rows but {vis} has {rows}: the flags are of another selection of fields and spws. "
            f"{remedy}"
        )
    with casa.table(flags) as there:
        return _lost_flags(casa, vis, there, name, remedy)


def _lost_flags(casa: Casa, vis: str, there: Any, name: str, remedy: str) -> float:
    """The fraction of the flags in `vis` that a flag version takes away.

    there: the version's table, open. name: of the version, and remedy: what to do, both for messages. Raises DataError
    if the rows are not in order, of another shape, or if the fraction is too large.
    """
    flagged = lost = 0
    order: tuple[float, ...] = (-1.0,)
    with casa.table(vis) as here:
        for start, number in row_chunks(here.nrows()):
            keys = [here.getcol(key, start, number) for key in ("FIELD_ID", "DATA_DESC_ID", "TIME")]
            sorted_ = np.array_equal(np.lexsort(keys[::-1]), np.arange(number))
            first, last = (tuple(float(key[n]) for key in keys) for n in (0, -1))
            if not sorted_ or first < order:
                raise DataError(
                    f"the rows of {vis} are not in the order of field, data description and time that {name} has. "
                    "Remove the node's folder, and run it again with the version of CASA that made the flags."
                )
            order = last
            for description in np.unique(keys[1]):
                rows = (np.flatnonzero(keys[1] == description) + start).tolist()
                now, then = _flags(here, rows), _flags(there, rows)
                if now.shape != then.shape:
                    raise DataError(
                        f"{name} has {then.shape[:2]} correlations and channels where {vis} has {now.shape[:2]} (data "
                        f"description {description}). {remedy}"
                    )
                flagged += int(np.count_nonzero(now))
                lost += int(np.count_nonzero(now & ~then))
    fraction = lost / flagged if flagged else 0.0
    if fraction > LOST_FLAGS:
        raise DataError(
            f"{name} would unflag {fraction:.0%} of what is flagged in {vis}: its rows are in another order, or the "
            f"data were flagged further since. {remedy}"
        )
    return fraction


def _flags(table: Any, rows: list[int]) -> npt.NDArray[np.bool_]:
    part = table.selectrows(rows)
    try:
        flags: npt.NDArray[np.bool_] = part.getcol("FLAG")
    finally:
        part.close()
    return flags


def _cells(casa: Casa, vis: str, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(spw, cells of some columns) of successive parts of a measurement set, each of one spw."""
    with casa.table(f"{vis}/DATA_DESCRIPTION") as table:
        spw_of = np.asarray(table.getcol("SPECTRAL_WINDOW_ID"))
    with casa.table(vis) as table:
        for description in np.unique(table.getcol("DATA_DESC_ID")):
            part = table.query(f"DATA_DESC_ID=={description}", columns=",".join(columns))
            try:
                values = max((np.size(part.getcell(column, 0)) for column in columns), default=1)
                for start, number in row_chunks(part.nrows(), values):
                    yield int(spw_of[description]), {column: part.getcol(column, start, number) for column in columns}
            finally:
                part.close()
