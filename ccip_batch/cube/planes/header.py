"""What a plane's FITS header says, in one form: numbers, degrees, Hz, Jy/beam, ICRS; what has no such form is refused.

Headers come from CASA, NRAO's scripts, AIPS, astropy and by hand. A value is read with what qualifies it: its unit, its
reference pixel, the matrix of its axis, its frame. The standard is FITS 4.0 and its WCS papers I to III.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units
from astropy.coordinates import FK5, ICRS, SkyCoord
from astropy.io import fits
from astropy.io.fits.card import Undefined
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from numpy.typing import NDArray

from ccip_batch.errors import DataError

STOKES = {"IQU": "IQU", "V": "V"}
"""The two kinds of plane file, by the component of their name, and the Stokes parameters in them."""
STOKES_NUMBERS = {"I": 1, "Q": 2, "U": 3, "V": 4}
"""What stands for each Stokes parameter on the STOKES axis of a FITS file (FITS standard, table 29)."""
_AXES = ("RA---SIN", "DEC--SIN", "FREQ", "STOKES")
_UNITS = {1: units.deg, 2: units.deg, 3: units.Hz}
"""By axis: the unit in which it is read, which is also the standard's where CUNIT is blank."""
_BRIGHTNESS = units.Jy / units.beam
_MATRIX = re.compile(r"(?:PC|CD)[1-4]_[1-4]|PC00[1-4]00[1-4]|CROTA[1-4]")
_NUMBER = re.compile(rf"(?:CRVAL|CRPIX|CDELT)[1-4]|PV[1-4]_\d+|{_MATRIX.pattern}|LONPOLE|LATPOLE|EQUINOX|EPOCH")
_TEXT = re.compile(r"(?:CTYPE|CUNIT)[1-4]|RADESYS|RADECSYS")
_TURNED = 1e-6
"""An off-diagonal share of an axis below this moves no pixel of a plane by more than 0.003 pixels."""
_STILL = 1e-5
"""Degrees; a rotation below this counts as none."""
_FREQUENCIES = (1e7, 1e12)
"""Hz: what is outside was written without its unit, or with another one."""
_FLAGS = {"T": True, "TRUE": True, "1": True, "F": False, "FALSE": False, "0": False, "": None}
_CAPITALS = {
    "JY": "Jy", "BEAM": "beam", "Beam": "beam", "HZ": "Hz", "KHZ": "kHz", "MHZ": "MHz", "GHZ": "GHz", "DEG": "deg",
    "DEGREES": "deg", "degrees": "deg", "DEGREE": "deg", "ARCSEC": "arcsec",
}  # fmt: skip
"""Units as AIPS and others write them. MJY is not here: it may be milli or mega."""
_UNCORRECTED = re.compile(r"Uncorrected CRVAL([12]) = ([-+.0-9eE]+)")
_CORRECTION = 10 / 3600
"""No position correction is as large as this, degrees (0.25 arcsec x tan(zenith distance) x (3 GHz / frequency)^2)."""


@dataclass(frozen=True)
class PlaneHeader:
    """A plane's header, read."""

    cards: fits.Header
    """The header with CRVAL, CRPIX and CDELT of axes 1 to 3 in degrees (ICRS) and Hz, CRPIX3 = 1, no rotation, the beam
    in degrees, BUNIT `Jy/beam`, VLASSPL as the file's name has it."""
    stokes: str
    """The Stokes parameters in the file, in its order."""
    scale: float
    """Jy/beam in one unit of the pixels."""
    nominal: tuple[float, float]
    """CRVAL1 and CRVAL2 (deg, ICRS) before the position correction."""
    rejected: bool | None
    """VLASSRJ; None if it is missing or blank."""


def read_header(name: str, raw: fits.Header, polarisation: str, beams: NDArray[Any] | None = None) -> PlaneHeader:
    """Read the header of the image in file `name`.

    polarisation: `IQU` or `V`, as the file is named. beams: CASA's table of beams, where the file has one. Raises
    DataError, naming the file and the keyword, if a value is missing or cannot be taken as it is meant.
    """
    return _Reader(name, raw).read(polarisation, beams)


def separation(ra: float, dec: float, other_ra: float, other_dec: float) -> float:
    """Distance of two positions, degrees."""
    ra, dec, other_ra, other_dec = map(math.radians, (ra, dec, other_ra, other_dec))
    square = math.sin((other_dec - dec) / 2) ** 2
    square += math.cos(dec) * math.cos(other_dec) * math.sin((other_ra - ra) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(square))))


