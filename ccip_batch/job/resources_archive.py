"""`reimaging_resources.tgz`: what SE-CONT left for this workflow. Checked before anything runs, unpacked in stage 4.

The archive comes from elsewhere and is treated as hostile: every member is checked, needed or not, and nothing is
written outside the folder given.
"""

from __future__ import annotations

import fnmatch
import glob
import gzip
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from pydantic import BaseModel, ConfigDict, computed_field

from ccip_batch.errors import DataError, ResourceError, says_disk_is_full

MAX_BYTES = 64 * 10**9
"""Largest unpacked size. A square degree has about 5 GB (seven images of 12500 x 12500 floats, and flags)."""
MAX_MEMBERS = 100_000
"""Largest number of members. A square degree has about a hundred."""
FLAG_VERSION = "statwt_1"
"""The flag version that holds the state of SE-CONT's last imaging stage."""

_MAX_HEADER = 1 << 26  # no header needs 64 MB; a larger one is forged, and would be held in memory


class Resource(BaseModel):
    """One thing that is looked for in the archive."""

    model_config = ConfigDict(frozen=True)
    name: str
    pattern: str
    """The pattern of its name; `*` stands for anything."""
    found: tuple[str, ...]
    """Names of the tables that match, without a leading directory."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        """Whether there is exactly one."""
        return len(self.found) == 1


class Resources(BaseModel):
    """What was looked for in an archive, and what was found."""

    model_config = ConfigDict(frozen=True)
    archive: str
    """File name of the archive."""
    table: tuple[Resource, ...]

    def complaints(self) -> list[str]:
        """A sentence for each resource that is missing or is there more than once."""
        sentences = []
        for item in self.table:
            if not item.found:
                sentences.append(f"{item.name} is missing: no table {item.pattern}")
            elif not item.ok:
                sentences.append(f"{item.name} is ambiguous: {item.pattern} matches {' and '.join(item.found)}")
        if not sentences and self._stage("model tt0") != self._stage("model tt1"):
            sentences.append(f"the models are of two stages: {self.member('model tt0')} and {self.member('model tt1')}")
        return sentences

    def require(self) -> None:
        """Raise DataError, naming all that is missing by its pattern, unless everything is there once."""
        complaints = self.complaints()
        if complaints:
            raise DataError(
                f"{self.archive}: {'; '.join(complaints)}. Make the archive again from the products of the SE-CONT run "
                "that SEIP_parameter.list names."
            )

    def member(self, name: str) -> str:
        """Name of the table of a resource. Raises DataError if it is not there exactly once."""
        item = next(item for item in self.table if item.name == name)
        if not item.ok:
            raise DataError(f"{self.archive}: {item.name} is not there exactly once: {item.pattern}")
        return item.found[0]

    @property
    def tier1_mask(self) -> str:
        """Name of the mask of iter1."""
        return self.member("tier-1 mask")

    @property
    def tier2_mask(self) -> str:
        """Name of the mask of iter2."""
        return self.member("tier-2 mask")

    @property
    def models(self) -> tuple[str, str]:
        """Names of the model images, Taylor terms 0 and 1."""
        return self.member("model tt0"), self.member("model tt1")

    @property
    def selfcal_table(self) -> str:
        """Name of the self-calibration table."""
        return self.member("self-calibration table")

    @property
    def flagversions(self) -> str:
        """Name of the folder of flag versions."""
        return self.member("flag version").split("/")[0]

    def tables(self) -> list[str]:
        """Names of all that is needed, without what is inside them."""
        return sorted({self.member(item.name).split("/")[0] for item in self.table})

    def _stage(self, name: str) -> str:
        return self.member(name).split(".")[0]


def patterns(root: str, continuum_imagename: str) -> dict[str, str]:
    """The pattern of each resource, by name; `*` is anything. root: stem of the PIMS's name. From NRAO's pipeline."""
    image, split = f"s*_0.{continuum_imagename}", f"{root}_split.ms"
    return {
        "tier-1 mask": f"{image}.QLcatmask-tier1.mask",
        "tier-2 mask": f"{image}.combined-tier2.mask",
        "model tt0": f"{image}.I.iter1.model.tt0",
        "model tt1": f"{image}.I.iter1.model.tt1",
        "self-calibration table": f"{split}.*.phase-self-cal.tbl",
        "flag version": f"{split}.flagversions/flags.{FLAG_VERSION}",
    }


def inspect(
    archive: Path, root: str, continuum_imagename: str, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS
) -> Resources:
    """Look for every resource in the archive, reading it to its end.

    root: stem of the PIMS's name. continuum_imagename: the imagename of SEIP_parameter.list. The result says what is
    missing (`complaints`, `require`). Raises DataError, naming archive and member, if the archive is damaged, is not a
    tarball, has a member that could end up outside its folder, or exceeds `max_bytes` or `max_members`.
    """
    tables = set()
    with _opened(archive, max_bytes) as tar:
        for _, path in _members(tar, archive, max_bytes, max_members):
            if path.name == "table.dat":
                tables.add(str(path.parent))
    table = []
    for name, pattern in patterns(root, continuum_imagename).items():
        # only `*` is special in a pattern; an imagename may hold brackets
        exact = "*".join(glob.escape(part) for part in pattern.split("*"))
        depth = pattern.count("/")
        found = sorted(item for item in tables if item.count("/") == depth and fnmatch.fnmatchcase(item, exact))
        table.append(Resource(name=name, pattern=pattern, found=tuple(found)))
    return Resources(archive=archive.name, table=tuple(table))


def extract(
    archive: Path, folder: Path, resources: Resources, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS
) -> None:
    """Unpack the resources into `folder`, each under its own name; other members are left in the archive.

    Each appears under its name only when it is complete, and replaces an older one. An existing flag version is left as
    it is, together with its flagversions folder. Raises DataError as `inspect` does, also if something is missing, and
    ResourceError if the disk is full.

    archive: the tarball. folder: where to unpack. resources: what `inspect` found in the archive. max_bytes,
    max_members: limits on the unpacked archive.
    """
    resources.require()
    wanted = {resources.tier1_mask, resources.tier2_mask, *resources.models, resources.selfcal_table}
    versions = folder / resources.flagversions
    if not versions.exists():
        wanted.add(resources.flagversions)
    elif not (versions / f"flags.{FLAG_VERSION}").is_dir():
        raise DataError(f"{versions} is there, but has no flags.{FLAG_VERSION} in it. Remove it and run again.")

    partial = folder / f"{archive.name}.part"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with _opened(archive, max_bytes) as tar:
            for member, path in _members(tar, archive, max_bytes, max_members):
                if path.parts and path.parts[0] in wanted:
                    _write(tar, member, partial / path, archive)
        for name in sorted(wanted):
            shutil.rmtree(folder / name, ignore_errors=True)
            (partial / name).rename(folder / name)
    except OSError as error:
        if says_disk_is_full(error):
            raise ResourceError(f"The disk is full: {archive.name} cannot be unpacked into {folder}.") from error
        raise DataError(f"{archive} cannot be unpacked into {folder}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, archive: Path) -> None:
    """Write one checked member: only folders and plain files, with the default modes.

    (Debian 12's Python has no extraction filters; such members leave nothing for one to do.)
    """
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None  # only links and devices have none
    if target.exists():
        raise DataError(f"{archive}: member {member.name!r} appears twice. Fetch the archive again.")
    with target.open("xb") as out:
        shutil.copyfileobj(content, out, 1 << 20)


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


@contextmanager
def _opened(archive: Path, max_bytes: int) -> Iterator[tarfile.TarFile]:
    """The archive, gzipped or plain. Truncation and damage become DataError."""
    try:
        raw = archive.open("rb")
    except OSError as error:
        raise DataError(f"{archive} cannot be read ({error.strerror}). Give a readable tarball.") from error
    try:
        with raw:
            magic = raw.read(2)
            raw.seek(0)
            file: IO[bytes] = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if magic == b"\x1f\x8b" else raw
            # headers and padding come on top of the content: a kB a member at most, so twice the limit is ample
            limited = _Limited(file, str(archive), 2 * max_bytes + (1 << 20))
            with tarfile.open(fileobj=cast(IO[bytes], limited), mode="r:") as tar:
                yield tar
    except tarfile.ReadError as error:
        raise DataError(f"{archive} is not a tarball, or is truncated: {error}. Fetch it again.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{archive} is truncated or damaged: {error}. Fetch it again.") from error
    except (tarfile.TarError, UnicodeError, ValueError, OverflowError) as error:
        raise DataError(f"{archive} is damaged: {error}. Fetch it again.") from error


def _members(
    tar: tarfile.TarFile, archive: Path, max_bytes: int, max_members: int
) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """Each member with its path, checked. After the last one, it is checked that the archive really ends there."""
    size = 0
    for count, member in enumerate(tar, 1):
        path = _checked(member, archive)
        size += member.size
        if size > max_bytes:
            raise DataError(f"{archive}: unpacks to more than {max_bytes} bytes, at member {member.name!r}.")
        if count > max_members:
            raise DataError(f"{archive}: has more than {max_members} members, at {member.name!r}.")
        yield member, path
    file = cast(_Limited, tar.fileobj)
    if len(file.last) != tarfile.BLOCKSIZE or any(file.last):  # tarfile mistakes a damaged header for the end
        raise DataError(f"{archive} is truncated or damaged: it has no end mark. Fetch it again.")
    while file.read(1 << 20):  # to the end, where gzip compares its checksum
        pass


def _checked(member: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    path = PurePosixPath(member.name)
    what = ""
    if path.is_absolute():
        what = "has an absolute path"
    elif ".." in path.parts:
        what = "leads out of its folder"
    elif member.issym() or member.islnk():
        what = "is a link"
    elif not (member.isfile() or member.isdir()):
        what = "is neither file nor folder"
    elif any(ord(letter) < 32 for letter in member.name) or "\\" in member.name:
        what = "has a name that no table has"
    if what:
        raise DataError(f"{archive}: member {member.name!r} {what}; nothing was unpacked. Fetch the archive again.")
    return path
