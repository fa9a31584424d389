"""Size of a measurement set, read without CASA."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.simulated_runs import make_simulation

from ccip_batch.casa.measurement_set import summarize
from ccip_batch.casa.session import Casa
from ccip_batch.job.config import load_job
from ccip_batch.job.data_size import DataSize, table_rows


def test_rows_are_those_that_casa_counts(tmp_path: Path) -> None:
    vis = load_job(make_simulation("small")).inputs.vis
    summary = summarize(Casa(tmp_path / "casa.log"), vis)
    assert table_rows(vis) == summary.rows
    data = DataSize.of(vis)
    assert data.spws == 18 and data.rows == summary.rows // 18 and data.bytes == summary.bytes
    assert data.channels == pytest.approx(summary.spws[-1].channels, abs=1.01)  # a rough figure, from bytes


def test_a_part_of_a_pims_has_rows_in_some_spws_alone() -> None:
    vis = load_job(make_simulation("small")).inputs.vis  # its rows are of 16 science spws; as if they were of four
    assert DataSize.of(vis, (2, 7, 12, 17)).rows == table_rows(vis) // 4
    assert DataSize.of(vis, range(2, 18)) == DataSize.of(vis)


@pytest.mark.parametrize(
    "head", [b"", b"\xbe\xbe\xbe\xbe", b"\xbe\xbe\xbe\xbe\x00\x00\x00\x01\x00\x00\x00\x05Other" * 2]
)
def test_what_is_no_table_has_no_rows(head: bytes, tmp_path: Path) -> None:
    (tmp_path / "table.dat").write_bytes(head)
    assert table_rows(tmp_path) == 0
    assert DataSize.of(tmp_path) == DataSize(bytes=len(head))


def test_more_rows_than_four_bytes_hold(tmp_path: Path) -> None:
    head = b"\xbe\xbe\xbe\xbe\x00\x00\x00\x63\x00\x00\x00\x05Table" + (3).to_bytes(4) + (5_000_000_000).to_bytes(8)
    (tmp_path / "table.dat").write_bytes(head + b"\x00" * 8)
    assert table_rows(tmp_path) == 5_000_000_000
