"""The base of everything that is written to JSON or YAML and read back: immutable, strict about unknown keys."""

from __future__ import annotations

import os
from pathlib import Path

import pydantic


class Model(pydantic.BaseModel):
    """An immutable typed record. NaN and infinity become null in JSON, so a float that may be NaN is `float | None`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    def save(self, path: Path) -> None:
        """Write as JSON; the file appears under its name only when it is whole."""
        write_whole(path, self.model_dump_json(indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a text file that appears under its name only when it is whole and on the disk."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    with partial.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)
