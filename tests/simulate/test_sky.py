from __future__ import annotations

import numpy as np
import pytest

from ccip_batch.job.spw_groups import SCIENCE_SPWS
from ccip_batch.simulate.beam import primary_beam
from ccip_batch.simulate.observation import PHASE_CENTRE, spw_frequencies
from ccip_batch.simulate.sky import ARCSEC, LIGHT_SPEED, Source, direction_cosines


def test_an_offset_is_the_direction_cosine() -> None:
    source = Source("X", 300.0, -200.0, 1.0, 0.0)
    east, north, _ = direction_cosines(*source.direction(*PHASE_CENTRE), *PHASE_CENTRE)
    assert east / ARCSEC == pytest.approx(300.0, abs=1e-6) and north / ARCSEC == pytest.approx(-200.0, abs=1e-6)


def test_spectrum_and_polarisation() -> None:
    source = Source("X", 0, 0, 2.0, -1.0, p=0.1, rm=50.0, chi0=10.0, v=-0.02)
    i, q, u, v = source.stokes(np.array([1.5e9, 3.0e9]))
    assert i == pytest.approx([4.0, 2.0]) and v == pytest.approx([-0.08, -0.04])
    assert np.hypot(q, u) == pytest.approx([0.4, 0.2])
    turned = 0.5 * np.angle((q + 1j * u)[0] / (q + 1j * u)[1])
    square = (LIGHT_SPEED / np.array([1.5e9, 3.0e9])) ** 2
    assert np.exp(2j * turned) == pytest.approx(np.exp(2j * 50.0 * (square[0] - square[1])))


def test_spws_are_those_of_the_survey() -> None:
    lowest, highest = spw_frequencies(2, 8), spw_frequencies(17, 8)
    assert lowest[0] == 1.972e9 and highest[-1] == 4.004e9
    assert [spw_frequencies(spw, 64).mean() for spw in (0, 9, 10)] == [8.364e9, 2.924e9, 3.052e9]


@pytest.mark.parametrize("spw", SCIENCE_SPWS)
def test_the_primary_beam_has_its_width(spw: int) -> None:
    frequency = spw_frequencies(spw, 1)
    radius = np.radians(np.linspace(0, 60, 6001) / 60) / (frequency[0] / 1e9)  # up to 60 arcmin at 1 GHz
    beam = primary_beam(spw, radius, frequency)
    assert beam[0] == 1.0 and beam.min() == 0.0
    half = np.interp(-0.5, -beam[:3600], np.linspace(0, 36, 3600))
    assert 2 * half == pytest.approx(42.0, rel=0.06)  # the VLA's 42 arcmin / GHz
