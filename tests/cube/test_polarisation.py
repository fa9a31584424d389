"""The rotation measure: found again from noisy Q and U."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ccip_batch.cube.polarisation import Rotation, fit_rotation, wavelength_squared

SQUARED = wavelength_squared(2.028e9 + 128e6 * np.arange(16))
EVEN = np.ones(16)


def fitted(angle: np.ndarray, noise: np.ndarray, seed: int | None = None) -> Rotation:
    """The fit to a source of 0.1 with some angles (rad); noise is added if there is a seed."""
    added = np.random.default_rng(seed).normal(size=(2, 16)) * noise if seed is not None else np.zeros((2, 16))
    return fit_rotation(SQUARED, 0.1 * np.cos(2 * angle) + added[0], 0.1 * np.sin(2 * angle) + added[1], noise, EVEN)


@pytest.mark.parametrize("rm", [0.0, 35.0, -60.0, 310.0])
@pytest.mark.parametrize("chi0", [0.3, -1.4])
def test_finds_the_rotation_of_wrapped_angles(rm: float, chi0: float) -> None:
    found = fitted(chi0 + rm * SQUARED, np.full(16, 1e-4))
    assert found.rm == pytest.approx(rm, abs=1e-2)
    assert math.cos(2 * (math.radians(found.chi0) - chi0)) == pytest.approx(1)
    assert 0 <= found.chi0 < 180 and found.chi2 == pytest.approx(0, abs=1e-3)
    assert found.angle(SQUARED) == pytest.approx(np.degrees(chi0 % math.pi + rm * SQUARED), abs=0.01)


def test_error_is_that_of_many_noisy_fits() -> None:
    noise = np.linspace(0.002, 0.006, 16)
    found = [fitted(0.4 - 25.0 * SQUARED, noise, seed) for seed in range(300)]
    values, errors, chi2 = np.array([(fit.rm, fit.rm_err, fit.chi2) for fit in found]).T
    assert values.mean() == pytest.approx(-25.0, abs=4 * values.std() / math.sqrt(300))
    assert errors.mean() == pytest.approx(values.std(), rel=0.15)
    assert chi2.mean() == pytest.approx(1.0, abs=0.15)


def test_noisy_planes_count_less() -> None:
    angle, noise = 0.2 + 20.0 * SQUARED, np.full(16, 0.002)
    angle[3] += 0.7
    noise[3] = 0.5
    assert fitted(angle, noise).rm == pytest.approx(20.0, abs=0.02)


def test_polarised_intensity_is_corrected_for_its_bias() -> None:
    noise = np.full(16, 0.1 * 4 / 7)
    found = [fitted(0.4 - 25.0 * SQUARED, noise, seed) for seed in range(600)]
    off = np.array([(fit.p - 0.1) / fit.p_err for fit in found])
    assert found[0].p_err == pytest.approx(0.1 / 7)
    assert abs(off.mean()) < 0.1  # uncorrected, it would be 0.16
