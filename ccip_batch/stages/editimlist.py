"""Stages 2 and 6, hif_editimlist: what is imaged, from which fields, under which name, and what is left out.

With the parameter list of the continuum imaging it gives the target that the model prediction repeats, with that of the
coarse cube one target a spw group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from ccip_batch.casa.flag_statistics import FlagCounts
from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.errors import DataError
from ccip_batch.imaging.sky import fields_within, phase_centre
from ccip_batch.job.config import RejectBefore
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.records import Model
from ccip_batch.run.results import StageResult

SEARCH_ARCSEC = 1800.0
"""Half the side of a VLASS image, 1 degree."""
BUFFER_ARCSEC = 1000.0
"""How far beyond it a field still matters (half a primary beam, rounded up)."""
FIELD_NAMES = ("0", "1", "2", "T")
"""The first letters of the names of VLASS's fields: a right ascension, or a tile."""


class ContinuumTarget(StageResult):
    """The target of the continuum imaging."""

    stage: ClassVar[str] = "editimlist_continuum"
    imagename: str
    phasecenter: str
    fields: list[int]
    scans: list[int]
    intent: str = ""
    """`MsSummary.target_intent`."""
    antennas: int
    science_spws: list[int]
    search_radius_arcsec: float = SEARCH_ARCSEC + BUFFER_ARCSEC


class PlaneTarget(Model):
    """One spw group, and whether it is imaged."""

    spw: str
    """As CASA selects it: `'3,4'`."""
    imagename: str
    reffreq_ghz: float
    """Mean of the mean frequencies of the group's spws."""
    flagged_fraction: float
    """Over the fields within 1800 arcsec of the phase centre; 1 if there are no data."""
    fields_above_threshold: int
    """Number of those fields whose flagged fraction is above the threshold."""
    state: Literal["imaged", "empty", "rejected before imaging"]
    reason: str
    nominal_bandwidth_hz: float
    """Sum of the bandwidths of the group's spws: VLASSBWN."""
    bandwidth_hz: float
    """Channels that are not flagged in every row x channel width: VLASSBW."""

    @property
    def reffreq(self) -> str:
        """As tclean takes it: `'3.052GHz'`."""
        return f"{self.reffreq_ghz:.12g}GHz"


class FieldFlags(Model):
    """Flagged fraction of each field (rows) in each group (columns); None where there are no data."""

    fields: list[int]
    names: list[str]
    groups: list[str]
    fraction: list[list[float | None]]


class CubeTargets(StageResult):
    """The planes of the cube, imaged or not."""

    stage: ClassVar[str] = "editimlist_cube"
    fields: list[int]
    """Ids of the fields that are imaged."""
    planes: list[PlaneTarget]
    flags: FieldFlags
    warnings: list[str]


def select_fields(summary: MsSummary, phasecenter: str) -> list[int]:
    """Ids of the fields to image: intent TARGET, named as VLASS names its fields, near the phase centre.

    Raises DataError if there are no such fields.
    """
    observed = [field for field in summary.fields if field.target]
    targets = [field for field in observed if field.name[:1] in FIELD_NAMES]
    limit = SEARCH_ARCSEC + BUFFER_ARCSEC
    fields = fields_within(targets, phase_centre(phasecenter), limit)
    if fields:
        return fields
    if not observed:
        raise DataError(
            f"{summary.name} has no field that was observed with the intent OBSERVE_TARGET (it has the intents "
            f"{', '.join(summary.intents)}); check inputs.vis."
        )
    names = [field.name for field in targets or observed]
    there = ", ".join(names if len(names) <= 4 else [*names[:3], f"... {names[-1]}"])
    if not targets:
        raise DataError(
            f"{summary.name} has {len(observed)} target fields ({there}), but none is named as the fields of a VLASS "
            f"mosaic are, with {', '.join(FIELD_NAMES[:-1])} or {FIELD_NAMES[-1]} first; check inputs.vis."
        )
    raise DataError(
        f"{summary.name} has no target field within {limit:g} arcsec of the phase centre {phasecenter} "
        f"({len(targets)} target fields in all: {there}); check phasecenter and inputs.vis."
    )


