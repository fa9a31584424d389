"""What a pool's event logs told of the nodes of a run, kept in its folder: for the report, which has no event logs."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from ccip_batch.records import Model, write_whole
from ccip_batch.run.folder import RunFolder


class PoolRecord(Model):
    """What became of a node's jobs. Memory in MB; None where the logs do not tell."""

    state: str
    host: str | None
    submissions: int
    attempts: int
    """Starts on a machine."""
    evictions: int
    holds: int
    checkpoints: int
    memory_used_mb: int | None
    memory_asked_mb: int | None
    bytes_received: int | None
    """Bytes of files that were transferred to its last job."""
    bytes_sent: int | None


_RECORDS = TypeAdapter(dict[str, PoolRecord])


def write_pool_records(folder: RunFolder, records: Mapping[str, PoolRecord]) -> None:
    """Keep the records, by node."""
    write_whole(folder.pool, _RECORDS.dump_json(dict(records), indent=1).decode() + "\n")


def read_pool_records(folder: RunFolder) -> dict[str, PoolRecord]:
    """The records by node; empty if there are none, or if they are damaged."""
    try:
        return _RECORDS.validate_json(folder.pool.read_bytes())
    except (OSError, ValidationError):
        return {}
