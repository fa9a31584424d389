"""Tarballs from elsewhere, read as hostile: each member is checked before anybody sees it.

Plain ones and those of gzip, bzip2 and xz are read; of any other file it is said what it is.
"""

from __future__ import annotations

import bz2
import fnmatch
import glob
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from ccip_batch.errors import DataError

_MAX_HEADER = 1 << 26  # no header needs 64 MB; a larger one is forged, and would be held in memory
_OTHERS = (
    (b"\x28\xb5\x2f\xfd", "is compressed with Zstandard"),
    (b"\x04\x22\x4d\x18", "is compressed with LZ4"),
    (b"\x1f\x9d", "is compressed with compress"),
    (b"LZIP", "is compressed with lzip"),
    (b"PK\x03\x04", "is a zip archive"),
    (b"PK\x05\x06", "is a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive"),
    (b"Rar!", "is a rar archive"),
)
"""How files begin that are not read, and what they are."""
_MOST_LINKS = 200
"""Hard links; for the content of each, a compressed archive is read from its beginning again."""
_MOST_DEEP = 64
"""Folders in each other; a table has two, and some more may be around it."""
_AGAIN = "Make the archive again as tar.gz (tar czf)."


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold."""

    bytes: int
    members: int


class _Limited:
    """The unpacked bytes of an archive. Refuses to give more than `limit` bytes, or too many at once."""

    def __init__(self, file: IO[bytes], name: str, limit: int) -> None:
        self._file = file
        self._name = name
        self._limit = limit
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _MAX_HEADER:
            raise DataError(f"{self._name}: a header claims to have {size} bytes; the archive is damaged or forged.")
        self.last = self._file.read(size)
        if self._file.tell() > self._limit:
            raise DataError(f"{self._name}: unpacks to more than {self._limit} bytes; this is not a set of resources.")
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset > self._limit:
            raise DataError(f"{self._name}: unpacks to more than {self._limit} bytes; this is not a set of resources.")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def is_archive(path: Path) -> bool:
    """Whether a file is a tarball, or something else that many files are packed into."""
    try:
        with path.open("rb") as file:
            start = file.read(265)
    except OSError:
        return False
    known = (*(magic for magic, _ in _OTHERS), b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
    return start.startswith(known) or start[257:262] == b"ustar"


@contextmanager
def opened(archive: Path, max_bytes: int) -> Iterator[tarfile.TarFile]:
    """The tarball. Truncation, damage, and files that are something else become DataError."""
    try:
        raw = archive.open("rb")
    except OSError as error:
        raise DataError(f"{archive} cannot be read ({error.strerror}). Give a readable tarball.") from error
    try:
        with raw:
            # headers and padding come on top of the content: a kB a member at most, so twice the limit is ample
            limited = _Limited(_unpacked(raw, archive), str(archive), 2 * max_bytes + (1 << 20))
            with tarfile.open(fileobj=cast(IO[bytes], limited), mode="r:") as tar:
                yield tar
    except tarfile.ReadError as error:
        raise DataError(f"{archive} is not a tarball, or is truncated: {error}. Fetch it again.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{archive} is truncated or damaged: {error}. Fetch it again.") from error
    except (tarfile.TarError, UnicodeError, ValueError, OverflowError) as error:
        raise DataError(f"{archive} is damaged: {error}. Fetch it again.") from error
    except OSError as error:
        if error.errno is not None:  # of the disk
            raise
        raise DataError(f"{archive} is damaged: {error}. Fetch it again.") from error  # as bz2 says it


def _unpacked(raw: IO[bytes], archive: Path) -> IO[bytes]:
    """The bytes of the tarball, whatever it is compressed with. Raises DataError if that is not read here."""
    start = raw.read(8)
    raw.seek(0)
    if not start:
        raise DataError(f"{archive} is empty. Fetch it again.")
    if start.startswith(b"<"):
        raise DataError(f"{archive} is a web page or the like: the download went wrong. Fetch it again.")
    for magic, what in _OTHERS:
        if start.startswith(magic):
            raise DataError(f"{archive} {what}, not a tarball of gzip, bzip2 or xz. {_AGAIN}")
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    if start.startswith(b"BZh"):
        return cast(IO[bytes], bz2.BZ2File(raw))
    if start.startswith(b"\xfd7zXZ\0"):
        return cast(IO[bytes], lzma.LZMAFile(raw))
    return raw


def members(
    tar: tarfile.TarFile, archive: Path, limits: Limits, patterns: Sequence[str]
) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Each member with its path, checked. After the last one, it is checked that the archive really ends there.

    patterns: of the paths that are looked for, `*` for anything; a folder around these is left out of all paths. For a
    hard link, the member is the earlier one that has the content.
    """
    size = 0
    seen = _Seen(archive)
    around: tuple[str, ...] | None = None
    for count, member in enumerate(tar, 1):
        path = _checked(member, archive)
        member = seen.add(member, path)
        size += member.size
        if size > limits.bytes:
            raise DataError(f"{archive}: unpacks to more than {limits.bytes} bytes, at member {member.name!r}.")
        if count > limits.members:
            raise DataError(f"{archive}: has more than {limits.members} members, at {member.name!r}.")
        if around is None:
            around = _around(path, patterns)
        inside = around and path.parts[: len(around)] == around
        yield member, PurePosixPath(*path.parts[len(around) :]) if around and inside else path
    file = cast(_Limited, tar.fileobj)
    if len(file.last) != tarfile.BLOCKSIZE or any(file.last):  # tarfile mistakes a damaged header for the end
        raise DataError(f"{archive} is truncated or damaged: it has no end mark. Fetch it again.")
    while file.read(1 << 20):  # to the end, where gzip compares its checksum
        pass


