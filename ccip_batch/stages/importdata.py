"""Stage 1, hifv_importdata: read what the measurement set is, without copying or changing it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccip_batch.casa.measurement_set import MsSummary, summarize
from ccip_batch.casa.session import Casa
from ccip_batch.errors import DataError
from ccip_batch.job import table_files
from ccip_batch.job.spw_groups import SpwGroup


def importdata(casa: Casa, vis: Path, groups: Sequence[SpwGroup]) -> MsSummary:
    """Describe a PIMS. Raises DataError if it is incomplete, or lacks a spw or the intent TARGET."""
    damage = table_files.incomplete(vis, table_files.REQUIRED) if (vis / "table.dat").is_file() else []
    if damage:
        raise DataError(f"{vis} is incomplete: {'; '.join(damage)}. Fetch it again.")
    summary = summarize(casa, vis)
    check_summary(summary, groups)
    return summary


def check_summary(summary: MsSummary, groups: Sequence[SpwGroup]) -> None:
    """That a PIMS has the spws of all planes, at frequencies of their own, and a target. Raises DataError."""
    vis = summary.name
    known = {spw.id for spw in summary.spws}
    missing = sorted({spw for group in groups for spw in group.spws} - known)
    if missing:
        raise DataError(
            f"{vis} has no spw {', '.join(map(str, missing))}, only {min(known)} to {max(known)}; correct imaging.spw."
        )
    if not summary.target_scans:
        raise DataError(f"{vis} has no scan with the intent OBSERVE_TARGET (intents: {', '.join(summary.intents)}).")
    at: dict[str, SpwGroup] = {}
    for group in groups:
        frequency = f"{sum(summary.spw(spw).mean_frequency_hz for spw in group.spws) / len(group.spws) / 1e6:.9g} MHz"
        if frequency in at:
            raise DataError(
                f"the planes of spw {at[frequency].selection} and spw {group.selection} of {vis} have the same "
                f"frequency, {frequency}, and cannot be in one cube; leave one of them out of imaging.spw."
            )
        at[frequency] = group
