"""Beams: the smallest common beam, and what takes a plane from its own beam to that."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ccip_batch.errors import DataError

ENLARGE = 1.00001
"""The common beam is made larger by this, so that no plane's kernel vanishes by rounding (stage 12)."""
_VARIANCE = 8 * math.log(2)
_SLACK = 1e-4
"""A kernel variance this far below zero, as a share of the beam's own, is rounding of header values: zero."""


@dataclass(frozen=True)
class Beam:
    """An elliptical Gaussian beam: full widths at half maximum and position angle (north through east), degrees."""

    bmaj: float
    bmin: float
    bpa: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bpa) and 0 < self.bmin <= self.bmaj < math.inf):
            raise DataError(
                f"Not a beam: major {self.bmaj} deg, minor {self.bmin} deg, angle {self.bpa} deg; "
                "both axes must be positive and the major one the larger."
            )

    @property
    def area(self) -> float:
        """Solid angle in square degrees."""
        return 2 * math.pi / _VARIANCE * self.bmaj * self.bmin

    def covariance(self) -> NDArray[np.float64]:
        """Second moments, square degrees, shape (2, 2), axes east and north."""
        angle = math.radians(self.bpa)
        sine, cosine = math.sin(angle), math.cos(angle)
        major, minor = self.bmaj**2 / _VARIANCE, self.bmin**2 / _VARIANCE
        cross = (major - minor) * sine * cosine
        return np.array(
            [[major * sine**2 + minor * cosine**2, cross], [cross, major * cosine**2 + minor * sine**2]],
        )

    def enlarged(self, factor: float) -> Beam:
        """The same beam with both axes times `factor`."""
        return Beam(self.bmaj * factor, self.bmin * factor, self.bpa)

    def __str__(self) -> str:
        return f"{self.bmaj * 3600:.4f} x {self.bmin * 3600:.4f} arcsec, {self.bpa:.2f} deg"


def parse_beam(text: str) -> Beam:
    """A beam from `BMAJ,BMIN,BPA` in arcsec, arcsec, degrees (`4.5,3.6,-10`). Raises DataError if it is none."""
    parts = [part for part in re.split(r"[,\s]+", text.strip()) if part]
    try:
        major, minor, angle = (float(part) for part in parts)
    except ValueError:
        raise DataError(
            f"Not a beam: {text!r}. Give BMAJ,BMIN,BPA in arcsec, arcsec and degrees, such as 4.5,3.6,-10."
        ) from None
    return Beam(major / 3600, minor / 3600, angle)


def kernel(old: Beam, new: Beam) -> NDArray[np.float64] | None:
    """Second moments (square degrees, east and north) of the Gaussian that takes `old` to `new`; None if none can."""
    moments = new.covariance() - old.covariance()
    values, vectors = np.linalg.eigh(moments)
    if values[0] < -_SLACK * old.bmin**2 / _VARIANCE:
        return None
    result: NDArray[np.float64] = vectors @ np.diag(np.clip(values, 0, None)) @ vectors.T
    return result


def common_beam(beams: Sequence[Beam]) -> Beam:
    """The smallest beam that all of `beams` can be convolved to, enlarged by `ENLARGE`.

    Where one beam holds all others it is that beam, as in CASA; else radio-beam finds it. Raises DataError if there are
    no beams, or if none is found.
    """
    if not beams:
        raise DataError("There is no beam to find a common beam of.")
    largest = max(beams, key=lambda beam: beam.area)
    if all(kernel(beam, largest) is not None for beam in beams):
        return largest.enlarged(ENLARGE)

    from astropy import units
    from radio_beam import Beams
    from radio_beam.utils import BeamError

    several = Beams(
        major=[beam.bmaj for beam in beams] * units.deg,
        minor=[beam.bmin for beam in beams] * units.deg,
        pa=[beam.bpa for beam in beams] * units.deg,
    )
    # radio-beam searches to a tolerance and gives up when its first is too fine for beams that are nearly alike.
    for tolerance in (1e-5, 1e-4, 1e-3):
        try:
            found = several.common_beam(tolerance=tolerance)
        except BeamError:
            continue
        beam = Beam(
            float(found.major.to_value("deg")), float(found.minor.to_value("deg")), float(found.pa.to_value("deg"))
        ).enlarged(ENLARGE)
        if all(kernel(one, beam) is not None for one in beams):
            return beam
    raise DataError("No common beam was found for these planes; give one: BMAJ,BMIN,BPA.")


@dataclass(frozen=True)
class BeamReport:
    """The common beam with and without the rejected planes, for the report."""

    kept: Beam
    """Of the kept planes."""
    everything: Beam
    """Of all planes, as in the `.com` set."""
    widened_by: tuple[str, ...]
    """Groups of the rejected planes that, added to the kept ones, enlarge the beam's area by more than 1%."""

    def sentence(self) -> str:
        """What to tell the user; empty if no rejected plane matters."""
        if not self.widened_by:
            return ""
        return (
            f"The rejected plane(s) of spw {', '.join(self.widened_by)} widen the common beam from {self.kept} "
            f"to {self.everything}: the .com images are that much coarser than a cube of the kept planes."
        )


def compare_common_beams(kept: Mapping[str, Beam], rejected: Mapping[str, Beam]) -> BeamReport:
    """The common beams of kept planes and of all; both arguments map a plane's group to its beam.

    Raises DataError if no plane is kept.
    """
    own = common_beam(list(kept.values()))
    everything = common_beam([*kept.values(), *rejected.values()])
    wider = tuple(
        group
        for group, beam in rejected.items()
        if kernel(beam, own) is None and common_beam([own, beam]).area > 1.01 * own.area
    )
    return BeamReport(own, everything, wider)
