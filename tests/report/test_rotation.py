"""The rotation measure: found again from angles that are wrapped and noisy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ccip_batch.cube.polarisation import wavelength_squared
from ccip_batch.report.rotation import angle_errors, angles, fit_rotation

FREQUENCY = 2.028e9 + 128e6 * np.arange(16)


@pytest.mark.parametrize("rm", [0.0, 35.0, -60.0, 310.0])
@pytest.mark.parametrize("chi0", [0.3, -1.4])
def test_finds_the_rotation_of_wrapped_angles(rm: float, chi0: float) -> None:
    lambda2 = wavelength_squared(FREQUENCY)
    true = chi0 + rm * lambda2
    q, u = 0.1 * np.cos(2 * true), 0.1 * np.sin(2 * true)
    found = fit_rotation(lambda2, angles(q, u), np.full(16, 0.05))
    assert found is not None
    assert found.rm == pytest.approx(rm, abs=1e-6)
    assert math.cos(2 * (found.chi0 - chi0)) == pytest.approx(1)
    assert found.reduced_chi2 == pytest.approx(0, abs=1e-9)


def test_error_is_that_of_many_noisy_fits() -> None:
    random = np.random.default_rng(3)
    lambda2 = wavelength_squared(FREQUENCY)
    noise = np.linspace(0.002, 0.006, 16)
    found = []
    for _ in range(300):
        true = 0.4 - 25.0 * lambda2
        q = 0.1 * np.cos(2 * true) + random.normal(size=16) * noise
        u = 0.1 * np.sin(2 * true) + random.normal(size=16) * noise
        fit = fit_rotation(lambda2, angles(q, u), angle_errors(q, u, noise))
        assert fit is not None and fit.rm_error is not None and fit.reduced_chi2 is not None
        found.append((fit.rm, fit.rm_error, fit.reduced_chi2))
    values, errors, chi2 = np.array(found).T
    assert values.mean() == pytest.approx(-25.0, abs=4 * values.std() / math.sqrt(300))
    assert errors.mean() == pytest.approx(values.std(), rel=0.15)
    assert chi2.mean() == pytest.approx(1.0, abs=0.15)


def test_noisy_planes_count_less() -> None:
    lambda2 = wavelength_squared(FREQUENCY)
    chi = 0.2 + 20.0 * lambda2
    error = np.full(16, 0.02)
    chi[3] += 0.7
    error[3] = 5.0
    found = fit_rotation(lambda2, chi, error)
    assert found is not None
    assert found.rm == pytest.approx(20.0, abs=0.02)


def test_too_few_planes() -> None:
    assert fit_rotation(np.array([0.01]), np.array([0.1]), np.array([0.1])) is None
    two = fit_rotation(np.array([0.01, 0.02]), np.array([0.1, 0.3]), np.array([0.1, 0.1]))
    assert two is not None and two.rm == pytest.approx(20.0) and two.rm_error is None
