from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ccip_batch.errors import DataError
from ccip_batch.imaging.samples import Samples
from ccip_batch.stages.analyzestokescubes import PlaneSamples, analyzestokescubes

HEADER: dict[str, Any] = {
    "CTYPE1": "RA---SIN", "CRVAL1": 203.4, "CDELT1": -0.001, "CRPIX1": 6.0, "CUNIT1": "deg",
    "CTYPE2": "DEC--SIN", "CRVAL2": 16.7, "CDELT2": 0.001, "CRPIX2": 6.0, "CUNIT2": "deg",
}  # fmt: skip
FREQUENCIES = (2.0e9, 2.5e9, 3.5e9, 4.0e9)
RMS = dict.fromkeys("IQUV", 1e-3)


def plane(frequency: float, alpha: float = -0.7, kept: bool = True, **changes: Any) -> PlaneSamples:
    """Five pixels along a row: I is brightest at x = 3, the polarised intensity at x = 5."""
    x = np.arange(2, 7, dtype=np.int32)
    values = np.zeros((4, 5), np.float32)
    values[0] = np.array([0.01, 0.20, 0.05, 0.10, 0.02]) * (frequency / 3e9) ** alpha
    values[1], values[2], values[3] = [0, 0.001, 0, 0.004, 0], [0, 0.002, 0, -0.003, 0], 1e-4
    given = {
        "shape": (11, 11), "y": np.full(5, 5, np.int32), "x": x, "values": values, "means": values / 2,
        "rms": np.full(5, 2e-3, np.float32), "inside_iter3": np.ones(5, bool), **changes,
    }  # fmt: skip
    return PlaneSamples(f"{frequency / 1e9:g}", frequency, kept, RMS, Samples(**given))


def test_the_places_are_the_peaks_and_have_every_plane() -> None:
    found = analyzestokescubes([plane(f) for f in reversed(FREQUENCIES)], HEADER)
    assert [(place.name, place.x, place.y) for place in found.places] == [
        ("peak of Stokes I", 3, 5), ("peak of polarised intensity", 5, 5)
    ]  # fmt: skip
    first = found.places[0]
    assert first.ra_deg == pytest.approx(203.4 + 0.002 / np.cos(np.radians(16.7)), abs=1e-6)
    assert first.dec_deg == pytest.approx(16.7, abs=1e-6)
    assert [row.frequency_hz for row in first.planes] == list(FREQUENCIES)
    row = first.planes[0]
    assert row.pixel["U"] == pytest.approx(0.002) and row.mean["U"] == pytest.approx(0.001)
    assert row.rms == pytest.approx(2e-3) and row.rms_median == RMS


@pytest.mark.parametrize("alpha", [-1.2, 0.1, 0.8])
def test_the_power_law_is_that_of_the_kept_planes(alpha: float) -> None:
    planes = [plane(f, alpha) for f in FREQUENCIES]
    planes.append(plane(3.0e9, values=planes[0].samples.values * 9, kept=False))
    law = analyzestokescubes(planes, HEADER).places[0].power_law
    assert law is not None and law.alpha_error is not None
    assert (law.flux_jy, law.alpha) == (pytest.approx(0.20, rel=1e-5), pytest.approx(alpha, abs=1e-5))


def test_two_planes_give_no_errors_and_one_no_power_law() -> None:
    two = analyzestokescubes([plane(2e9), plane(4e9)], HEADER).places[0].power_law
    assert two is not None and two.alpha == pytest.approx(-0.7) and two.alpha_error is None
    assert analyzestokescubes([plane(2e9), plane(4e9, kept=False)], HEADER).places[0].power_law is None


def test_only_pixels_in_the_mask_of_the_highest_plane_count() -> None:
    highest = plane(4e9, inside_iter3=np.array([True, False, True, False, True]))
    found = analyzestokescubes([plane(2e9), highest], HEADER)
    assert found.places[0].x == 4
    nothing = analyzestokescubes([plane(2e9), plane(4e9, inside_iter3=np.zeros(5, bool))], HEADER)
    assert nothing.places == [] and "is empty" in nothing.note


def test_a_blank_pixel_is_none() -> None:
    values = plane(4e9).samples.values.copy()
    values[3, 1] = np.nan
    row = analyzestokescubes([plane(2e9), plane(4e9, values=values)], HEADER).places[0].planes[1]
    assert row.pixel["V"] is None and row.pixel["I"] is not None


def test_planes_sampled_at_other_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="spw 4 was sampled at other pixels than spw 2"):
        analyzestokescubes([plane(2e9), plane(4e9, x=np.arange(3, 8, dtype=np.int32))], HEADER)


def test_without_planes_there_are_no_places() -> None:
    found = analyzestokescubes([], HEADER)
    assert found.places == [] and found.note == "no plane was imaged"
