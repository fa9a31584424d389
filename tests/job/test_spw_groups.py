"""The spw groups: how they are written, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.input_files import CCIP_LIST, make_job, refused

from ccip_batch.job.config import load_job
from ccip_batch.job.resolve import resolve
from ccip_batch.job.spw_groups import SCIENCE_SPWS, SpwGroup, parse_groups


@pytest.mark.parametrize(
    ("given", "groups"),
    [
        ("['2', '3,4']", ["2", "3,4"]),
        ("[2, ' 3, 4 ', ' 5']", ["2", "3,4", "5"]),
        ("['17', '2']", ["17", "2"]),
    ],
)
def test_spw_is_put_right(tmp_path: Path, given: str, groups: list[str]) -> None:
    resolved = resolve(load_job(make_job(tmp_path, f"imaging:\n  spw: {given}\n")))
    assert [group.selection for group in resolved.groups] == groups


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("'3'", ["is not a list", "['2', '3,4']"]),
        ("3", ["is not a list"]),
        ("['1~4']", ["'1~4' is a range", "['1', '2', '3', '4']", "['1,2,3,4']"]),
        ("['2:0~15']", ["'2:0~15' selects channels", "'2'"]),
        ("['3,3']", ["twice"]),
        ("['3', '4,3']", ["spw 3 is in two groups, '3' and '4,3'"]),
        ("[2.5]", ["2.5 is neither"]),
        ("[true]", ["neither"]),
        ("['']", ["is not a list of spw numbers"]),
        ("[-1]", ["is not a list of spw numbers"]),
        ("[]", ["is empty"]),
        ("['1~4', '2:0~15']", ["is a range", "selects channels"]),
        ("['1', '18']", ["spws [1, 18] are not among those of SE-CONT"]),
    ],
)
@pytest.mark.parametrize("place", ["list", "config"])
def test_spw_is_refused(tmp_path: Path, given: str, says: list[str], place: str) -> None:
    if place == "list":
        job = make_job(tmp_path, ccip=f"{CCIP_LIST}spw={given.replace('true', 'True')}\n")
        where = "CCIP_parameter.list"
    else:
        job = make_job(tmp_path, f"imaging:\n  spw: {given}\n")
        where = "job.yaml:7: imaging.spw" if "not among" not in says[0] else "the job config: imaging.spw"
    message = refused(job)
    assert all(part in message for part in [where, *says]), message


def test_a_group_has_a_name_for_each_place() -> None:
    """Folders sort by their names; products are named as NRAO's pipeline does."""
    assert [SpwGroup.parse(text).name for text in ("3", "3, 12", "17")] == ["spw03", "spw03_12", "spw17"]
    assert [SpwGroup.parse(text).label for text in ("3", "3, 12")] == ["3", "3_12"]
    assert [SpwGroup.parse(text).selection for text in ("3", "3, 12")] == ["3", "3,12"]


@pytest.mark.parametrize("text", ["", "3,", "2~4", "2:0~15", "-1", "\u0663", "12345", "3,3"])
def test_what_is_not_a_group(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a list of spw numbers|twice"):
        SpwGroup.parse(text)


def test_a_range_is_answered_with_what_could_be_meant() -> None:
    with pytest.raises(ValueError, match=r"'2~4' is a range.*\['2', '3', '4'\].*'2,3,4'"):
        parse_groups(["2~4"])
    with pytest.raises(ValueError, match=r"name each spw$"):
        parse_groups(["4~2"])


def test_science_spws_are_those_of_s_band() -> None:
    assert (len(SCIENCE_SPWS), SCIENCE_SPWS[0], SCIENCE_SPWS[-1]) == (16, 2, 17)
