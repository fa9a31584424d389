"""Plane rejection after imaging (`vlass_plane_reject_im`): planes with an unexpected beam or too many flags."""

from __future__ import annotations

from collections.abc import Sequence

from ccip_batch.casa.images import RestoringBeam
from ccip_batch.job.config import RejectAfter
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.records import Model


class ImagedPlane(Model):
    """What the judgement needs to know about a plane."""

    spw: str
    frequency_hz: float
    beam: RestoringBeam
    flagged_fraction: float


class Judgement(Model):
    """Whether a plane is kept."""

    spw: str
    kept: bool
    reason: str
    """Why it is rejected, or kept although it deviates; empty if it is as expected."""
    expected_major_arcsec: float
    expected_minor_arcsec: float


def reference_plane(planes: Sequence[ImagedPlane]) -> ImagedPlane:
    """Number n//2 in ascending order of bminor x frequency."""
    return sorted(planes, key=lambda plane: plane.beam.minor_arcsec * plane.frequency_hz)[len(planes) // 2]


def judge(planes: Sequence[ImagedPlane], rejection: RejectAfter) -> list[Judgement]:
    """Judge all imaged planes, in their order. The expected beam scales with 1/frequency from the reference plane."""
    if not planes:
        return []
    reference = reference_plane(planes)
    judgements = []
    for plane in planes:
        scale = reference.frequency_hz / plane.frequency_hz
        major, minor = reference.beam.major_arcsec * scale, reference.beam.minor_arcsec * scale
        faults = _faults(plane, major, minor, rejection)
        excluded = sorted(set(SpwGroup.parse(plane.spw).spws) & set(rejection.exclude_spw))
        kept = not faults or not rejection.apply or bool(excluded)
        reason = "; ".join(faults)
        if faults and kept:
            reason += f" (spw {excluded[0]} is in exclude_spw)" if excluded else " (rejection is not applied)"
        judgements.append(
            Judgement(
                spw=plane.spw,
                kept=kept,
                reason=reason,
                expected_major_arcsec=major,
                expected_minor_arcsec=minor,
            )
        )
    return judgements


def _faults(plane: ImagedPlane, major: float, minor: float, rejection: RejectAfter) -> list[str]:
    faults = []
    for axis, found, expected in (
        ("major", plane.beam.major_arcsec, major),
        ("minor", plane.beam.minor_arcsec, minor),
    ):
        if not (1 - rejection.beamdev_thresh) * expected < found < (1 + rejection.beamdev_thresh) * expected:
            faults.append(f"beam {axis} axis {found:.3g} arcsec deviates {found / expected - 1:+.0%} from the expected")
    if not plane.flagged_fraction < rejection.flagpct_thresh:
        faults.append(f"flagged fraction {plane.flagged_fraction:.3f} is not below {rejection.flagpct_thresh:g}")
    return faults
