"""Archives from other machines: plain files and folders, and none outside of where they belong."""

from __future__ import annotations

import errno
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ccip_batch.errors import DataError

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES)
"""Errors that come from where something is unpacked, not from the archive."""


def unpack(archive: Path, target: Path, inside: Sequence[PurePosixPath], most_bytes: int | None = None) -> int:
    """Unpack plain files and folders; gives the number of files. All must lie in one of the folders `inside`.

    most_bytes: how much all of them may hold, for an archive that is compressed; without it, it may not be. Raises
    DataError if the archive is damaged or has something else in it.
    """
    count, total = 0, 0
    try:
        with tarfile.open(archive, "r:" if most_bytes is None else "r:gz") as tar:
            for member in tar:
                if member.size < 0 or member.issparse():
                    raise DataError(f"{archive.name}: {member.name!r} has a size that no file of a node has.")
                name = PurePosixPath(member.name)
                safe = not name.is_absolute() and ".." not in name.parts
                if not safe or not any(name.is_relative_to(place) for place in inside):
                    raise DataError(f"{archive.name} has {member.name!r} in it, which does not belong there.")
                path = target / name
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    raise DataError(f"{archive.name}: {member.name!r} is neither a file nor a folder.")
                total += member.size
                if most_bytes is not None and total > most_bytes:
                    raise DataError(f"{archive.name} unpacks to more than {most_bytes} bytes.")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                with path.open("xb") as out:
                    shutil.copyfileobj(content, out, 1 << 20)
                count += 1
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{archive.name} is damaged: {error}") from error
    except OSError as error:
        if error.errno in _OF_THE_DISK:
            raise
        raise DataError(f"{archive.name} cannot be unpacked: {error}") from error
    return count