def continuum_target(
    summary: MsSummary, imagename: str, phasecenter: str, science_spws: Sequence[int]
) -> ContinuumTarget:
    """Stage 2: the target whose model prediction is repeated. Raises DataError if a spw or all fields are missing."""
    missing = sorted(set(science_spws) - {spw.id for spw in summary.spws})
    if missing:
        raise DataError(f"{summary.name} lacks spw {', '.join(map(str, missing))} of SEIP_parameter.list.")
    return ContinuumTarget(
        imagename=imagename,
        phasecenter=phasecenter,
        fields=select_fields(summary, phasecenter),
        scans=summary.target_scans,
        intent=summary.target_intent,
        antennas=len(summary.antennas),
        science_spws=list(science_spws),
    )


def cube_targets(
    summary: MsSummary,
    counts: FlagCounts,
    imagename: str,
    phasecenter: str,
    groups: Sequence[SpwGroup],
    rejection: RejectBefore,
) -> CubeTargets:
    """Stage 6: one target a spw group, and the plane rejection before imaging (`vlass_plane_reject_ms`).

    summary, counts: of the measurement set of stage 3, after all flagging. imagename, phasecenter: of the cube. groups:
    the planes. rejection: the thresholds.
    """
    fields = [field for field in summary.fields if field.target]
    judged = fields_within(fields, phase_centre(phasecenter), SEARCH_ARCSEC)
    names = {field.id: field.name for field in fields}
    planes, fractions, warnings = [], [], _of_row_flags(counts)
    for group in groups:
        of_fields = [counts.fraction([field], group) for field in judged]
        fractions.append(of_fields)
        overall = counts.fraction(judged, group)
        above = sum(1 for value in of_fields if value is not None and value > rejection.flagpct_thresh)
        excluded = sorted(set(group.spws) & set(rejection.exclude_spw))
        state: Literal["imaged", "empty", "rejected before imaging"] = "imaged"
        reason = ""
        if overall is None or overall == 1.0:
            state, reason = "empty", "completely flagged"
            warnings.append(f"spw {group.selection} is completely flagged and is not imaged")
        elif rejection.apply and above >= rejection.nfield_thresh:
            condition = f"{above} of {len(judged)} fields are flagged to more than {rejection.flagpct_thresh:g}"
            if excluded:
                reason = f"{condition}, but spw {excluded[0]} is in exclude_spw"
            else:
                state, reason = "rejected before imaging", condition
                warnings.append(f"spw {group.selection} is rejected before imaging: {condition}")
        spws = [summary.spw(spw) for spw in group.spws]
        planes.append(
            PlaneTarget(
                spw=group.selection,
                imagename=f"{imagename}.spw{group.label}",
                reffreq_ghz=sum(spw.mean_frequency_hz for spw in spws) / len(spws) / 1e9,
                flagged_fraction=1.0 if overall is None else overall,
                fields_above_threshold=above,
                state=state,
                reason=reason,
                nominal_bandwidth_hz=sum(spw.bandwidth_hz for spw in spws),
                bandwidth_hz=sum(counts.used_channels.get(spw.id, 0) * spw.channel_width_hz for spw in spws),
            )
        )
    return CubeTargets(
        fields=select_fields(summary, phasecenter),
        planes=planes,
        flags=FieldFlags(
            fields=judged,
            names=[names[field] for field in judged],
            groups=[group.selection for group in groups],
            fraction=[list(row) for row in zip(*fractions, strict=True)],
        ),
        warnings=warnings,
    )


def _of_row_flags(counts: FlagCounts) -> list[str]:
    """What to tell of rows that only FLAG_ROW flags."""
    rows = counts.row_flags_alone
    return [f"{rows} rows have FLAG_ROW, but not FLAG, set: CASA images what FLAG leaves of them"] if rows else []
