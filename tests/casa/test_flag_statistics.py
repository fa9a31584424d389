from __future__ import annotations

from typing import Any

import pytest

from ccip_batch.casa.flag_statistics import FlagCounts, merged
from ccip_batch.job.spw_groups import SpwGroup


def test_flags_are_counted_by_field_and_spw(session_cases: dict[str, Any]) -> None:
    case = session_cases["measurement set"]
    counts = FlagCounts.model_validate(case["counts"])
    seen = {f"{field} {spw}" for field, by_spw in counts.total.items() for spw in by_spw}
    assert seen == set(case["direct"]) and len(seen) == 8
    for key, (flagged, total) in case["direct"].items():
        field, spw = (int(part) for part in key.split())
        assert (counts.flagged[field][spw], counts.total[field][spw]) == (flagged, total)
    assert {str(spw): number for spw, number in counts.used_channels.items()} == case["used"]
    assert sum(flagged for flagged, _ in case["direct"].values()) > 0  # so there was something to count


COUNTS = FlagCounts(
    flagged={1: {2: 10, 3: 0}, 2: {2: 30, 3: 100}},
    total={1: {2: 100, 3: 100}, 2: {2: 100, 3: 100}},
    used_channels={2: 64, 3: 60},
)


@pytest.mark.parametrize(
    ("fields", "spws", "fraction"),
    [([1], (2,), 0.1), ([1, 2], (2,), 0.2), ([2], (2, 3), 0.65), ([2], (3,), 1.0), ([3], (2,), None), ([], (2,), None)],
)
def test_fraction_of_a_group_over_fields(fields: list[int], spws: tuple[int, ...], fraction: float | None) -> None:
    assert COUNTS.fraction(fields, SpwGroup(spws)) == pytest.approx(fraction)


def test_counts_of_parts_are_joined_and_the_parts_stay() -> None:
    other = FlagCounts(flagged={2: {4: 1}, 5: {4: 2}}, total={2: {4: 9}, 5: {4: 9}}, used_channels={4: 1})
    whole = merged([COUNTS, other])
    assert whole.flagged == {1: {2: 10, 3: 0}, 2: {2: 30, 3: 100, 4: 1}, 5: {4: 2}}
    assert whole.total[2] == {2: 100, 3: 100, 4: 9} and whole.used_channels == {2: 64, 3: 60, 4: 1}
    assert COUNTS.flagged[2] == {2: 30, 3: 100}
