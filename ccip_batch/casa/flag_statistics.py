"""Flagged fractions of a measurement set by field, spw and channel, from one pass over FLAG.

All that plane rejection, `flagpct`, VLASSBW and the report need comes from these counts. Fields are known by id: names
may repeat in an on-the-fly mosaic.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ccip_batch.casa.measurement_set import row_chunks
from ccip_batch.casa.session import Casa
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.records import Model

_SAMPLED_ROWS = 500


class FlagCounts(Model):
    """Numbers of visibilities (correlations x channels x rows), keyed by field id and spw id."""

    flagged: dict[int, dict[int, int]]
    total: dict[int, dict[int, int]]
    used_channels: dict[int, int]
    """For each spw the number of channels that are not flagged in every row and correlation."""
    row_flags_alone: int = 0
    """Rows with FLAG_ROW whose FLAG is not set throughout. CASA images these by FLAG alone; so they are counted."""

    def fraction(self, fields: Iterable[int], group: SpwGroup) -> float | None:
        """Flagged fraction of a group over some fields; None if there are no data."""
        flagged = total = 0
        for field in fields:
            for spw in group.spws:
                flagged += self.flagged.get(field, {}).get(spw, 0)
                total += self.total.get(field, {}).get(spw, 0)
        return flagged / total if total else None


def merged(parts: Iterable[FlagCounts]) -> FlagCounts:
    """The counts of parts of the data that have no spw in common."""
    flagged: dict[int, dict[int, int]] = {}
    total: dict[int, dict[int, int]] = {}
    used: dict[int, int] = {}
    alone = 0
    for part in parts:
        for here, there in ((flagged, part.flagged), (total, part.total)):
            for field, by_spw in there.items():
                here.setdefault(field, {}).update(by_spw)
        used.update(part.used_channels)
        alone += part.row_flags_alone
    return FlagCounts(flagged=flagged, total=total, used_channels=used, row_flags_alone=alone)


def has_row_flags_alone(casa: Casa, vis: Path) -> bool:
    """Whether rows have FLAG_ROW whose FLAG is not set throughout; looks at some hundreds of those with FLAG_ROW."""
    found: list[int] = []
    with casa.table(str(vis)) as table:
        for start, number in row_chunks(table.nrows()):
            found += (np.flatnonzero(table.getcol("FLAG_ROW", start, number)) + start).tolist()
        some = found[:: len(found) // _SAMPLED_ROWS + 1]
        return any(not np.all(table.getcell("FLAG", row)) for row in some)


def count_flags(casa: Casa, vis: Path) -> FlagCounts:
    """Count flags in one pass over the main table, some 200,000 rows of it in memory at a time."""
    with casa.table(str(vis / "DATA_DESCRIPTION")) as table:
        spw_of = np.asarray(table.getcol("SPECTRAL_WINDOW_ID"))
    flagged: dict[int, dict[int, int]] = {}
    total: dict[int, dict[int, int]] = {}
    used: dict[int, np.ndarray] = {}
    alone = 0
    with casa.table(str(vis)) as table:
        for start, number in row_chunks(table.nrows()):
            fields = table.getcol("FIELD_ID", start, number)
            descriptions = table.getcol("DATA_DESC_ID", start, number)
            for description in np.unique(descriptions):
                spw = int(spw_of[description])
                rows = np.flatnonzero(descriptions == description)
                with_shape = table.selectrows((rows + start).tolist())
                flags = with_shape.getcol("FLAG")  # correlation, channel, row
                alone += int(np.count_nonzero(with_shape.getcol("FLAG_ROW") & ~flags.all(axis=(0, 1))))
                with_shape.close()
                used[spw] = used.get(spw, np.zeros(flags.shape[1], bool)) | (~flags).any(axis=(0, 2))
                counts = np.count_nonzero(flags, axis=(0, 1))
                cells = flags.shape[0] * flags.shape[1]
                for field in np.unique(fields[rows]):
                    of_field = fields[rows] == field
                    bad = flagged.setdefault(int(field), {})
                    bad[spw] = bad.get(spw, 0) + int(counts[of_field].sum())
                    all_ = total.setdefault(int(field), {})
                    all_[spw] = all_.get(spw, 0) + int(np.count_nonzero(of_field)) * cells
    channels = {spw: int(one.sum()) for spw, one in used.items()}
    return FlagCounts(flagged=flagged, total=total, used_channels=channels, row_flags_alone=alone)
