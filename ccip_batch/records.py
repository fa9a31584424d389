"""The base class of all records (JSON or YAML), and files that survive a power cut.

Such a file is on the disk before a name, or another file, says that it exists.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydantic


class Model(pydantic.BaseModel):
    """An immutable typed record, strict about unknown keys.

    NaN and infinity become null in JSON, so a float that may be NaN is `float | None`.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    def save(self, path: Path) -> None:
        """Write as JSON; the file appears under its name only when it is complete."""
        write_whole(path, self.model_dump_json(indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a text file that appears under its name only when it is complete and on the disk."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file, with the same ending of its name; it has its own name when the block ends without error.

    Otherwise nothing is left, and what had the name before is still there. Only a file is replaced, and no device.
    """
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "it is there and is not a file", str(path))
    # The end of a name is what sets the files of one image apart, and 50 letters are at most 200 of the 255 bytes.
    partial = path.with_name(f".{path.stem[-50:]}.{os.getpid()}.part{path.suffix}")
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where that cannot be: on another disk, or of somebody else's file."""
    try:
        os.link(source.resolve(), target)  # not the link to it, if it is one
    except OSError:
        copy_whole(source, target)


def copy_whole(source: Path, target: Path) -> None:
    """A copy of a file that appears under its name only when it is complete."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.copyfile(source, partial)
    partial.replace(target)


def sync_tree(folder: Path) -> None:
    """Return when a folder and everything in it is on the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            sync(Path(root, name))
        sync(Path(root))
    sync(folder.parent)


def sync(path: Path) -> None:
    """Return when a file, or the list of names in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network file systems cannot do this for folders
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
