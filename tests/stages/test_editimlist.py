from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.casa_cases import stage_result

from ccip_batch.casa.flag_statistics import FlagCounts
from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.errors import DataError
from ccip_batch.job.config import RejectBefore
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.stages.editimlist import PlaneTarget, continuum_target, cube_targets, select_fields

CENTRE = "J2000 13:33:35.814 +16.44.04.255"
NAME = "VLASS2.1.cc.T00t00.J133336+164404.06.2048.v1"


@pytest.fixture(scope="module")
def split(finished: Path) -> MsSummary:
    """The measurement set of stage 3: target fields 1 to 4."""
    return MsSummary.model_validate(stage_result(finished, "restore", "transformimagedata"))


def flags(flagged: dict[int, int], channels: int = 3) -> FlagCounts:
    """Of 100 visibilities of spws 9, 10 and 12 in each field so many are flagged, by field; of spw 9 all."""
    return FlagCounts(
        flagged={field: {9: 100, 10: number, 12: 0} for field, number in flagged.items()},
        total={field: dict.fromkeys((9, 10, 12), 100) for field in flagged},
        used_channels={9: 0, 10: channels, 12: 3, 13: 3},
    )


def planes(split: MsSummary, counts: FlagCounts, **limits: object) -> dict[str, PlaneTarget]:
    rejection = RejectBefore.model_validate({"flagpct_thresh": 0.9, "nfield_thresh": 2, **limits})
    groups = [SpwGroup.parse(text) for text in ("9", "10", "12,13")]
    return {plane.spw: plane for plane in cube_targets(split, counts, NAME, CENTRE, groups, rejection).planes}


def test_target_fields_near_the_phase_centre_are_imaged(split: MsSummary) -> None:
    assert select_fields(split, CENTRE) == [1, 2, 3, 4]
    calibrators = split.model_copy(
        update={"fields": [field.model_copy(update={"target": field.id != 3}) for field in split.fields]}
    )
    assert select_fields(calibrators, CENTRE) == [1, 2, 4]
    named = [field.model_copy(update={"name": "J" + field.name}) if field.id == 2 else field for field in split.fields]
    assert select_fields(split.model_copy(update={"fields": named}), CENTRE) == [1, 3, 4]
    with pytest.raises(DataError, match="no target field within 2800 arcsec"):
        select_fields(split, "J2000 13:37:35.814 +16.44.04.255")


def test_rows_that_only_flag_row_flags_are_told(split: MsSummary) -> None:
    counts = flags({1: 0, 2: 0, 3: 0, 4: 0}).model_copy(update={"row_flags_alone": 7})
    rejection = RejectBefore.model_validate({"flagpct_thresh": 0.9, "nfield_thresh": 2})
    (told,) = cube_targets(split, counts, NAME, CENTRE, [SpwGroup.parse("10")], rejection).warnings
    assert told.startswith("7 rows have FLAG_ROW")


def test_fields_that_are_not_named_as_vlass_names_them(split: MsSummary) -> None:
    others = split.model_copy(
        update={"fields": [field.model_copy(update={"name": "J" + field.name}) for field in split.fields]}
    )
    with pytest.raises(DataError, match=r"has 4 target fields \(J1333305\+164249, .*\), but none is named as"):
        select_fields(others, CENTRE)
    none = split.model_copy(update={"fields": [f.model_copy(update={"target": False}) for f in split.fields]})
    with pytest.raises(DataError, match="no field that was observed with the intent OBSERVE_TARGET"):
        select_fields(none, CENTRE)


def test_the_target_of_the_continuum(split: MsSummary) -> None:
    target = continuum_target(split, "continuum", CENTRE, [2, 17])
    assert (target.fields, target.scans, target.antennas, target.science_spws) == ([1, 2, 3, 4], [2, 3], 27, [2, 17])
    with pytest.raises(DataError, match="lacks spw 18, 19"):
        continuum_target(split, "continuum", CENTRE, [17, 18, 19])


def test_a_plane_is_named_and_measured_after_its_spws(split: MsSummary) -> None:
    found = planes(split, flags({1: 10, 2: 10, 3: 10, 4: 10}, channels=2))
    assert found["12,13"].imagename == f"{NAME}.spw12_13"
    assert found["12,13"].reffreq == "3.372GHz" and found["10"].reffreq == "3.052GHz"
    assert found["12,13"].nominal_bandwidth_hz == pytest.approx(256e6)
    assert found["10"].bandwidth_hz == pytest.approx(128e6 * 2 / 3)
    assert found["10"].flagged_fraction == pytest.approx(0.1) and found["10"].state == "imaged"


def test_what_is_flagged_completely_is_empty(split: MsSummary) -> None:
    counts = flags({1: 10, 2: 10, 3: 10, 4: 10})
    assert (planes(split, counts)["9"].state, planes(split, counts)["9"].reason) == ("empty", "completely flagged")
    found = cube_targets(split, counts, NAME, CENTRE, [SpwGroup((9,))], RejectBefore())
    assert found.warnings == ["spw 9 is completely flagged and is not imaged"]
    assert found.flags.fraction == [[1.0]] * 4 and found.flags.fields == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("flagged", "limits", "state", "reason"),
    [
        ({1: 91, 2: 91, 3: 0, 4: 0}, {}, "rejected before imaging", "2 of 4 fields are flagged to more than 0.9"),
        ({1: 91, 2: 90, 3: 0, 4: 0}, {}, "imaged", ""),  # the threshold itself is not above it
        ({1: 91, 2: 91, 3: 0, 4: 0}, {"apply": False}, "imaged", ""),
        ({1: 91, 2: 91, 3: 91, 4: 0}, {"exclude_spw": [10]}, "imaged", "3 of 4 fields .* spw 10 is in exclude_spw"),
    ],
)
def test_rejection_before_imaging(
    split: MsSummary, flagged: dict[int, int], limits: dict[str, object], state: str, reason: str
) -> None:
    found = planes(split, flags(flagged), **limits)["10"]
    assert found.state == state
    assert found.fields_above_threshold == sum(number > 90 for number in flagged.values())
    assert re.fullmatch(reason, found.reason)
