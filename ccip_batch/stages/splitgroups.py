"""After stage 6: a measurement set for each spw group, so that planes do not need each other.

Imaging a group from its own measurement set is bit-identical to imaging it from the whole. It holds the corrected data
alone, as DATA.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from ccip_batch.casa.session import Casa
from ccip_batch.job.data_size import folder_bytes
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.run.results import StageResult
from ccip_batch.stages.restoregroup import FOLDER


class SplitResult(StageResult):
    """Bytes of each group's measurement set."""

    stage: ClassVar[str] = "splitgroups"
    bytes: dict[str, int]


def splitgroups(casa: Casa, groups: Sequence[SpwGroup], folder: Path) -> SplitResult:
    """Move `<group>.ms` of each group that is imaged into a folder; the others, which were restored too, stay."""
    sizes = {}
    for group in groups:
        target = folder / f"{group.name}.ms"
        casa.move(f"{FOLDER}/{target.name}", os.path.relpath(target))
        sizes[group.selection] = folder_bytes(target)
    return SplitResult(bytes=sizes)
