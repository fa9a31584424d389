"""CASA's common beam, and the one of the cubes: where one beam holds all others they are the same."""

from __future__ import annotations

from typing import Any

import pytest

from ccip_batch.cube.beams import ENLARGE, GaussianBeam, common_beam, kernel


def beams(case: dict[str, Any]) -> tuple[list[GaussianBeam], GaussianBeam]:
    found = case["found"]
    given = [GaussianBeam(major / 3600, minor / 3600, angle) for major, minor, angle in case["given"]]
    return given, GaussianBeam(found["major_arcsec"] / 3600, found["minor_arcsec"] / 3600, found["pa_deg"])


@pytest.mark.parametrize(("name", "largest"), [("one", (4.0, 3.0, 20.0)), ("nested", (5.0, 4.0, 30.0))])
def test_a_beam_that_holds_the_others_is_enlarged(imaging_cases: dict[str, Any], name: str, largest: Any) -> None:
    given, found = beams(imaging_cases["common"][name])
    axes = (found.major_deg * 3600, found.minor_deg * 3600)
    assert axes == pytest.approx((largest[0] * ENLARGE, largest[1] * ENLARGE), rel=1e-7)
    assert found.pa_deg == pytest.approx(largest[2], abs=1e-4)
    ours = common_beam(given)
    assert (ours.major_deg, ours.minor_deg) == pytest.approx((found.major_deg, found.minor_deg), rel=1e-7)


def test_crossed_beams_fit_into_it_and_the_cubes_beam_is_no_larger(imaging_cases: dict[str, Any]) -> None:
    given, found = beams(imaging_cases["common"]["crossed"])
    assert all(kernel(beam, found) is not None for beam in given)
    ours = common_beam(given)
    assert 0.9 * found.area < ours.area < found.area * 1.001
