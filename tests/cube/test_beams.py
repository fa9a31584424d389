"""Common beams."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccip_batch.cube.beams import GaussianBeam, common_beam, compare_common_beams, kernel, parse_beam
from ccip_batch.errors import DataError

BEAMS = st.builds(
    lambda minor, ratio, angle: GaussianBeam(minor * ratio / 3600, minor / 3600, angle),
    st.floats(2, 6), st.floats(1, 2.5), st.floats(-90, 90),
)  # fmt: skip


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(BEAMS, min_size=1, max_size=6))
def test_the_common_beam_holds_all_and_is_small(beams: list[GaussianBeam]) -> None:
    found = common_beam(beams)
    assert all(kernel(beam, found) is not None for beam in beams)
    round_one = max(beam.major_deg for beam in beams)
    assert found.minor_deg <= round_one * 1.001 and found.area <= GaussianBeam(round_one, round_one, 0).area * 1.01


def test_a_beam_that_holds_the_others_is_the_common_one() -> None:
    large = parse_beam("5 4 30")
    found = common_beam([parse_beam("3,2,30"), large, parse_beam("3,3,0")])
    assert found.major_deg == pytest.approx(large.major_deg, rel=2e-5) and found.pa_deg == 30


def test_no_larger_than_what_radio_beam_finds() -> None:
    radio_beam = pytest.importorskip("radio_beam")
    beams = [parse_beam(text) for text in ("4,3,-20", "3.9,3.2,30", "4.1,2.8,5")]
    several = radio_beam.Beams(
        *(
            [getattr(beam, axis) for beam in beams] * radio_beam.beam.u.deg
            for axis in ("major_deg", "minor_deg", "pa_deg")
        )
    )
    theirs = several.common_beam(tolerance=1e-4)
    assert common_beam(beams).area <= theirs.sr.to_value("deg2") * 1.0005


def test_crossed_beams() -> None:
    found = common_beam([parse_beam("4,2,0"), parse_beam("4,2,90")])
    assert found.major_deg * 3600 == pytest.approx(4, rel=0.01) and found.minor_deg * 3600 == pytest.approx(4, rel=0.01)


def test_a_kernel_is_what_is_missing() -> None:
    moments = kernel(parse_beam("3,2,20"), parse_beam("5,4,20"))
    assert moments is not None
    widths = np.sqrt(np.linalg.eigvalsh(moments) * 8 * math.log(2)) * 3600
    assert widths == pytest.approx([math.sqrt(16 - 4), math.sqrt(25 - 9)])
    assert kernel(parse_beam("3,2,20"), parse_beam("5,1.9,20")) is None


def test_report_of_both_beams() -> None:
    kept = {"2": parse_beam("4,3,0"), "3": parse_beam("3,3,0")}
    report = compare_common_beams(kept, {"4": parse_beam("3,2,0"), "16": parse_beam("6,5,0")})
    assert report.widened_by == ("16",) and "16" in report.sentence()
    assert report.kept.major_deg * 3600 == pytest.approx(4, rel=1e-3)
    assert report.everything.major_deg * 3600 == pytest.approx(6, rel=1e-3)
    assert compare_common_beams(kept, {}).sentence() == ""
    with pytest.raises(DataError, match="no beam"):
        compare_common_beams({}, kept)
