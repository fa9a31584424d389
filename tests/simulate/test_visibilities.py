from __future__ import annotations

import numpy as np
import pytest

from ccip_batch.simulate.observation import PHASE_CENTRE, Field, spw_frequencies
from ccip_batch.simulate.presets import PRESETS, Flagged
from ccip_batch.simulate.sky import LIGHT_SPEED, Source
from ccip_batch.simulate.visibilities import (
    PHASE_RMS,
    Rows,
    chunks,
    corrupt,
    initial_flags,
    interference,
    model,
    noise,
    phase_errors,
)

CENTRE_FIELD = Field(1, "centre", *PHASE_CENTRE, scan=2, start=0.0)
PRESET = PRESETS["small"]


def rows(number: int, antennas: int = 27, field: int = 1) -> Rows:
    random = np.random.default_rng(7)
    first = random.integers(0, antennas - 1, number).astype(np.int32)
    return Rows(
        uvw=random.normal(0, 500, (3, number)),
        antenna1=first,
        antenna2=first + 1,
        field=np.full(number, field, np.int32),
        scan=np.full(number, 2, np.int32),
        time=5.1e9 + 0.45 * np.arange(number),
    )


def test_a_source_at_the_centre_is_its_stokes_parameters() -> None:
    source = Source("A", 0, 0, 0.5, -0.7, p=0.1, rm=35, chi0=20, v=0.02)
    seen = model((source,), 10, 8, [CENTRE_FIELD], rows(50))
    i, q, u, v = source.stokes(spw_frequencies(10, 8))
    assert seen.shape == (4, 8, 50)
    for correlation, expected in enumerate((i + v, q + 1j * u, q - 1j * u, i - v)):  # RR, RL, LR, LL
        assert np.abs(seen[correlation] - expected[:, None]).max() < 1e-12


def test_a_source_off_the_centre_turns_the_phase() -> None:
    given, north = rows(50), 100.0
    seen = model((Source("A", 0, north, 1.0, 0.0),), 10, 2, [CENTRE_FIELD], given)
    m = np.radians(north / 3600)  # offsets are direction cosines
    path = given.uvw[1] * m + given.uvw[2] * (np.sqrt(1 - m * m) - 1)
    expected = 2 * np.pi * path[None] * (spw_frequencies(10, 2) / LIGHT_SPEED)[:, None]
    assert np.abs(seen[0] / np.abs(seen[0]) - np.exp(1j * expected)).max() < 1e-6
    assert 0.9 < np.abs(seen[0]).mean() < 1.0  # the primary beam
    assert not model((Source("A", 0, north, 1.0, 0.0),), 10, 2, [CENTRE_FIELD], rows(5, field=3)).any()


def test_a_wide_source_is_resolved_on_long_baselines() -> None:
    seen = model((Source("E", 0, 0, 1.0, 0.0, gauss=(60.0, 40.0, 35.0)),), 10, 2, [CENTRE_FIELD], rows(200))
    length = np.hypot(*rows(200).uvw[:2])
    amplitude = np.abs(seen[0, 0])
    assert amplitude[np.argmin(length)] > amplitude[np.argmax(length)] and amplitude.max() <= 1.0


def test_noise_of_a_visibility_follows_the_radiometer_equation() -> None:
    assert noise(64) == pytest.approx(370 / np.sqrt(2 * 2e6 * 0.45))
    given = rows(4000)
    seen = corrupt(np.zeros((4, 8, 4000), complex), given, {2: np.zeros(27)}, np.random.default_rng(1))
    assert seen.real.std() == pytest.approx(noise(8), rel=0.01) and seen.imag.std() == pytest.approx(noise(8), rel=0.01)
    other = corrupt(np.zeros((4, 8, 4000), complex), given, {2: np.zeros(27)}, np.random.default_rng(2))
    assert not np.array_equal(seen, other)


def test_phase_errors_are_those_of_the_two_antennas() -> None:
    phases = phase_errors(PRESET, [2, 3], 2000, seed=1)
    assert set(phases) == {2, 3} and phases[2][0] == 0.0
    assert np.degrees(phases[2]).std() == pytest.approx(PHASE_RMS, rel=0.05)
    given = rows(300)
    loud = np.full((4, 2, 300), 1e6 + 0j)  # noise is nothing against this
    seen = corrupt(loud, given, phases, np.random.default_rng(1))
    expected = phases[2][given.antenna1] - phases[2][given.antenna2]
    assert np.abs(seen[0, 0] / 1e6 - np.exp(1j * expected)).max() < 1e-3


def test_interference_is_found_again_in_other_orders_of_rows() -> None:
    given = rows(1000)
    burst = interference(PRESET, 10, given, seed=1)
    assert len(burst.keys) == 10 and burst.values.shape == (4, 10) and 0 <= burst.channel < PRESET.channels
    order = np.random.default_rng(1).permutation(1000)
    other = Rows(
        given.uvw[:, order], *(getattr(given, k)[order] for k in ("antenna1", "antenna2", "field", "scan", "time"))
    )
    assert np.array_equal(given.time[burst.find(given)], other.time[burst.find(other)])


def test_chunks_are_parts_of_the_whole() -> None:
    parts = list(chunks(100_000, 64))
    assert len(parts) > 1 and sum(number for _, number in parts) == 100_000 and max(n for _, n in parts) * 64 <= 2**20
    given, source = rows(1000), Source("A", 60, 30, 1.0, -0.7)
    burst = interference(PRESET, 10, given, seed=1)
    whole = model((source,), 10, PRESET.channels, [CENTRE_FIELD], given)
    pieces = []
    for start in range(0, 1000, 300):
        some = given[start : start + 300]
        pieces.append(model((source,), 10, PRESET.channels, [CENTRE_FIELD], some))
        burst.add(pieces[-1], given, start)
    whole[:, burst.channel, burst.find(given)] += burst.values
    assert np.array_equal(np.concatenate(pieces, axis=2), whole)


def test_the_share_that_is_flagged_is_exact() -> None:
    given = rows(400)
    fields = [CENTRE_FIELD, Field(2, "other", *PHASE_CENTRE, scan=2, start=1.0)]
    given = Rows(
        given.uvw, given.antenna1, given.antenna2, np.repeat([1, 2], 200).astype(np.int32), given.scan, given.time
    )
    chosen = initial_flags(Flagged(0.9, fields=0.5, elsewhere=0.25), fields, given, 10, seed=1)
    assert (chosen[:200].sum(), chosen[200:].sum()) == (180, 50)
