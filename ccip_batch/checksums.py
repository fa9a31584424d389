"""Files that are given to the user, with checksums taken where they are made."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ccip_batch.model import Model


class ProductFile(Model):
    """A file that a node made, with its checksum taken where it was made."""

    name: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> ProductFile:
        """Read a file and describe it."""
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
        return cls(name=path.name, bytes=path.stat().st_size, sha256=digest.hexdigest())
