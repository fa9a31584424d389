"""How much data a measurement set holds, read without CASA: what plans and estimates need."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pydantic import Field

from ccip_batch.job.spw_groups import SCIENCE_SPWS
from ccip_batch.records import Model

_START = b"\xbe\xbe\xbe\xbe"
_TABLE = b"\x00\x00\x00\x05Table"
_BYTES_A_ROW = 75
_BYTES_A_VISIBILITY = 32.5
"""Of a PIMS, which has one column of data: four correlations of 8 bytes and their flags. Measured with 4, 8 and 64
channels (205, 343 and 2137 bytes a row)."""


class DataSize(Model):
    """Size of a PIMS; zero means unknown."""

    bytes: int = Field(0, description="On disk.")
    spws: int = Field(0, description="Number of spectral windows with data.")
    rows: int = Field(0, description="Rows of one spectral window, on average.")
    channels: int = Field(0, description="Channels of a spectral window, from the bytes of a row.")

    @property
    def visibilities(self) -> float:
        """Rows times channels of one spectral window."""
        return float(self.rows * self.channels)

    @classmethod
    def of(cls, vis: Path, science: Collection[int] = SCIENCE_SPWS) -> DataSize:
        """The size of a measurement set. science: the spws of SE-CONT.

        If these are not all, the others are taken to have no rows: a part of a PIMS names all spws nevertheless.
        """
        rows, spws = table_rows(vis), table_rows(vis / "SPECTRAL_WINDOW")
        if len(science) < len(SCIENCE_SPWS):
            spws = min(spws, len(science))
        size = folder_bytes(vis)
        if not rows or not spws:
            return cls(bytes=size)
        channels = max(1, round((size / rows - _BYTES_A_ROW) / _BYTES_A_VISIBILITY))
        return cls(bytes=size, spws=spws, rows=rows // spws, channels=channels)


def table_rows(table: Path) -> int:
    """Rows of a CASA table, from the first bytes of its `table.dat`; 0 if the file is missing or begins differently.

    These are, in big-endian order: a mark, the length, the type's name with its length, the version of the layout, and
    the number of rows in four bytes, or in eight from version 3 on (casacore, AipsIO and Table).
    """
    try:
        with (table / "table.dat").open("rb") as file:
            head = file.read(32)
    except OSError:
        return 0
    if head[:4] != _START or head[8:17] != _TABLE:
        return 0
    version = int.from_bytes(head[17:21])
    return int.from_bytes(head[21:25] if version < 3 else head[21:29])


def folder_bytes(folder: Path) -> int:
    """Sum of the sizes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
