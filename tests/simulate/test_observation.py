from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ccip_batch.errors import DataError
from ccip_batch.simulate.observation import (
    INTEGRATION,
    PHASE_CENTRE,
    antenna_names,
    field_name,
    mosaic,
    spw_frequencies,
    spw_name,
)
from ccip_batch.simulate.presets import PRESETS
from ccip_batch.simulate.sky import direction_cosines


def test_the_mosaic_goes_to_and_fro() -> None:
    preset = replace(PRESETS["small"], fields=5, columns=2)
    fields = mosaic(preset)
    assert [field.id for field in fields] == [1, 2, 3, 4, 5] and [field.scan for field in fields] == [2, 2, 3, 3, 4]
    east = [math.degrees(direction_cosines(f.ra, f.dec, *PHASE_CENTRE)[0]) * 3600 for f in fields]
    north = [math.degrees(direction_cosines(f.ra, f.dec, *PHASE_CENTRE)[1]) * 3600 for f in fields]
    assert east == pytest.approx([-75, 75, 75, -75, 0], abs=1e-3)  # fields are 150 arcsec apart
    assert north == pytest.approx([-150, -150, 0, 0, 150], abs=1e-3)
    stay = preset.integrations * INTEGRATION
    assert np.diff([field.start for field in fields]) == pytest.approx([stay, stay + 240, stay, stay + 240])


def test_fields_that_would_have_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="both named"):
        mosaic(replace(PRESETS["small"], spacing=(0.5, 0.5)))


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        ("13:33:35.86", 16.7345, "1333358+164404"),
        ("00:00:00.09", -0.5, "0000000-003000"),
        ("23:59:59.99", -16.9999, "2359599-165959"),
    ],
)
def test_names_of_fields_are_cut_off_and_not_rounded(ra: str, dec: float, name: str) -> None:
    hours, minutes, seconds = (float(part) for part in ra.split(":"))
    assert field_name(math.radians(15 * (hours + minutes / 60 + seconds / 3600)), math.radians(dec)) == name


@pytest.mark.parametrize(("spw", "centre"), [(2, 2.028e9), (9, 2.924e9), (10, 3.052e9), (17, 3.948e9)])
def test_spws_are_those_of_the_survey(spw: int, centre: float) -> None:
    frequencies = spw_frequencies(spw, 64)
    assert frequencies.mean() == pytest.approx(centre) and np.diff(frequencies) == pytest.approx(2e6)
    assert spw_name(spw) == f"EVLA_S#{'A0C0' if spw < 10 else 'B0D0'}#{spw}"


def test_pointing_spws_are_at_x_band() -> None:
    assert len(spw_frequencies(0, 64)) == 2 and 8e9 < spw_frequencies(1, 64).mean() < 9e9
    assert [spw_name(spw) for spw in (0, 1)] == ["EVLA_X#A0C0#0", "EVLA_X#B0D0#1"]


def test_the_array_has_27_antennas() -> None:
    for configuration in ("b", "d"):
        assert antenna_names(configuration) == [f"ea{number:02d}" for number in range(1, 28)]
