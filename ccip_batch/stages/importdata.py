"""Stage 1, hifv_importdata: read what the measurement set is, without copying or changing it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccip_batch.casa.measurement_set import MsSummary, summarize
from ccip_batch.casa.session import Casa
from ccip_batch.errors import DataError
from ccip_batch.job.spw_groups import SpwGroup


def importdata(casa: Casa, vis: Path, groups: Sequence[SpwGroup]) -> MsSummary:
    """Describe a PIMS. Raises DataError if it is not a measurement set, or lacks a spw or the intent TARGET."""
    summary = summarize(casa, vis)
    known = {spw.id for spw in summary.spws}
    missing = sorted({spw for group in groups for spw in group.spws} - known)
    if missing:
        raise DataError(
            f"{vis} has no spw {', '.join(map(str, missing))}, only {min(known)} to {max(known)}; correct imaging.spw."
        )
    if not summary.target_scans:
        raise DataError(f"{vis} has no scan with the intent OBSERVE_TARGET (intents: {', '.join(summary.intents)}).")
    return summary
