"""`reimaging_resources.tgz`: what SE-CONT left for this workflow. Checked before anything runs, unpacked in stage 4.

The archive comes from elsewhere and is treated as hostile: every member is checked, needed or not, and nothing is
written outside the folder given.
"""

from __future__ import annotations

import fnmatch
import glob
import re
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, computed_field

from ccip_batch.errors import DataError, ResourceError, says_disk_is_full
from ccip_batch.job import table_files
from ccip_batch.job.casa_names import PLAIN, is_plain
from ccip_batch.job.tarballs import Limits, members, opened

MAX_BYTES = 64 * 10**9
"""Largest unpacked size. A square degree has about 5 GB (seven images of 12500 x 12500 floats, and flags)."""
MAX_MEMBERS = 100_000
"""Largest number of members. A square degree has about a hundred."""
FLAG_VERSION = "statwt_1"
"""The flag version that holds the state of SE-CONT's last imaging stage."""

_HEADERS = re.compile(r"table\.(dat|f\d+i?)")
"""Files of a table that say how large the others are."""
_OUTLINE_BYTES = 1 << 20
"""How much of such a file is read; those of an image or of flags have some kB."""


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
    damage: tuple[str, ...] = ()
    """A sentence for each file that a resource lacks, or that is cut short."""

    def complaints(self) -> list[str]:
        """A sentence for each resource that is missing or incomplete, or is there more than once."""
        sentences = list(self.damage)
        for item in self.table:
            if not item.found:
                sentences.append(f"{item.name} is missing: no table {item.pattern}")
            elif not item.ok:
                sentences.append(f"{item.name} is ambiguous: {item.pattern} matches {' and '.join(item.found)}")
            elif not is_plain(item.found[0].split("/")[0]):
                sentences.append(f"{item.name} is in {item.found[0]!r}, a name that CASA does not take ({PLAIN})")
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
    missing (`complaints`, `require`); a folder around them makes no difference. Raises DataError, naming archive and
    member, if the archive is damaged, is not a tarball, has a member twice or one that could end up outside its folder,
    or exceeds `max_bytes` or `max_members`.
    """
    tables = set()
    wanted = patterns(root, continuum_imagename)
    with tempfile.TemporaryDirectory() as outline, opened(archive, max_bytes) as tar:
        for member, path in members(tar, archive, Limits(max_bytes, max_members), tuple(wanted.values())):
            if path.name == "table.dat":
                tables.add(str(path.parent))
            if member.isfile() and any(_is_of(path, pattern) for pattern in wanted.values()):
                _outline(tar, member, Path(outline) / path, archive)
        table = []
        for name, pattern in wanted.items():
            found = sorted(item for item in tables if item.count("/") == pattern.count("/") and _matches(item, pattern))
            table.append(Resource(name=name, pattern=pattern, found=tuple(found)))
        damage = [
            f"{item.found[0]} is incomplete, fetch the archive again: {sentence}"
            for item in table
            if item.ok
            for sentence in table_files.incomplete(Path(outline) / item.found[0])
        ]
    return Resources(archive=archive.name, table=tuple(table), damage=tuple(damage))


def _matches(name: str, pattern: str) -> bool:
    """Whether a name has a pattern, in which only `*` is special; an imagename may hold brackets."""
    return fnmatch.fnmatchcase(name, "*".join(glob.escape(part) for part in pattern.split("*")))


def _is_of(path: PurePosixPath, pattern: str) -> bool:
    """Whether a file is inside of a table of this pattern."""
    depth = pattern.count("/") + 1
    return len(path.parts) > depth and _matches("/".join(path.parts[:depth]), pattern)


def _outline(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, archive: Path) -> None:
    """A file of the member's size with no content but its beginning, where that says how large the table is.

    The file is sparse: it takes next to no place, whatever its size.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            if _HEADERS.fullmatch(target.name):
                content = tar.extractfile(member)
                assert content is not None  # only links and devices have none
                out.write(content.read(_OUTLINE_BYTES))
            out.truncate(member.size)
    except OSError as error:
        if says_disk_is_full(error):
            raise
        raise DataError(f"{archive}: member {member.name!r} cannot be unpacked: {error.strerror}.") from error


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

    partial = folder / "resources.part"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        known = tuple(item.pattern for item in resources.table)
        with opened(archive, max_bytes) as tar:
            for member, path in members(tar, archive, Limits(max_bytes, max_members), known):
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
    content = tar.extractfile(member)  # of a hard link, that of the earlier member
    if content is None:
        raise DataError(f"{archive}: member {member.name!r} has no content. Make the archive again.")
    with target.open("xb") as out:
        shutil.copyfileobj(content, out, 1 << 20)
