"""The wide-field position correction of VLASS images (VLASS Memo 14).

The mosaic gridder without w-terms shifts sources along the direction to the zenith by an amount that grows with the
zenith distance and falls with the square of the frequency. The images' reference position is moved back.
"""

from __future__ import annotations

import math

from ccip_batch.casa.session import Casa
from ccip_batch.records import Model

OFFSET_ARCSEC = 0.25
"""Offset at 3 GHz for a zenith distance of 45 degrees."""

# The VLA's longitude and ITRF latitude in CASA's observatory table, to six digits as NRAO's pipeline uses them.
_LONGITUDE_DEG = -107.618
_LATITUDE_DEG = 33.9005

MARK = "Position correction "
"""A header with this in its history has been corrected."""


class PositionCorrection(Model):
    """What is added to the reference position of a plane, and what it was computed from."""

    zenith_distance_deg: float
    parallactic_angle_deg: float
    mjd: float
    """Middle of the observation, UTC."""
    x_arcsec: float
    """Along right ascension, on the sky."""
    y_arcsec: float
    """Along declination."""

    def apply(self, ra_deg: float, dec_deg: float) -> tuple[float, float]:
        """The corrected position, degrees."""
        return (
            (ra_deg + self.x_arcsec / 3600.0 / math.cos(math.radians(dec_deg))) % 360.0,
            dec_deg + self.y_arcsec / 3600.0,
        )

    def history(self, ra_deg: float, dec_deg: float) -> list[str]:
        """HISTORY lines for a header whose position was corrected from the one given."""
        return [
            f"Uncorrected CRVAL1 = {ra_deg:.12E} deg",
            f"Uncorrected CRVAL2 = {dec_deg:.12E} deg",
            f"Zenith distance (ZD) {self.zenith_distance_deg:.6f} deg at the middle of the observation",
            f"Middle of the observation (TELMJD) MJD {self.mjd:.8f} UTC",
            f"{MARK}({self.x_arcsec:.6f}/cos(CRVAL2), {self.y_arcsec:.6f}) arcsec applied",
        ]


def position_correction(
    casa: Casa, ra_deg: float, dec_deg: float, start_mjd: float, end_mjd: float, frequency_hz: float
) -> PositionCorrection:
    """The correction of a plane: 0.25 arcsec x tan(ZD) x (3 GHz / frequency)^2 along parallactic angle + 180 degrees.

    ra_deg, dec_deg: nominal reference position, J2000. start_mjd, end_mjd: of the observation, UTC.
    frequency_hz: of the plane.
    """
    middle = (start_mjd + end_mjd) / 2
    latitude, declination = math.radians(_LATITUDE_DEG), math.radians(dec_deg)
    hour_angle = _sidereal_time(casa, middle) - math.radians(ra_deg)
    zenith_distance = math.acos(
        math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
    )
    parallactic = math.atan2(
        math.sin(hour_angle),
        math.tan(latitude) * math.cos(declination) - math.sin(declination) * math.cos(hour_angle),
    )
    offset = OFFSET_ARCSEC * math.tan(zenith_distance) * (3e9 / frequency_hz) ** 2
    return PositionCorrection(
        zenith_distance_deg=math.degrees(zenith_distance),
        parallactic_angle_deg=math.degrees(parallactic),
        mjd=middle,
        x_arcsec=offset * math.sin(parallactic + math.pi),
        y_arcsec=offset * math.cos(parallactic + math.pi),
    )


def _sidereal_time(casa: Casa, mjd: float) -> float:
    """Local mean sidereal time at the VLA, radian."""
    with casa.tool("measures") as measures, casa.tool("quanta") as quanta:

        def sidereal(day: float) -> float:
            epoch = measures.epoch("UTC", quanta.quantity(day, "d"))
            measures.doframe(epoch)
            return float(measures.measure(epoch, "LMST")["m0"]["value"])

        measures.doframe(
            measures.position(
                "ITRF",
                quanta.quantity(_LONGITUDE_DEG, "deg"),
                quanta.quantity(_LATITUDE_DEG, "deg"),
                quanta.quantity(6373576.28, "m"),
            )
        )
        # CASA keeps UT1-UTC for an hour around the first time it was asked for. What a process did before would change
        # the last digits, and with them the bits of what is convolved; another day first makes it forget that.
        sidereal(mjd - 100.0)
        days = sidereal(mjd)
    return 2 * math.pi * (days % 1.0)
