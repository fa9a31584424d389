"""After stage 6: a measurement set for each spw group, so that planes need nothing of each other.

Imaging a group from its own measurement set is bit-identical to imaging it from the whole. It holds the corrected data
alone, as DATA.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ccip_batch.casa import Casa
from ccip_batch.data_size import folder_bytes
from ccip_batch.errors import CasaError
from ccip_batch.groups import SpwGroup
from ccip_batch.model import Model


class SplitResult(Model):
    """Bytes of each group's measurement set."""

    bytes: dict[str, int]


def splitgroups(casa: Casa, vis: str, groups: Sequence[SpwGroup], folder: Path) -> SplitResult:
    """Write `<group>.ms` for each group into a folder, with the CORRECTED_DATA of `vis` as DATA."""
    sizes = {}
    for group in groups:
        target = folder / f"{group.name}.ms"
        casa.task(
            "mstransform",
            vis=vis,
            outputvis=os.path.relpath(target),
            spw=group.selection,
            datacolumn="corrected",
            reindex=False,
        )
        if not (target / "table.dat").is_file():
            raise CasaError(f"mstransform wrote no {target.name}; see casa.log.")
        sizes[group.selection] = folder_bytes(target)
    return SplitResult(bytes=sizes)