class _Reader:
    """One header, while it is read."""

    def __init__(self, name: str, raw: fits.Header) -> None:
        self._name, self._raw = name, raw

    def read(self, polarisation: str, beams: NDArray[Any] | None) -> PlaneHeader:
        self._check_axes(polarisation)
        wcs = self._wcs()
        cdelt = self._cdelt(wcs)
        frequency = float(wcs.wcs.crval[2] + (1 - wcs.wcs.crpix[2]) * cdelt[2])
        if not _FREQUENCIES[0] < frequency < _FREQUENCIES[1]:
            raise self._wrong("CRVAL3", f"with CUNIT3 = {self._text('CUNIT3')!r} is not a frequency of a plane")
        header = self._raw.copy()
        for key in [key for key in header if _MATRIX.fullmatch(key)]:
            del header[key]
        values: dict[str, Any] = {key: self._number(key) for key in header if _NUMBER.fullmatch(key)}
        place = self._icrs(wcs, float(wcs.wcs.crval[0]), float(wcs.wcs.crval[1]))
        for axis, value, pixel in ((1, place[0], wcs.wcs.crpix[0]), (2, place[1], wcs.wcs.crpix[1]), (3, frequency, 1)):
            values |= {f"CRVAL{axis}": value, f"CRPIX{axis}": float(pixel), f"CDELT{axis}": float(cdelt[axis - 1])}
            values[f"CUNIT{axis}"] = str(_UNITS[axis])
        values |= self._beam(beams, values["CDELT2"])
        values |= {"BUNIT": "Jy/beam", "RADESYS": "ICRS", "VLASSPL": polarisation}
        for key, value in values.items():
            if header.get(key) != value or isinstance(header[key], str) != isinstance(value, str):
                header[key] = value
        return PlaneHeader(header, self._stokes(polarisation), self._scale(), self._nominal(wcs), self._rejected())

    def _wrong(self, key: str, what: str, remedy: str = "Correct the header, or export the plane again") -> DataError:
        value = self._raw.get(key)
        said = f"{key} is missing" if value is None or isinstance(value, Undefined) else f"{key} = {value!r}"
        return DataError(f"{self._name}: {said}{' ' if what else ''}{what}. {remedy}.")

    def _number(self, key: str) -> float:
        """A number, also one that was written as text."""
        value = self._raw.get(key)
        text = value.strip().upper().replace("D", "E") if isinstance(value, str) else value
        if isinstance(text, str) and key in ("EQUINOX", "EPOCH"):
            text = text.removeprefix("J")
        try:
            number = math.nan if isinstance(text, bool) else float(text)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            missing = value is None or isinstance(value, Undefined)
            raise self._wrong(key, "or not a number" if missing else "is not a number")
        return number

    def _text(self, key: str) -> str:
        value = self._raw.get(key)
        return value.strip() if isinstance(value, str) else ""

    def _factor(self, key: str, text: str, wanted: Any) -> float:
        """A unit, which must be one of the kind of `wanted`, in that one."""
        words = re.sub(r"[A-Za-z]+", lambda word: _CAPITALS.get(word[0], word[0]), text)
        found = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for spelling in (text, words):
                try:
                    found = found or units.Unit(spelling)
                except (ValueError, TypeError, ArithmeticError):
                    continue
        # Decibels and magnitudes have a unit, but are no multiple of it.
        factor = 0.0
        if isinstance(found, units.UnitBase) and found.is_equivalent(wanted):
            factor = float(found.to(wanted))
        if not 0 < factor < math.inf:
            remedy = f"Convert the values, or write the unit as the FITS standard does ({wanted.to_string('fits')})"
            raise self._wrong(key, f"({text}) is not a unit of {wanted.to_string('generic')}", remedy)
        return factor

    def _check_axes(self, polarisation: str) -> None:
        raw = self._raw
        kinds = [self._text(f"CTYPE{axis}") for axis in range(1, 5)]
        for axis, (kind, wanted) in enumerate(zip(kinds, _AXES, strict=True), 1):
            if kind != wanted:
                raise self._wrong(
                    f"CTYPE{axis}", f"but the axes must be {', '.join(_AXES)}",
                    "Export the plane again, with a frequency axis and Stokes last (CASA: exportfits)",
                )  # fmt: skip
        number = len(STOKES[polarisation])
        if raw.get("NAXIS") != 4 or raw.get("NAXIS3") != 1 or raw.get("NAXIS4") != number:
            sizes = " x ".join(str(raw[key]) for key in ("NAXIS1", "NAXIS2", "NAXIS3", "NAXIS4") if key in raw)
            raise DataError(
                f"{self._name}: a {polarisation} plane has one frequency and {number} Stokes parameters; this has "
                f"{sizes} pixels."
            )

    def _wcs(self) -> WCS:
        """The world coordinates, deg and Hz."""
        raw, small = self._raw, fits.Header()
        for key in (f"{key}{axis}" for axis in range(1, 5) for key in ("CRVAL", "CRPIX")):
            self._number(key)
        by_matrix = any(re.fullmatch(r"CD[1-4]_[1-4]", key) for key in raw)
        for axis in range(1, 5):
            if (of_matrix := f"CD{axis}_{axis}") in raw:
                self._number(of_matrix)
            elif not (step := self._number(f"CDELT{axis}")):
                raise self._wrong(f"CDELT{axis}", "is no step from pixel to pixel")
            elif by_matrix:  # of the sky alone, as programs write that know no other axes
                small[of_matrix] = step
        for key in raw:
            if _TEXT.fullmatch(key):
                small[key] = self._text(key).upper() if key.startswith("RAD") else self._text(key)
            elif _NUMBER.fullmatch(key):
                small[key] = self._number(key)
        for axis, unit in _UNITS.items():
            text = self._text(f"CUNIT{axis}")
            factor = self._factor(f"CUNIT{axis}", text, unit) if text else 1.0
            for key in (f"CRVAL{axis}", f"CDELT{axis}", *(f"CD{axis}_{other}" for other in range(1, 5))):
                if key in small:
                    small[key] *= factor
            small[f"CUNIT{axis}"] = str(unit)
        small.pop("CUNIT4", None)
        if not -90 <= small["CRVAL2"] <= 90:
            raise self._wrong("CRVAL2", "is not a declination")
        for key in small:
            still = {"LONPOLE": 180.0, "CROTA1": 0.0, "CROTA2": 0.0}.get(key, 0.0 if key.startswith("PV") else None)
            if still is not None and abs(math.remainder(small[key] - still, 360)) > _STILL:
                raise self._turned(key)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstropyWarning)
                wcs = WCS(small, fix=False)
                wcs.wcs.set()
        except (ValueError, MemoryError) as error:
            why = " ".join(str(error).split())
            raise DataError(
                f"{self._name}: the world coordinates cannot be read ({why}). Correct the header, or export the plane "
                "again."
            ) from error
        self._check_on_sky(wcs)
        return wcs

    def _check_on_sky(self, wcs: WCS) -> None:
        """A projection shows half of the sky: a pixel that is not on it belongs to no plane."""
        x, y = ([1, 1, self._raw[key], self._raw[key]] for key in ("NAXIS1", "NAXIS2"))
        if not np.isfinite(wcs.celestial.all_pix2world(x, [y[0], y[2], y[0], y[2]], 1)).all():
            raise self._wrong("CRPIX1", f"with CRPIX2 = {self._raw['CRPIX2']!r} puts the pixels beyond the sky")

    def _turned(self, key: str) -> DataError:
        return self._wrong(
            key, "turns, shears or bends the grid, whose columns and rows must run along the axes at its centre",
            "Regrid the plane (CASA: imregrid) to the grid of another plane",
        )  # fmt: skip

    def _cdelt(self, wcs: WCS) -> NDArray[np.float64]:
        """Steps of the axes; refuses a matrix that mixes them."""
        matrix: NDArray[np.float64] = wcs.pixel_scale_matrix
        steps = np.diag(matrix)
        for row, column in np.argwhere(~np.eye(4, dtype=bool)):
            if abs(matrix[row, column]) > _TURNED * abs(steps[row]):
                one, two = row + 1, column + 1
                keys = (f"PC{one}_{two}", f"CD{one}_{two}", f"PC00{one}00{two}", "CROTA2", "CROTA1")
                raise self._turned(next(key for key in (*keys, f"PC{one}_{one}") if key in self._raw))
        return steps

    def _icrs(self, wcs: WCS, ra: float, dec: float) -> tuple[float, float]:
        """A position of the header's frame, in ICRS."""
        key = next((key for key in ("RADESYS", "RADECSYS") if key in self._raw), "EQUINOX")
        try:
            frame = wcs_to_celestial_frame(wcs)
        except ValueError:
            frame = None
        if isinstance(frame, ICRS):
            return ra, dec
        if not (isinstance(frame, FK5) and abs(frame.equinox.jyear - 2000) < 1e-6):
            raise self._wrong(
                key, f"(EQUINOX {self._raw.get('EQUINOX')}) is not ICRS or FK5 of equinox 2000",
                "Regrid the plane (CASA: imregrid) to the grid of another plane",
            )  # fmt: skip
        place = SkyCoord(ra, dec, unit="deg", frame=frame).icrs
        return float(place.ra.deg), float(place.dec.deg)

    def _nominal(self, wcs: WCS) -> tuple[float, float]:
        """The position before its correction, from the header's history.

        Where that was stripped, or is of another place, as after regridding, a corrected header (it has ZD) still has
        OBSRA and OBSDEC, the phase centre, which CRVAL was. Any other header gives its CRVAL.
        """
        found = {1: float(wcs.wcs.crval[0]), 2: float(wcs.wcs.crval[1])}
        told = {int(axis): float(value) for axis, value in _UNCORRECTED.findall(self._history())}
        if told and separation(found[1], found[2], told.get(1, found[1]), told.get(2, found[2])) < _CORRECTION:
            found |= told
        elif all(key in self._raw for key in ("ZD", "OBSRA", "OBSDEC")):
            centre = self._number("OBSRA"), self._number("OBSDEC")
            if separation(found[1], found[2], *centre) < _CORRECTION:
                found = dict(enumerate(centre, 1))
        return self._icrs(wcs, found[1], found[2])

    def _history(self) -> str:
        return " ".join(str(line) for line in self._raw.get("HISTORY", []))

    def _beam(self, beams: NDArray[Any] | None, cell: float) -> dict[str, float]:
        """The beam in degrees. A unit in brackets that begins a comment is the keyword's (FITS standard, 4.3.2)."""
        found: dict[str, float] = {}
        for key in ("BMAJ", "BMIN", "BPA"):
            if key not in self._raw and beams is not None:
                values, unit = beams[key], str(beams.columns[key].unit or "deg")  # type: ignore[attr-defined]
                if not len(values) or np.ptp(values) > 1e-3 * abs(values[0]):
                    raise self._wrong(key, "and table BEAMS has several", "Convolve to one beam (CASA: imsmooth)")
                value = float(values[0])
            else:
                value, said = self._number(key), re.match(r"\s*\[([^\]]+)\]", self._raw.comments[key])
                unit = said[1] if said else "deg"
            found[key] = value * self._factor(key, unit, units.deg)
        size = abs(cell) * max(self._raw["NAXIS1"], self._raw["NAXIS2"])
        if not abs(cell) <= found["BMIN"] <= found["BMAJ"] <= size:
            what = (
                f"deg with BMIN = {self._raw.get('BMIN')!r} is not a beam between its cells ({abs(cell):.3g} deg) and "
            )
            raise self._wrong(
                "BMAJ", f"{what}the image ({size:.3g} deg)", "FITS has beams in degrees: correct the header"
            )
        return found

    def _stokes(self, polarisation: str) -> str:
        first, pixel, step = (self._number(f"{key}4") for key in ("CRVAL", "CRPIX", "CDELT"))
        wanted = STOKES[polarisation]
        numbers = [first + (place - pixel) * step for place in range(1, len(wanted) + 1)]
        letters = {number: letter for letter, number in STOKES_NUMBERS.items()}
        found = "".join(
            letters.get(round(number), "?") if abs(number - round(number)) < 1e-6 else "?" for number in numbers
        )
        if sorted(found) != sorted(wanted):
            raise self._wrong(
                "CRVAL4", f"with CRPIX4 = {pixel:g} and CDELT4 = {step:g} gives Stokes {', '.join(found)}, not "
                f"{', '.join(wanted)} as the file's name says", "Correct the header, or the name",
            )  # fmt: skip
        return found

    def _scale(self) -> float:
        text = self._text("BUNIT")
        if not text:
            raise self._wrong(
                "BUNIT", "(blank)" if "BUNIT" in self._raw else "", "Set it to what the pixels are, Jy/beam"
            )
        return self._factor("BUNIT", text, _BRIGHTNESS)

    def _rejected(self) -> bool | None:
        value = self._raw.get("VLASSRJ")
        if value is None or isinstance(value, Undefined):
            return None
        said = value.strip().upper() if isinstance(value, str) else str(value).upper().removesuffix(".0")
        if said not in _FLAGS:
            raise self._wrong("VLASSRJ", "is neither true nor false", "Set it to T (rejected) or F (kept)")
        return _FLAGS[said]
