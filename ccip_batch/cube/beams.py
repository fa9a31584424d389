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
"""The common beam is made larger by this factor, so that rounding never asks for a deconvolution (stage 12)."""
_VARIANCE = 8 * math.log(2)
_OUTLINE = 360
"""Directions at which the outline of several beams is taken."""
_SLACK = 1e-4
"""A kernel variance this far below zero, as a share of the beam's own, is rounding of headers and counts as zero."""


@dataclass(frozen=True)
class GaussianBeam:
    """An elliptical Gaussian beam as FITS headers give it: full widths at half maximum and position angle (north
    through east), all in degrees. `casa.images.RestoringBeam` is what CASA fitted, in arcsec, as results record it."""

    major_deg: float
    minor_deg: float
    pa_deg: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.pa_deg) and 0 < self.minor_deg <= self.major_deg < math.inf):
            raise DataError(
                f"Not a beam: major {self.major_deg} deg, minor {self.minor_deg} deg, angle {self.pa_deg} deg; "
                "both axes must be positive and the major one the larger."
            )

    @property
    def area(self) -> float:
        """Solid angle in square degrees."""
        return 2 * math.pi / _VARIANCE * self.major_deg * self.minor_deg

    def covariance(self) -> NDArray[np.float64]:
        """Second moments, square degrees, shape (2, 2), axes east and north."""
        angle = math.radians(self.pa_deg)
        sine, cosine = math.sin(angle), math.cos(angle)
        major, minor = self.major_deg**2 / _VARIANCE, self.minor_deg**2 / _VARIANCE
        cross = (major - minor) * sine * cosine
        return np.array(
            [[major * sine**2 + minor * cosine**2, cross], [cross, major * cosine**2 + minor * sine**2]],
        )

    def enlarged(self, factor: float) -> GaussianBeam:
        """The same beam with both axes times `factor`."""
        return GaussianBeam(self.major_deg * factor, self.minor_deg * factor, self.pa_deg)

    def __str__(self) -> str:
        return f"{self.major_deg * 3600:.4f} x {self.minor_deg * 3600:.4f} arcsec, {self.pa_deg:.2f} deg"


def parse_beam(text: str) -> GaussianBeam:
    """A beam from `BMAJ,BMIN,BPA` in arcsec, arcsec, degrees (`4.5,3.6,-10`). Raises DataError if it is not a beam."""
    parts = [part for part in re.split(r"[,\s]+", text.strip()) if part]
    try:
        major, minor, angle = (float(part) for part in parts)
    except ValueError:
        raise DataError(
            f"Not a beam: {text!r}. Give BMAJ,BMIN,BPA in arcsec, arcsec and degrees, such as 4.5,3.6,-10; or native."
        ) from None
    return GaussianBeam(major / 3600, minor / 3600, angle)


def kernel(old: GaussianBeam, new: GaussianBeam) -> NDArray[np.float64] | None:
    """Second moments (square degrees, east and north) of the Gaussian that takes `old` to `new`; None if none can."""
    moments = new.covariance() - old.covariance()
    values, vectors = np.linalg.eigh(moments)
    if values[0] < -_SLACK * old.minor_deg**2 / _VARIANCE:
        return None
    result: NDArray[np.float64] = vectors @ np.diag(np.clip(values, 0, None)) @ vectors.T
    return result


def common_beam(beams: Sequence[GaussianBeam]) -> GaussianBeam:
    """The smallest beam that all of `beams` can be convolved to, enlarged by `ENLARGE`.

    Where one beam holds all others it is that beam, as in CASA. Else it is the ellipse of least area around all, a
    convex problem solved on the outline of their union. That takes milliseconds; radio-beam's search takes 10 s for 16
    beams and ends a little larger. Raises DataError if there are no beams.
    """
    if not beams:
        raise DataError("There are no beams to find a common beam for.")
    largest = max(beams, key=lambda beam: beam.area)
    if all(kernel(beam, largest) is not None for beam in beams):
        return largest.enlarged(ENLARGE)
    scale = largest.major_deg**2 / _VARIANCE
    moments = [beam.covariance() / scale for beam in beams]
    shape = _least_ellipse(moments)
    # The outline is sampled: enlarge until every beam is inside, which takes some 1e-5.
    factor = max(float(np.linalg.eigvals(np.linalg.solve(shape, one)).real.max()) for one in moments)
    values, vectors = np.linalg.eigh(shape * factor * scale * _VARIANCE)
    east, north = vectors[:, 1]
    angle = (math.degrees(math.atan2(east, north)) + 90) % 180 - 90
    return GaussianBeam(math.sqrt(values[1]), math.sqrt(values[0]), angle).enlarged(ENLARGE)


def _least_ellipse(moments: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Second moments of the centred ellipse of least area around ellipses of these second moments, both of order 1."""
    from scipy.optimize import minimize

    angle = np.linspace(0, np.pi, _OUTLINE, endpoint=False)
    way = np.array([np.sin(angle), np.cos(angle)])
    # How far the union reaches in each direction; the ellipse is all v with v' P v <= 1.
    reach = 1 / np.sqrt(np.min([np.einsum("ik,ij,jk->k", way, np.linalg.inv(one), way) for one in moments], axis=0))
    x, y = way * reach
    inside = np.array([-(x**2), -2 * x * y, -(y**2)]).T

    def size(p: NDArray[np.float64]) -> float:
        return -math.log(max(p[0] * p[2] - p[1] ** 2, 1e-300))

    def slope(p: NDArray[np.float64]) -> NDArray[np.float64]:
        gradient: NDArray[np.float64] = np.array([-p[2], 2 * p[1], -p[0]]) / max(p[0] * p[2] - p[1] ** 2, 1e-300)
        return gradient

    circle = 1 / float(np.max(reach)) ** 2
    found = minimize(
        size, [circle, 0.0, circle], jac=slope, method="SLSQP", options={"ftol": 1e-12, "maxiter": 200},
        constraints={"type": "ineq", "fun": lambda p: 1 + inside @ p, "jac": lambda p: inside},
    )  # fmt: skip
    p = found.x
    if not (found.success and p[0] > 0 and p[0] * p[2] > p[1] ** 2):  # the circle around all always serves
        p = [circle, 0.0, circle]
    result: NDArray[np.float64] = np.linalg.inv(np.array([[p[0], p[1]], [p[1], p[2]]]))
    return result


@dataclass(frozen=True)
class BeamReport:
    """The common beam with and without the rejected planes, for the report."""

    kept: GaussianBeam
    """Of the kept planes."""
    everything: GaussianBeam
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


def compare_common_beams(kept: Mapping[str, GaussianBeam], rejected: Mapping[str, GaussianBeam]) -> BeamReport:
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
