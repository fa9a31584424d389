"""Phase centres as they are written in parameter lists. Needs only Python, so that a config is checked at once."""

from __future__ import annotations

import re

_RA = re.compile(r"(\d{1,2})[:h](\d{1,2})[:m](\d{1,2}(?:\.\d*)?)s?")
_DEC = re.compile(r"([-+]?)(\d{1,2})[.:d](\d{1,2})[.:m](\d{1,2}(?:\.\d*)?)s?")
FRAMES = ("J2000", "ICRS")
NEAREST_TO_POLE_DEG = 0.2
"""VLASS adds its position correction to the reference position, over cos(declination) to its right ascension. That
turns a plane about its centre: at this distance from a pole its corners move by some 3 arcsec, a beam (2 GHz)."""


def parse_direction(text: str) -> tuple[str, float, float]:
    """Frame (`J2000` or `ICRS`), right ascension and declination in degrees.

    Takes CASA's forms: `J2000 13:33:35.8 +16.44.04.2`, `J2000 13h33m35.8 +16d44m04.2`, colons in both. Raises
    ValueError, which shows a right one.
    """
    parts = text.split()
    ra = _RA.fullmatch(parts[1]) if len(parts) == 3 else None
    dec = _DEC.fullmatch(parts[2]) if len(parts) == 3 else None
    if ra is None or dec is None or parts[0] not in FRAMES:
        raise ValueError(f"{text!r} is not a phase centre; write it like 'J2000 13:33:35.814 +16.44.04.255'")
    hours, degrees = _sexagesimal(ra.groups()), _sexagesimal(dec.groups()[1:])
    if hours is None or degrees is None or hours >= 24 or degrees > 90:
        raise ValueError(f"{text!r} is not on the sky; write it like 'J2000 13:33:35.814 +16.44.04.255'")
    return parts[0], 15 * hours, -degrees if dec[1] == "-" else degrees


def parse_phase_centre(text: str) -> tuple[str, float, float]:
    """As `parse_direction`, of a square that can be imaged. Raises ValueError for a place too near a pole as well."""
    frame, ra, dec = parse_direction(text)
    if 90 - abs(dec) < NEAREST_TO_POLE_DEG:
        raise ValueError(
            f"{text!r} is within {NEAREST_TO_POLE_DEG:g} degrees of a pole, where the position correction of VLASS "
            "would turn the planes by more than a beam; choose a phase centre farther from it, such as +89.30.00"
        )
    return frame, ra, dec


def _sexagesimal(parts: tuple[str, ...]) -> float | None:
    whole, minutes, seconds = (float(part) for part in parts)
    return whole + minutes / 60 + seconds / 3600 if minutes < 60 and seconds < 60 else None
