from __future__ import annotations

from ccip_batch.casa.flag_statistics import FlagCounts
from ccip_batch.stages.flagtargetsdata import flagtargetsdata
from ccip_batch.stages.restoregroup import RestoredGroup


def group(spw: int, flagged: int, then: int) -> RestoredGroup:
    """100 visibilities of field 1, of which some are flagged before and after the commands."""
    before, after = (
        FlagCounts(flagged={1: {spw: number}}, total={1: {spw: 100}}, used_channels={spw: 64 - number})
        for number in (flagged, then)
    )
    return RestoredGroup(
        spw=str(spw), model_peak_jy=1.0, weights_changed=True, before=before, after=after, commands_selected=True
    )


def test_flags_of_all_groups_before_and_after() -> None:
    found = flagtargetsdata(["mode='manual' spw='3'"], [group(2, 5, 5), group(3, 0, 20)])
    assert found.commands == ["mode='manual' spw='3'"]
    assert found.before.flagged == {1: {2: 5, 3: 0}} and found.after.flagged == {1: {2: 5, 3: 20}}
    assert found.after.total == {1: {2: 100, 3: 100}}
    assert found.before.used_channels == {2: 59, 3: 64} and found.after.used_channels == {2: 59, 3: 44}


def test_without_groups_there_are_no_counts() -> None:
    found = flagtargetsdata([], [])
    assert found.commands == [] and found.after.total == {}
