"""Files that are given to the user, with checksums taken where they are made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from ccip_batch.model import Model


def _plain(name: str) -> str:
    """A name that stays in the folder it is looked for in, whoever wrote the result that holds it."""
    if name in (".", ".."):
        raise ValueError("is no name of a file")
    return name


class ProductFile(Model):
    """A file that a node made, with its checksum taken where it was made."""

    name: Annotated[str, StringConstraints(pattern=r"^[^/\x00-\x1f]+$"), AfterValidator(_plain)]
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @classmethod
    def of(cls, path: Path) -> ProductFile:
        """Read a file and describe it."""
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
        return cls(name=path.name, bytes=path.stat().st_size, sha256=digest.hexdigest())
