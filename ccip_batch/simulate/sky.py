"""The sky of the simulation: sources, their spectra and polarisation, and where they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIGHT_SPEED = 299792458.0
"""Speed of light in m/s."""
REFERENCE_FREQUENCY = 3.0e9
"""Frequency in Hz at which flux densities are stated."""
ARCSEC = np.pi / 180.0 / 3600.0
"""An arc second in radians."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """A point source or an elliptical Gaussian."""

    name: str
    dx: float
    """Offset from the phase centre in arcsec, + is east; SIN projection."""
    dy: float
    """Offset from the phase centre in arcsec, + is north."""
    i0: float
    """Flux density at 3 GHz in Jy."""
    alpha: float
    """Spectral index: I ~ frequency ** alpha."""
    p: float = 0.0
    """Fraction that is linearly polarised."""
    rm: float = 0.0
    """Rotation measure in rad/m2."""
    chi0: float = 0.0
    """Polarisation angle at wavelength zero, in degrees."""
    v: float = 0.0
    """Fraction that is circularly polarised (sign of V)."""
    gauss: tuple[float, float, float] | None = None
    """Major and minor axis (FWHM, arcsec) and position angle (degrees, north through east); None: a point."""
    in_ql: bool = True
    """Whether the Quick Look catalogue has it, so that it is in the tier-1 mask."""

    def stokes(self, frequency: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """I, Q, U and V in Jy at frequencies in Hz."""
        i = self.i0 * (frequency / REFERENCE_FREQUENCY) ** self.alpha
        chi = np.radians(self.chi0) + self.rm * (LIGHT_SPEED / frequency) ** 2
        return i, self.p * i * np.cos(2 * chi), self.p * i * np.sin(2 * chi), self.v * i

    def direction(self, ra0: float, dec0: float) -> tuple[float, float]:
        """Right ascension and declination in radians, for a phase centre in radians."""
        return from_offset(ra0, dec0, self.dx * ARCSEC, self.dy * ARCSEC)

    def on_grid(self, cell: float) -> Source:
        """The same source with its offset moved to the nearest whole number of cells (arcsec)."""
        return replace(self, dx=round(self.dx / cell) * cell, dy=round(self.dy / cell) * cell)

    def as_dict(self) -> dict[str, Any]:
        """As it stands in truth.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Source:
        """Read an entry of truth.json."""
        gauss = values["gauss"]
        return cls(**{**values, "gauss": tuple(gauss) if gauss else None})


def from_offset(ra0: float, dec0: float, x: float, y: float) -> tuple[float, float]:
    """Right ascension and declination of a SIN-projected offset (x east, y north) from a centre; all in radians."""
    z = np.sqrt(1.0 - x * x - y * y)
    dec = np.arcsin(y * np.cos(dec0) + z * np.sin(dec0))
    ra = ra0 + np.arctan2(x, z * np.cos(dec0) - y * np.sin(dec0))
    return float(ra), float(dec)


def direction_cosines(ra: float, dec: float, ra0: float, dec0: float) -> tuple[float, float, float]:
    """Direction cosines l (east), m (north) and n of a direction in the frame of a centre; all in radians."""
    x = np.cos(dec) * np.sin(ra - ra0)
    y = np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(ra - ra0)
    z = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(ra - ra0)
    return float(x), float(y), float(z)