def _around(path: PurePosixPath, patterns: Sequence[str]) -> tuple[str, ...] | None:
    """The folders around what has the first name of a pattern; None if nothing in the path has."""
    for place, name in enumerate(path.parts):
        for pattern in patterns:
            # only `*` is special in a pattern; an imagename may hold brackets
            exact = "*".join(glob.escape(part) for part in pattern.split("/")[0].split("*"))
            if fnmatch.fnmatchcase(name, exact):
                return path.parts[:place]
    return None


class _Seen:
    """The members so far: none of them may be there twice, and none may be in what is a file."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._files: dict[PurePosixPath, tarfile.TarInfo] = {}
        self._folders: set[PurePosixPath] = set()
        self._links = 0

    def add(self, member: tarfile.TarInfo, path: PurePosixPath) -> tarfile.TarInfo:
        """A member, or the earlier one that has its content. Raises DataError if it does not go with those before."""
        clash = next((part for part in (path, *path.parents) if part in self._files), None)
        if clash is not None or (not member.isdir() and path in self._folders):
            twice = "appears twice" if path == clash else "is both a file and a folder"
            raise DataError(f"{self._archive}: member {member.name!r} {twice}. {_AGAIN}")
        self._folders.update(path.parents)
        if member.isdir():
            self._folders.add(path)
            return member
        if member.islnk():
            self._links += 1
            right = "Make the archive again with tar czf --hard-dereference."
            target = self._files.get(PurePosixPath(member.linkname))
            if target is None:
                wrong = f"is a link to {member.linkname!r}, which is not a file that comes before it in the archive"
                raise DataError(f"{self._archive}: member {member.name!r} {wrong}. {right}")
            if self._links > _MOST_LINKS:
                raise DataError(f"{self._archive}: has more than {_MOST_LINKS} hard links. {right}")
            member = target
        self._files[path] = member
        return member


def _checked(member: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    path = PurePosixPath(member.name)
    what, right = "", "Fetch the archive again."
    if path.is_absolute():
        what = "has an absolute path"
    elif ".." in path.parts:
        what = "leads out of its folder"
    elif len(path.parts) > _MOST_DEEP:
        what = f"is in more than {_MOST_DEEP} folders"
    elif member.issym():
        what, right = "is a link", "Make the archive again with what it links to: tar czf --dereference."
    elif not (member.isfile() or member.isdir() or member.islnk()):
        what = "is neither file nor folder"
    elif any(ord(letter) < 32 for letter in member.name) or "\\" in member.name:
        what = "has a name that no table has"
    if what:
        raise DataError(f"{archive}: member {_short(member.name)!r} {what}; nothing was unpacked. {right}")
    return path


def _short(name: str) -> str:
    return name if len(name) <= 200 else f"{name[:197]}..."
