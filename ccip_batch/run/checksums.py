"""What nodes make, with checksums taken where it is made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from ccip_batch.records import Model


def _plain(name: str) -> str:
    """A name that stays in the folder it is looked for in, whoever wrote the result that holds it."""
    if name in (".", ".."):
        raise ValueError("is not a file name")
    return name


class ProductFile(Model):
    """A file that a node made, with its checksum taken where it was made."""

    name: Annotated[str, StringConstraints(pattern=r"^[^/\x00-\x1f]+$"), AfterValidator(_plain)]
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @classmethod
    def of(cls, path: Path) -> ProductFile:
        """Read a file and describe it."""
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
        return cls(name=path.name, bytes=path.stat().st_size, sha256=digest.hexdigest())


class Output(Model):
    """A file or folder (a CASA table) that a node leaves for others, with its checksum taken where it was made.

    `table.lock` does not count: reading a CASA table may touch it.
    """

    name: str
    files: int
    bytes: int
    sha256: str
    """Of a file its content; of a folder the names, sizes and contents of all files in it."""

    @classmethod
    def of(cls, path: Path) -> Output:
        """Read a file or folder and describe it."""
        if path.is_file():
            file = ProductFile.of(path)
            return cls(name=path.name, files=1, bytes=file.bytes, sha256=file.sha256)
        digest, total, number = hashlib.sha256(), 0, 0
        for inside in _files(path):
            file = ProductFile.of(inside)
            digest.update(f"{inside.relative_to(path)}\0{file.bytes}\0{file.sha256}\0".encode())
            total, number = total + file.bytes, number + 1
        return cls(name=path.name, files=number, bytes=total, sha256=digest.hexdigest())

    def has_size_in(self, folder: Path) -> bool:
        """Whether it is in a folder with as many files and bytes as it had: quick, for nothing is read."""
        path = folder / self.name
        sizes = [file.stat().st_size for file in ([path] if path.is_file() else _files(path))]
        return (len(sizes), sum(sizes)) == (self.files, self.bytes)

    def is_whole_in(self, folder: Path) -> bool:
        """Whether it is in a folder as it was made, to the last bit."""
        return self.has_size_in(folder) and Output.of(folder / self.name) == self


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "table.lock")
