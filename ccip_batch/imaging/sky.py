"""Directions on the sky: phase centres as parameter lists write them, offsets of fields from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ccip_batch.casa.measurement_set import Field
from ccip_batch.errors import ConfigError
from ccip_batch.job.phase_centre import parse_direction

if TYPE_CHECKING:  # astropy.coordinates takes a second to import, and few nodes need it
    from astropy.coordinates import SkyCoord

_FRAMES = {"J2000": "fk5", "ICRS": "icrs"}


def phase_centre(text: str) -> SkyCoord:
    """Read a phase centre (`job.phase_centre.parse_direction`). Raises ConfigError."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    try:
        frame, ra, dec = parse_direction(text)
    except ValueError as error:
        raise ConfigError(f"phasecenter {error}") from error
    return SkyCoord(ra * u.deg, dec * u.deg, frame=_FRAMES[frame])


def fields_within(fields: Sequence[Field], centre: SkyCoord, limit_arcsec: float) -> list[int]:
    """Ids of the fields whose offsets from the centre, in longitude and in latitude, are both less than a limit.

    The offsets are `SkyCoord.spherical_offsets_to`; the limit itself is outside.
    """
    if not fields:
        return []
    inside = np.abs(offsets(fields, centre)).max(axis=0) < limit_arcsec
    return [field.id for field, ok in zip(fields, inside, strict=True) if ok]


def offsets(fields: Sequence[Field], centre: SkyCoord) -> NDArray[np.float64]:
    """Offsets of fields from a centre in longitude and latitude, arcsec: shape (2, fields). At least one field."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    directions = SkyCoord([f.ra_rad for f in fields] * u.rad, [f.dec_rad for f in fields] * u.rad, frame="fk5")
    longitude, latitude = centre.transform_to("fk5").spherical_offsets_to(directions)
    return np.array([longitude.arcsec, latitude.arcsec])
