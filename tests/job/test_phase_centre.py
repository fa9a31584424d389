"""Phase centres, against astropy's reading of the same texts."""

from __future__ import annotations

import pytest
from astropy.coordinates import SkyCoord

from ccip_batch.job.phase_centre import parse_direction


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("J2000 13:33:35.814 +16.44.04.255", "13h33m35.814s +16d44m04.255s"),
        ("J2000 13h33m35.8 +16d44m04.2", "13h33m35.8s +16d44m04.2s"),
        ("J2000 13h33m35.8s 16d44m04.2s", "13h33m35.8s +16d44m04.2s"),
        ("ICRS 00:00:01 -00:30:00", "0h0m1s -0d30m0s"),
        ("J2000 23:59:59.999 -89.59.59", "23h59m59.999s -89d59m59s"),
    ],
)
def test_a_direction_is_read(text: str, same: str) -> None:
    frame, ra, dec = parse_direction(text)
    expected = SkyCoord(same)
    assert frame == text.split()[0]
    assert (ra, dec) == (pytest.approx(expected.ra.deg, abs=1e-9), pytest.approx(expected.dec.deg, abs=1e-9))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a phase centre"),
        ("13:33:35 +16.44.04", "is not a phase centre"),
        ("B1950 13:33:35 +16.44.04", "is not a phase centre"),
        ("J2000 203.4deg 16.7deg", "is not a phase centre"),
        ("J2000 13:33:35 +16.44.04 more", "is not a phase centre"),
        ("J2000 24:00:00 +16.44.04", "is not on the sky"),
        ("J2000 13:60:35 +16.44.04", "is not on the sky"),
        ("J2000 13:33:60 +16.44.04", "is not on the sky"),
        ("J2000 13:33:35 -90.00.01", "is not on the sky"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_direction(text)
