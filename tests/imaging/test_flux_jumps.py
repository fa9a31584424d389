"""Which planes jump, and that no honest spectrum does."""

from __future__ import annotations

import numpy as np
import pytest

from ccip_batch.imaging.flux_jumps import Flux, find_jumps

GHZ = 2.028 + 0.128 * np.arange(16)


def planes(fluxes: np.ndarray, noise: float = 5e-4, seed: int = 1) -> list[Flux]:
    """Sixteen planes with noise of their own."""
    scatter = np.random.default_rng(seed).normal(0, noise, fluxes.size)
    return [
        Flux(str(n + 2), float(f) * 1e9, float(flux), noise)
        for n, (f, flux) in enumerate(zip(GHZ, fluxes + scatter, strict=True))
    ]


def power_law(alpha: float, flux: float = 0.15) -> np.ndarray:
    return flux * (GHZ / 3) ** alpha


@pytest.mark.parametrize("alpha", [-2.0, -0.7, 0.0, 1.5])
@pytest.mark.parametrize("flux", [0.002, 0.02, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_spectra_are_no_jumps(alpha: float, flux: float, seed: int) -> None:
    assert find_jumps("peak", planes(power_law(alpha, flux), seed=seed)) == []


def test_a_peaked_spectrum_is_no_jump() -> None:
    curved = 0.1 * (GHZ / 3) ** (-1.0 * np.log(GHZ / 3))
    assert find_jumps("peak", planes(curved)) == []


def test_a_flux_scale_that_is_a_little_off_is_no_jump() -> None:
    off = np.random.default_rng(3).normal(1, 0.03, GHZ.size)
    assert find_jumps("peak", planes(power_law(-0.7) * off)) == []


@pytest.mark.parametrize("which", [0, 7, 15])
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.5])
def test_the_plane_that_jumps_is_named(which: int, factor: float) -> None:
    fluxes = power_law(-0.7)
    expected = fluxes[which]
    fluxes[which] *= factor
    jumps = find_jumps("peak of Stokes I", planes(fluxes))
    assert [jump.spw for jump in jumps] == [str(which + 2)]
    assert jumps[0].expected == pytest.approx(expected, rel=0.05)
    assert f"spw {which + 2} at the peak of Stokes I" in jumps[0].sentence()


def test_two_planes_that_jump_are_both_named() -> None:
    fluxes = power_law(-0.7)
    fluxes[4] *= 2
    fluxes[5] *= 2
    assert {jump.spw for jump in find_jumps("peak", planes(fluxes))} == {"6", "7"}


def test_four_planes_are_enough_and_three_are_not() -> None:
    fluxes = power_law(-0.7)
    fluxes[6] *= 2
    some = planes(fluxes)
    assert [jump.spw for jump in find_jumps("peak", [some[n] for n in (0, 3, 6, 15)])] == ["8"]
    assert find_jumps("peak", [some[n] for n in (0, 6, 15)]) == []


def test_a_weak_source_tells_nothing() -> None:
    fluxes = power_law(-0.7, 0.005)
    fluxes[4] *= 2
    assert find_jumps("peak", planes(fluxes)) == []


def test_planes_at_one_frequency_tell_nothing() -> None:
    assert find_jumps("peak", [Flux(str(n), 3e9, 0.1 + n, 1e-3) for n in range(5)]) == []
