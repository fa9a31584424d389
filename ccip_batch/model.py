"""The base of everything that is written to JSON or YAML and read back: immutable, strict about unknown keys."""

from __future__ import annotations

from pathlib import Path

import pydantic

from ccip_batch.durable import write_whole


class Model(pydantic.BaseModel):
    """An immutable typed record. NaN and infinity become null in JSON, so a float that may be NaN is `float | None`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    def save(self, path: Path) -> None:
        """Write as JSON; the file appears under its name only when it is whole."""
        write_whole(path, self.model_dump_json(indent=1) + "\n")
