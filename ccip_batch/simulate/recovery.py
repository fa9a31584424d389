"""How much of the simulated sky a finished job recovers. Needs no CASA.

Point sources are measured by their peak in the common-beam planes, resolved ones by their flux density in an aperture.
Kept planes only. Noise is measured in each image as the robust scatter of the pixels times the mosaic's sensitivity.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ccip_batch.cube.axis import SPACING
from ccip_batch.cube.planes.noise import MAD_TO_SIGMA
from ccip_batch.cube.planes.spw_ranges import from_ranges
from ccip_batch.errors import DataError
from ccip_batch.simulate.beam import primary_beam
from ccip_batch.simulate.observation import INTEGRATION
from ccip_batch.simulate.sky import LIGHT_SPEED, REFERENCE_FREQUENCY, Source, direction_cosines

_COMMON = ".iter3.image.pbcor.tt0.subim.com.fits"
_RMS = ".iter3.image.pbcor.tt0.rms.subim.fits"
_I_TOLERANCE, _ALPHA_TOLERANCE, _FRACTION_TOLERANCE, _NOISE_TOLERANCE = 0.03, 0.1, 0.01, 0.3
_SIGMAS = 3.0
_SENSITIVE = 0.3  # part of the best sensitivity within which noise is measured
_APERTURE = 0.9  # radius in major axes (FWHM) of the source as the common beam shows it; further out, what of Q and U
# lies below the threshold of the clean adds to the flux in units of the dirty beam
_RM_LIMIT = 500.0  # rad/m2; planes 128 MHz wide at 2 GHz depolarise beyond
_CORRELATIONS = 2  # that make one Stokes parameter

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """A quantity of a source, or the noise of a plane: what was put in and what came out."""

    source: str
    quantity: str
    truth: float
    found: float
    sigma: float
    """Standard deviation that the noise gives `found`."""
    tolerance: float
    """Largest |found - truth| that passes."""

    @property
    def passed(self) -> bool:
        """Whether it was recovered."""
        return abs(self.found - self.truth) <= self.tolerance


@dataclass(frozen=True)
class _Plane:
    label: str
    frequency: float
    stokes: Floats  # (4, y, x) Jy/beam
    sensitivity: Floats  # (y, x), root of the sum of the squared primary beams of the fields
    wcs: WCS
    beam: tuple[float, float, float]  # major and minor axis in arcsec, pixels a beam
    noise: Floats  # (4,) scatter times sensitivity


def recover(products: Path, truth: Path) -> list[Row]:
    """Compare the FITS files of a finished job with the truth.

    products: a folder with the exported FITS files, or a parent of it. truth: truth.json of the simulation. Returns
    rows for I at 3 GHz (Jy), spectral index, fraction of linear polarisation, rotation measure (rad/m2; polarised
    sources only) and fraction of circular polarisation of each source. A row passes if it is within 3 sigma, or
    within 3% (I), 0.1 (spectral index), 0.01 (fractions). Raises DataError if there are fewer than two kept planes.
    """
    facts = _facts(truth)
    planes = [_read_plane(path, facts) for path in _kept(products, ".IQU" + _COMMON)]
    if len(planes) < 2:
        raise DataError(f"{products} has {len(planes)} kept planes in the common beam; two are needed for a fit.")
    planes.sort(key=lambda plane: plane.frequency)
    rows: list[Row] = []
    for values in facts["sources"]:
        rows += _recover_source(Source.from_dict(values), planes, facts)
    return rows


def noise(products: Path, truth: Path) -> list[Row]:
    """The noise of each kept plane in Stokes V, where the mosaic is most sensitive, against theory (Jy/beam).

    Found is the median of the rms image times the sensitivity of the mosaic; theory is that of the receivers, of the
    number of unflagged visibilities and of natural weights. A row passes if the two agree within 30%.
    """
    facts = _facts(truth)
    rows = []
    for path in _kept(products, ".V" + _RMS):
        with fits.open(path) as files:
            header, pixels = files[0].header, np.asarray(files[0].data, np.float64)[0, 0]
        spws = from_ranges(str(header["VLASSSPW"]))
        shape = _sensitivity(header, spws, facts)
        good = _inside(shape) & np.isfinite(pixels) & (pixels > 0)
        found = float(np.median(pixels[good] * shape[good]) / shape.max())
        expected = _theory(spws, facts) / float(shape.max())
        rows.append(Row("spw" + str(header["VLASSSPW"]), "noise", expected, found, 0.0, _NOISE_TOLERANCE * expected))
    return rows


_UNITS = {"I": "Jy", "RM": "rad/m2", "noise": "Jy/beam"}


def print_table(rows: list[Row], console: Console | None = None) -> None:
    """Print what was put in and what was found, a line a quantity."""
    table = Table(title="Recovered against the truth")
    for name in ("source", "quantity"):
        table.add_column(name)
    for name in ("truth", "found", "sigma", "tolerance"):
        table.add_column(name, justify="right")
    table.add_column("")
    for row in rows:
        figures = (f"{value:.4g}" for value in (row.truth, row.found, row.sigma, row.tolerance))
        unit = _UNITS.get(row.quantity)
        quantity = f"{row.quantity} ({unit})" if unit else row.quantity
        table.add_row(row.source, quantity, *figures, "ok" if row.passed else "[bold red]off[/]")
    (console or Console()).print(table)
    passed = sum(row.passed for row in rows)
    (console or Console()).print(f"{passed} of {len(rows)} quantities are within their tolerance of the truth.")


def _facts(truth: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(truth.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{truth} is not the truth.json of a simulation: {error}") from error
    return facts


def _kept(products: Path, ending: str) -> list[Path]:
    """FITS files of kept planes, one a plane."""
    found: dict[str, Path] = {}
    for path in sorted(products.rglob(f"*{ending}")):
        if not fits.getheader(path).get("VLASSRJ", False):
            found.setdefault(path.name, path)
    return list(found.values())


def _read_plane(path: Path, facts: dict[str, Any]) -> _Plane:
    other = path.with_name(path.name.replace(".IQU.", ".V."))
    if not other.is_file():
        raise DataError(f"{other} is missing: Stokes V of {path.name}.")
    with fits.open(path) as files:
        header, linear = files[0].header, np.asarray(files[0].data, np.float64)
    circular, of_other = fits.getdata(other, header=True)
    if any(of_other[key] != header[key] for key in ("NAXIS1", "NAXIS2", "CRPIX1", "CRPIX2")):
        raise DataError(f"{other} has other pixels than {path.name}: compare products that nobody has cut.")
    stokes = np.concatenate([linear[:, 0], np.asarray(circular, np.float64)[:, 0]])
    spws = from_ranges(str(header["VLASSSPW"]))
    sensitivity = _sensitivity(header, spws, facts)
    inside = _inside(sensitivity) & np.isfinite(stokes).all(axis=0)
    flat = stokes[:, inside] * sensitivity[inside]
    scatter = MAD_TO_SIGMA * np.median(np.abs(flat - np.median(flat, axis=1, keepdims=True)), axis=1)
    major, minor = header["BMAJ"] * 3600.0, header["BMIN"] * 3600.0
    cell = abs(header["CDELT2"]) * 3600.0
    pixels = math.pi / (4 * math.log(2)) * major * minor / cell**2
    return _Plane(
        ",".join(str(spw) for spw in spws),
        header["RESTFRQ"],
        stokes,
        sensitivity,
        WCS(header, fix=False).celestial,
        (major, minor, pixels),
        scatter,
    )


def _inside(sensitivity: Floats) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = sensitivity > _SENSITIVE * sensitivity.max()
    return inside


def _sensitivity(header: fits.Header, spws: list[int], facts: dict[str, Any]) -> Floats:
    """Root of the sum over fields of the squared primary beam, for each pixel."""
    height, width = header["NAXIS2"], header["NAXIS1"]
    x = (np.arange(width) + 1 - header["CRPIX1"]) * math.radians(header["CDELT1"])
    y = (np.arange(height) + 1 - header["CRPIX2"]) * math.radians(header["CDELT2"])
    total = np.zeros((height, width))
    frequency = float(np.mean([facts["spw_freq_hz"][str(spw)] for spw in spws]))
    middle = min(spws, key=lambda spw: abs(facts["spw_freq_hz"][str(spw)] - frequency))
    for field in facts["fields"]:
        east, north, _ = direction_cosines(field["ra_rad"], field["dec_rad"], facts["ra0_rad"], facts["dec0_rad"])
        radius = np.hypot(x[None, :] - east, y[:, None] - north)
        total += primary_beam(middle, radius, np.array(frequency)) ** 2
    return np.sqrt(total)


def _theory(spws: list[int], facts: dict[str, Any]) -> float:
    """Noise in Jy of one field at the centre of its beam, in one Stokes parameter."""
    unflagged = sum(1.0 - facts["flagged_frac"][str(spw)] for spw in spws)
    antennas = len(facts["antennas"])
    samples = antennas * (antennas - 1) / 2 * _CORRELATIONS * facts["nint"] * unflagged
    return float(facts["sefd_jy"] / math.sqrt(2.0 * SPACING * INTEGRATION * samples))


def _measure(source: Source, plane: _Plane, facts: dict[str, Any]) -> tuple[Floats, Floats]:
    """I, Q, U, V of a source in Jy, and their standard deviations."""
    ra, dec = source.direction(facts["ra0_rad"], facts["dec0_rad"])
    x, y = (float(value) for value in plane.wcs.wcs_world2pix(math.degrees(ra), math.degrees(dec), 0))
    column, row = round(x), round(y)
    height, width = plane.stokes.shape[1:]
    if not (1 <= column < width - 1 and 1 <= row < height - 1):
        raise DataError(f"Source {source.name} is outside the images.")
    sigma = plane.noise / plane.sensitivity[row, column]
    if source.gauss is None:
        box = plane.stokes[0, row - 1 : row + 2, column - 1 : column + 2]
        down, right = np.unravel_index(np.argmax(box), box.shape)
        return plane.stokes[:, row - 1 + down, column - 1 + right], sigma
    cell = abs(plane.wcs.wcs.cdelt[1]) * 3600.0
    radius = _APERTURE * math.hypot(source.gauss[0], plane.beam[0]) / cell
    rows, columns = np.mgrid[0:height, 0:width]
    aperture = np.hypot(columns - x, rows - y) <= radius
    inside = _inside_aperture(source.gauss[0], source.gauss[1], plane.beam, radius * cell)
    flux = plane.stokes[:, aperture].sum(axis=1) / plane.beam[2] / inside
    return flux, sigma * math.sqrt(aperture.sum() / plane.beam[2]) / inside


def _inside_aperture(major: float, minor: float, beam: tuple[float, float, float], radius: float) -> float:
    """Part of the flux of a Gaussian source that a circle around it holds (all in arcsec)."""
    round_beam = math.sqrt(beam[0] * beam[1])
    a, b = (math.hypot(axis, round_beam) / math.sqrt(8 * math.log(2)) for axis in (major, minor))
    angle = np.linspace(0, 2 * math.pi, 361)[:-1]
    slope = np.cos(angle) ** 2 / a**2 + np.sin(angle) ** 2 / b**2
    return float(np.mean((1 - np.exp(-(radius**2) / 2 * slope)) / slope) / (a * b))


def _recover_source(source: Source, planes: list[_Plane], facts: dict[str, Any]) -> list[Row]:
    measured = [_measure(source, plane, facts) for plane in planes]
    values = np.array([value for value, _ in measured])
    sigmas = np.array([sigma for _, sigma in measured])
    frequency = np.array([plane.frequency for plane in planes])
    i, v = values[:, 0], values[:, 3]
    if (i <= 0).any():
        return [Row(source.name, "I", source.i0, float(i.min()), float(sigmas[:, 0].max()), _I_TOLERANCE * source.i0)]

    ratio = np.log(frequency / REFERENCE_FREQUENCY)
    (level, alpha), covariance = _line(ratio, np.log(i), sigmas[:, 0] / i)
    flux = math.exp(level)
    flux_sigma, alpha_sigma = flux * math.sqrt(covariance[0, 0]), math.sqrt(covariance[1, 1])
    linear = (values[:, 1] + 1j * values[:, 2]) / i
    linear_sigma = np.sqrt((sigmas[:, 1] ** 2 + sigmas[:, 2] ** 2) / 2) / i
    p, p_sigma, rm, rm_sigma = _rotation(linear, linear_sigma, (LIGHT_SPEED / frequency) ** 2)
    weight = (i / sigmas[:, 3]) ** 2
    circular, circular_sigma = float(np.average(v / i, weights=weight)), float(weight.sum() ** -0.5)

    figures = [  # quantity, truth, found, sigma, tolerance at least
        ("I", source.i0, flux, flux_sigma, _I_TOLERANCE * source.i0),
        ("alpha", source.alpha, float(alpha), alpha_sigma, _ALPHA_TOLERANCE),
        ("p", source.p, p, p_sigma, _FRACTION_TOLERANCE),
        *([("RM", source.rm, rm, rm_sigma, 0.0)] if source.p > 0 else []),
        ("V/I", source.v, circular, circular_sigma, _FRACTION_TOLERANCE),
    ]
    return [
        Row(source.name, quantity, truth, found, sigma, max(_SIGMAS * sigma, least))
        for quantity, truth, found, sigma, least in figures
    ]


def _line(x: Floats, y: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """Weighted straight line: (level at 0, slope) and their covariance."""
    design = np.stack([np.ones_like(x), x], axis=1) / sigma[:, None]
    covariance: Floats = np.asarray(np.linalg.inv(design.T @ design), np.float64)
    return covariance @ design.T @ (y / sigma), covariance


def _rotation(fraction: NDArray[np.complex128], sigma: Floats, square: Floats) -> tuple[float, float, float, float]:
    """Polarised fraction, rotation measure (rad/m2) and their sigmas, from Q/I + i U/I by wavelength squared (m2).

    The rotation measure that lines the planes up best is searched for, then the angles that are left are fitted
    by a straight line, so that no angle is ambiguous. The search goes as far as neighbouring planes can tell: a
    quarter turn between the two that are closest.
    """
    weight = sigma**-2.0
    reach = min(_RM_LIMIT, math.pi / 2 / float(np.diff(np.sort(square)).min()))
    trial = np.arange(-reach, reach, 1.0)
    aligned = np.abs((weight * fraction * np.exp(-2j * trial[:, None] * square)).sum(axis=1))
    rm = float(trial[np.argmax(aligned)])
    turned = fraction * np.exp(-2j * rm * square)
    mean = (weight * turned).sum() / weight.sum()
    p, p_sigma = float(abs(mean)), float(weight.sum() ** -0.5)
    if p == 0.0:
        return p, p_sigma, rm, math.inf
    left = 0.5 * np.angle(turned / mean)
    (_, slope), covariance = _line(square, left, sigma / (2 * p))
    return p, p_sigma, rm + float(slope), math.sqrt(covariance[1, 1])


def main() -> int:
    """`python -m ccip_batch.simulate.recovery PRODUCTS TRUTH`: print the table; 0 if everything was recovered."""
    if len(sys.argv) != 3:
        print("usage: python -m ccip_batch.simulate.recovery PRODUCTS TRUTH.json", file=sys.stderr)
        return 2
    try:
        rows = recover(Path(sys.argv[1]), Path(sys.argv[2])) + noise(Path(sys.argv[1]), Path(sys.argv[2]))
    except DataError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    print_table(rows)
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
