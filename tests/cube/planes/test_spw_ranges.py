from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccip_batch.cube.planes.search import selected_groups
from ccip_batch.cube.planes.spw_ranges import as_ranges, from_ranges


@pytest.mark.parametrize(
    ("spws", "text"),
    [
        ([3], "3"),
        ([3, 4], "3~4"),
        ([4, 3], "3~4"),
        ([5, 6, 7], "5~7"),
        ([3, 4, 7], "3~4,7"),
        ([2, 9, 10, 17], "2,9~10,17"),
        (range(2, 18), "2~17"),
    ],
)
def test_neighbours_are_joined(spws: list[int], text: str) -> None:
    assert as_ranges(spws) == text


@given(st.sets(st.integers(0, 200), min_size=1))
def test_what_was_written_is_read_back(spws: set[int]) -> None:
    assert from_ranges(as_ranges(spws)) == sorted(spws)
    assert from_ranges(",".join(map(str, sorted(spws)))) == sorted(spws)  # as older headers have it


@pytest.mark.parametrize("text", ["", "a", "4~3", "3~", "3~4~5", "0~99999999", "-1~2"])
def test_what_is_no_list_of_spws(text: str) -> None:
    with pytest.raises(ValueError):
        from_ranges(text)


def test_groups_may_be_chosen_as_headers_name_them() -> None:
    groups = {"3_4", "3_4_7", "9", "10"}
    for text in ("3~4", "3, 4", "3_4"):
        assert selected_groups([text], groups) == ["3_4"]
    assert selected_groups(["3~4,7", "9~10", "4~3"], groups) == ["3_4_7", "9", "10", "4~3"]
