from __future__ import annotations

import pytest

from ccip_batch.casa.images import RestoringBeam
from ccip_batch.imaging.plane_rejection import ImagedPlane, judge, reference_plane
from ccip_batch.job.config import RejectAfter


def plane(spw: str, ghz: float, scale: float = 1.0, flagged: float = 0.0) -> ImagedPlane:
    beam = RestoringBeam(major_arcsec=scale * 9 / ghz, minor_arcsec=scale * 7 / ghz, pa_deg=0)
    return ImagedPlane(spw=spw, frequency_hz=ghz * 1e9, beam=beam, flagged_fraction=flagged)


def planes(scale: float = 1.0, flagged: float = 0.0) -> list[ImagedPlane]:
    return [plane("2", 2.0), plane("3", 2.5), plane("4", 3.0), plane("5", 3.5), plane("6", 4.0, scale, flagged)]


def test_the_reference_is_number_half_n_in_order_of_minor_axis_times_frequency() -> None:
    scaled = [plane("2", 2.0, 1.3), plane("3", 2.5, 1.0), plane("4", 3.0, 1.1), plane("5", 3.5, 1.2)]
    assert reference_plane(scaled).spw == "5"


@pytest.mark.parametrize(("scale", "kept"), [(1.19, True), (1.21, False), (0.81, True), (0.79, False)])
def test_a_beam_may_deviate_by_less_than_a_fifth(scale: float, kept: bool) -> None:
    judgements = judge(planes(scale), RejectAfter())
    assert [one.kept for one in judgements] == [True] * 4 + [kept]
    assert ("deviates" in judgements[-1].reason) is not kept


def test_the_limit_itself_is_rejected() -> None:
    reference = [plane(str(spw), 3.0) for spw in range(2, 7)]
    beam = RestoringBeam(major_arcsec=3.0 * 1.25, minor_arcsec=7 / 3.0, pa_deg=0)
    odd = ImagedPlane(spw="7", frequency_hz=3e9, beam=beam, flagged_fraction=0)
    assert not judge([*reference, odd], RejectAfter(beamdev_thresh=0.25))[-1].kept


@pytest.mark.parametrize(("flagged", "kept"), [(0.79, True), (0.8, False)])
def test_flagged_fraction_must_be_below_the_threshold(flagged: float, kept: bool) -> None:
    assert judge(planes(flagged=flagged), RejectAfter())[-1].kept is kept


def test_excluded_planes_are_kept_and_say_why() -> None:
    judgement = judge(planes(1.5), RejectAfter(exclude_spw=(6,)))[-1]
    assert judgement.kept and "exclude_spw" in judgement.reason


def test_without_apply_nothing_is_rejected() -> None:
    assert all(one.kept for one in judge(planes(1.5, 0.9), RejectAfter(apply=False)))


def test_no_plane_no_judgement() -> None:
    assert judge([], RejectAfter()) == []
