"""Stage 5, hifv_flagtargetsdata: the user's own flag commands, if there are any.

They are applied to each group where it is restored (`restoregroup`), before and after which flags are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ccip_batch.casa.flag_statistics import FlagCounts, merged
from ccip_batch.run.results import StageResult
from ccip_batch.stages.restoregroup import RestoredGroup


class FlagResult(StageResult):
    """Flags before and after, and the commands between."""

    stage: ClassVar[str] = "flagtargetsdata"
    commands: list[str]
    before: FlagCounts
    after: FlagCounts


def flagtargetsdata(commands: Sequence[str], groups: Sequence[RestoredGroup]) -> FlagResult:
    """The flags of all groups, before and after the user's flag commands."""
    return FlagResult(
        commands=list(commands),
        before=merged(group.before for group in groups),
        after=merged(group.after for group in groups),
    )
