"""Planes whose Stokes I at a place is not what the other planes predict, by more than noise and flux scale allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ccip_batch.cube.planes.noise import MAD_TO_SIGMA
from ccip_batch.records import Model

SIGNIFICANCE = 5.0
"""A plane jumps if it is off by this many standard deviations or more."""
SCALE = 0.03
"""Uncertainty of the flux scale from plane to plane: what NRAO aims at for VLASS single-epoch images."""
SIGNAL_TO_NOISE = 20.0
"""A source weaker than this in the median plane is too weak to judge by."""
FEWEST = 4
"""Fewest planes among which one can be compared with the others."""
_CURVED = 6
"""With this many other planes the spectrum may be curved (a parabola in logarithms)."""


class FluxJump(Model):
    """A plane that jumps at a place."""

    spw: str
    place: str
    flux: float
    """Stokes I there, Jy/beam."""
    expected: float
    """What the other planes predict, Jy/beam."""
    significance: float
    """Their difference over its standard deviation."""

    def sentence(self) -> str:
        """In words, for the user."""
        ratio = self.flux / self.expected
        return (
            f"flux of spw {self.spw.replace(',', '+')} at the {self.place} is {ratio:.2f} times what the other planes "
            f"predict ({self.significance:+.0f} sigma)"
        )


@dataclass(frozen=True)
class Flux:
    """One plane at a place."""

    spw: str
    frequency_hz: float
    flux: float
    noise: float
    """Jy/beam, as the flux."""


def find_jumps(place: str, fluxes: Sequence[Flux]) -> list[FluxJump]:
    """The planes that jump, the worst first.

    Each plane is compared with a smooth spectrum through the others; the one furthest off is taken out, and the rest
    compared again. Spectral index and curvature are not jumps, and Faraday rotation leaves Stokes I alone.
    """
    left = [one for one in fluxes if np.isfinite(one.flux) and one.noise > 0]
    jumps: list[FluxJump] = []
    while len(left) >= FEWEST:
        if np.median([one.flux / one.noise for one in left]) < SIGNAL_TO_NOISE:
            break
        found = [_compare(place, one, [other for other in left if other is not one]) for one in left]
        worst = max((jump for jump in found if jump), key=lambda jump: abs(jump.significance), default=None)
        if worst is None or abs(worst.significance) < SIGNIFICANCE:
            break
        jumps.append(worst)
        left = [one for one in left if one.spw != worst.spw]
    return jumps


def _compare(place: str, plane: Flux, others: Sequence[Flux]) -> FluxJump | None:
    """A plane with the spectrum of the others; None where they have too few positive fluxes for one."""
    good = [one for one in others if one.flux > 0]
    if len(good) < FEWEST - 1:
        return None
    reference = np.log(plane.frequency_hz)  # so that the constant term is the expected flux of this plane
    x = np.log([one.frequency_hz for one in good]) - reference
    y = np.log([one.flux for one in good])
    sigma = np.array([np.hypot(one.noise / one.flux, SCALE) for one in good])
    design = np.vander(x, 3 if len(good) >= _CURVED else 2) / sigma[:, None]
    solution, _, rank, _ = np.linalg.lstsq(design, y / sigma, rcond=None)
    if rank < design.shape[1]:
        return None
    expected = float(np.exp(solution[-1]))
    # planes that scatter more than that among themselves predict no better
    scatter = max(1.0, MAD_TO_SIGMA * float(np.median(np.abs(design @ solution - y / sigma))))
    relative = float(np.linalg.inv(design.T @ design)[-1, -1]) * scatter**2 + (SCALE * scatter) ** 2
    spread = float(np.sqrt(plane.noise**2 + expected**2 * relative))
    return FluxJump(
        spw=plane.spw,
        place=place,
        flux=plane.flux,
        expected=expected,
        significance=(plane.flux - expected) / spread,
    )
