"""Stage 11, hifv_analyzestokescubes: all planes at two places, the peak of Stokes I and of the polarised intensity."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from ccip_batch.casa.images import STOKES
from ccip_batch.errors import DataError
from ccip_batch.imaging.samples import Samples
from ccip_batch.records import Model

REFERENCE_HZ = 3e9
"""Frequency at which the fitted flux is given."""


@dataclass(frozen=True)
class PlaneSamples:
    """What this stage needs of a plane."""

    spw: str
    frequency_hz: float
    kept: bool
    rms_median: dict[str, float]
    """Median of the rms cutout, Jy/beam, keyed by Stokes."""
    samples: Samples


class PlaneAtPlace(Model):
    """One plane at one place; Jy/beam, None where the plane has no value there."""

    spw: str
    frequency_hz: float
    kept: bool
    mean: dict[str, float | None]
    """Mean of the 3 x 3 box, as NRAO's table has it: it loses 10-32% of a point source, more at high frequency."""
    pixel: dict[str, float | None]
    """The pixel itself."""
    rms: float | None
    """Stokes I rms there, mean of the 3 x 3 box."""
    rms_median: dict[str, float]


class PowerLaw(Model):
    """Stokes I = flux x (frequency / 3 GHz)^alpha, fitted to the kept planes' peak pixels."""

    flux_jy: float
    flux_error_jy: float | None
    alpha: float
    alpha_error: float | None

    def ratio(self, frequency_hz: Any) -> Any:
        """Flux at a frequency (Hz, a number or an array) over that at 3 GHz."""
        return (frequency_hz / REFERENCE_HZ) ** self.alpha


class Place(Model):
    """A place and all planes there, in order of frequency."""

    name: Literal["peak of Stokes I", "peak of polarised intensity"]
    x: int
    y: int
    """Pixel of the cutout, from 0."""
    ra_deg: float
    dec_deg: float
    planes: list[PlaneAtPlace]
    power_law: PowerLaw | None
    """None with fewer than two kept planes that have a positive flux."""


class StokesAnalysis(Model):
    """The places; if there are none, the note says why."""

    places: list[Place]
    note: str


def analyzestokescubes(planes: Sequence[PlaneSamples], header: dict[str, Any]) -> StokesAnalysis:
    """Find the two places and tabulate every plane there; rejected planes take part in the search.

    The search is in the plane of lowest frequency, inside the joint region of the iter2 cleanmask and the iter3 mask of
    the plane of highest frequency. header: celestial FITS keywords of the cutouts at their nominal position.
    """
    if not planes:
        return StokesAnalysis(places=[], note="no plane was imaged")
    ordered = sorted(planes, key=lambda plane: plane.frequency_hz)
    lowest = ordered[0].samples
    for plane in ordered[1:]:
        if not (np.array_equal(plane.samples.y, lowest.y) and np.array_equal(plane.samples.x, lowest.x)):
            raise DataError(f"spw {plane.spw} was sampled at other pixels than spw {ordered[0].spw}: image it again.")
    inside = ordered[-1].samples.inside_iter3
    values = lowest.values.astype(np.float64)
    found: list[tuple[Literal["peak of Stokes I", "peak of polarised intensity"], npt.NDArray[np.float64]]] = [
        ("peak of Stokes I", values[0]),
        ("peak of polarised intensity", np.hypot(values[1], values[2])),
    ]
    places = []
    for name, intensity in found:
        candidates = np.where(inside & np.isfinite(intensity), intensity, -np.inf)
        if not candidates.size or not np.isfinite(candidates).any():
            note = "the joint region of the tier-2 mask and the iter3 mask of the highest plane is empty: no position"
            return StokesAnalysis(places=[], note=note)
        places.append(_place(name, int(np.argmax(candidates)), ordered, header))
    return StokesAnalysis(places=places, note="")


def _place(
    name: Literal["peak of Stokes I", "peak of polarised intensity"],
    index: int,
    planes: Sequence[PlaneSamples],
    header: dict[str, Any],
) -> Place:
    first = planes[0].samples
    x, y = int(first.x[index]), int(first.y[index])
    ra, dec = WCS(header).celestial.wcs_pix2world([[x, y]], 0)[0]
    rows = [
        PlaneAtPlace(
            spw=plane.spw,
            frequency_hz=plane.frequency_hz,
            kept=plane.kept,
            mean={stokes: _number(plane.samples.means[i, index]) for i, stokes in enumerate(STOKES)},
            pixel={stokes: _number(plane.samples.values[i, index]) for i, stokes in enumerate(STOKES)},
            rms=_number(plane.samples.rms[index]),
            rms_median=plane.rms_median,
        )
        for plane in planes
    ]
    return Place(name=name, x=x, y=y, ra_deg=float(ra), dec_deg=float(dec), planes=rows, power_law=_power_law(rows))


def _number(value: float | np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None


def _power_law(rows: Sequence[PlaneAtPlace]) -> PowerLaw | None:
    good = [(row.frequency_hz, row.pixel["I"]) for row in rows if row.kept and (row.pixel["I"] or 0) > 0]
    if len(good) < 2:
        return None
    ratio = np.array([frequency for frequency, _ in good]) / REFERENCE_HZ
    flux = np.array([value for _, value in good], dtype=float)
    slope, start = np.polyfit(np.log(ratio), np.log(flux), 1)
    from scipy.optimize import OptimizeWarning, curve_fit  # slow to import, and reports read this module

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # two planes: no errors can be given
        try:
            best, covariance = curve_fit(
                lambda r, amplitude, alpha: amplitude * r**alpha, ratio, flux, (np.exp(start), slope), method="lm"
            )
        except RuntimeError:  # it does not converge: no power law
            return None
    errors = np.sqrt(np.diag(covariance))
    return PowerLaw(
        flux_jy=float(best[0]),
        flux_error_jy=_number(errors[0]),
        alpha=float(best[1]),
        alpha_error=_number(errors[1]),
    )
