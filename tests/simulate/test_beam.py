from __future__ import annotations

import numpy as np
import pytest

from ccip_batch.job.spw_groups import SCIENCE_SPWS
from ccip_batch.simulate.beam import primary_beam


@pytest.mark.parametrize("spw", SCIENCE_SPWS)
def test_one_at_the_centre_falling_to_zero(spw: int) -> None:
    frequency = 2.0e9 + (spw - 2) * 0.125e9
    radius = np.radians(np.linspace(0, 40, 401) / 60)
    power = primary_beam(spw, radius, np.array(frequency))
    assert power[0] == 1.0 and power[-1] == 0.0 and (power >= 0).all()
    main = power[power > 0.05]
    assert (np.diff(main) < 0).all()


@pytest.mark.parametrize("spw", [2, 10, 17])
def test_half_power_at_the_width_of_the_vla(spw: int) -> None:
    """The VLA's primary beam is 42 arcmin x GHz wide at half power, within 4%."""
    power = primary_beam(spw, np.radians(np.array([0.96, 1.04]) * 21.0 / 3.0 / 60), np.array(3e9))
    assert power[0] > 0.5 > power[1]


def test_radius_and_frequency_are_broadcast() -> None:
    radius, frequency = np.radians(np.array([[0.0], [5 / 60]])), np.array([2.9e9, 3.0e9, 3.1e9])
    assert primary_beam(9, radius, frequency).shape == (2, 3)
