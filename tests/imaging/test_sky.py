from __future__ import annotations

import math

import pytest

from ccip_batch.casa.measurement_set import Field
from ccip_batch.errors import ConfigError
from ccip_batch.imaging.sky import fields_within, phase_centre


def field(number: int, east_arcsec: float, north_arcsec: float, ra: float = 0.0, dec: float = 45.0) -> Field:
    shift = east_arcsec / 3600 / math.cos(math.radians(dec))
    return Field(
        id=number,
        name=f"{number}",
        ra_rad=math.radians(ra + shift) % (2 * math.pi),
        dec_rad=math.radians(dec + north_arcsec / 3600),
        target=True,
    )


def test_phase_centre_with_dots_in_the_declination() -> None:
    centre = phase_centre("J2000 13:33:35.814 +16.44.04.255")
    assert centre.ra.deg == pytest.approx(203.399225)
    assert centre.dec.deg == pytest.approx(16.7345152777)


def test_negative_declination_near_zero() -> None:
    assert phase_centre("J2000 00:50:00.0 -00.30.00.0").dec.deg == pytest.approx(-0.5)


@pytest.mark.parametrize("text", ["", "13:33:35.814 +16.44.04.255", "J2000 13:33 north", "B1950 1:0:0 1.0.0"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="phasecenter"):
        phase_centre(text)


def test_both_offsets_count_and_the_circle_closes() -> None:
    fields = [field(1, -1790, 1790), field(2, 1810, 0), field(3, 0, -1810), field(4, 0, 0)]
    assert fields_within(fields, phase_centre("J2000 00:00:00.0 +45.00.00.0"), 1800.0) == [1, 4]


@pytest.mark.parametrize("centre", ["J2000 00:00:10.0 +89.30.00.0", "J2000 23:59:50.0 -89.30.00.0"])
def test_fields_around_a_pole(centre: str) -> None:
    """One on its near side, one beyond it, one beside, and two that are too far, of which one is beyond."""
    south = centre[17] == "-"
    places = [(0.0, 89.1), (180.0, 89.9), (70.0, 89.7), (0.0, 88.6), (180.0, 89.6)]
    fields = [field(n, 0, 0, ra, -dec if south else dec) for n, (ra, dec) in enumerate(places)]
    assert fields_within(fields, phase_centre(centre), 2800.0) == [0, 1, 2]
