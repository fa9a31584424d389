"""Tarballs from a hostile hand: nothing outside the folder, no link, no device, no more bytes than allowed."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from helpers.input_files import CONTINUUM, ROOT, TABLES, add_member, make_archive, make_job
from hypothesis import given
from hypothesis import strategies as st

from ccip_batch.engines.htcondor.transfer import unpack_output
from ccip_batch.errors import DataError
from ccip_batch.job.resources_archive import extract, inspect
from ccip_batch.run import unpacking
from ccip_batch.verbs.plan import plan

from .words import damaged, few, nasty

KINDS = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
         tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE)  # fmt: skip

members = st.builds(
    lambda name, link, kind, mode, content: (name, link, kind, mode, content),
    st.one_of(nasty, st.sampled_from([*TABLES, f"{TABLES[0]}/table.dat", f"../{TABLES[0]}", f"/{TABLES[0]}"])),
    nasty,
    st.sampled_from(KINDS),
    st.integers(0, 0o7777),
    st.binary(max_size=20),
)


def write_archive(path: Path, listed: list[tuple[str, str, bytes, int, bytes]], before: Path | None = None) -> bool:
    """A tarball with what `before` has and these members; False if tarfile itself cannot write them."""
    with tarfile.open(path, "w:gz") as tar:
        if before is not None:
            with tarfile.open(before) as good:
                for member in good:
                    tar.addfile(member, good.extractfile(member) if member.isfile() else None)
        for name, link, kind, mode, content in listed:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode, member.size = kind, link, mode, len(content)
            try:
                tar.addfile(member, io.BytesIO(content))
            except (ValueError, UnicodeError):
                return False
    return True


def unpack(archive: Path, folder: Path) -> None:
    """Inspect and extract; all that may be said is DataError. Then look at what is there."""
    before = sorted(folder.parent.rglob("*"))
    try:
        found = inspect(archive, ROOT, CONTINUUM, max_bytes=100_000, max_members=200)
        extract(archive, folder, found, max_bytes=100_000, max_members=200)
    except DataError as error:
        assert archive.name in str(error)
    outside = [path for path in sorted(folder.parent.rglob("*")) if path not in before and folder not in path.parents]
    assert [path for path in outside if path != folder] == []
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH) and not (stat.S_ISREG(mode) and mode & 0o111)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder, all of it the test's own, in which `out` is the only one to write to."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    return tmp_path / "a" / "b"


@few(80)
@given(st.lists(members, min_size=1, max_size=3), st.booleans())
def test_members(place: Path, listed: list[tuple[str, str, bytes, int, bytes]], with_good: bool) -> None:
    good = place / "good.tgz"
    if not good.exists():
        make_archive(good)
    archive = place / "r.tgz"
    if write_archive(archive, listed, good if with_good else None):
        unpack(archive, place / "out")


@few(80)
@given(st.data())
def test_damaged_bytes(place: Path, data: st.DataObject) -> None:
    good = place / "good.tgz"
    if not good.exists():
        make_archive(good)
    archive = place / "r.tgz"
    if data.draw(st.booleans()):  # what is packed, not the packing
        archive.write_bytes(data.draw(damaged(gzip.decompress(good.read_bytes())[:20480])))
    else:
        archive.write_bytes(data.draw(damaged(good.read_bytes())))
    unpack(archive, place / "out")


def test_a_bomb_is_not_unpacked(place: Path) -> None:
    archive = place / "r.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(f"{TABLES[0]}/table.f0")
        member.size = 30_000_000
        tar.addfile(member, io.BytesIO(bytes(member.size)))
    assert archive.stat().st_size < 100_000
    with pytest.raises(DataError, match="unpacks to more than 100000 bytes"):
        inspect(archive, ROOT, CONTINUUM, max_bytes=100_000)


def test_too_many_members_are_refused(place: Path) -> None:
    archive = place / "r.tgz"
    write_archive(archive, [(f"m{n}", "", tarfile.REGTYPE, 0o644, b"") for n in range(300)])
    with pytest.raises(DataError, match="more than 200 members"):
        inspect(archive, ROOT, CONTINUUM, max_members=200)


def test_folders_in_each_other_without_end_are_refused(place: Path) -> None:
    """Such a path is short enough for the system, and too deep for Python."""
    archive = place / "r.tgz"
    write_archive(archive, [(f"{TABLES[0]}/{'a/' * 1900}f", "", tarfile.REGTYPE, 0o644, b"")])
    with pytest.raises(DataError, match="is in more than 64 folders") as caught:
        inspect(archive, ROOT, CONTINUUM)
    assert len(str(caught.value)) < 600


def test_what_a_machine_of_the_pool_gives_back(place: Path) -> None:
    """A tar that comes back from a node holds plain files of that node, or is refused as a whole."""
    config = make_job(place / "job", "execution: {engine: htcondor, site: local}\nimaging: {spw: ['2']}\n")
    run = plan(config, (), place / "run")
    node = run.graph["restore"]
    archive = run.folder.path / "x.out.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    outside = place / "outside"
    outside.mkdir()
    for name, kind, link in (
        ("../../escaped", tarfile.REGTYPE, ""),
        (str(outside / "absolute"), tarfile.REGTYPE, ""),
        ("nodes/publish/result.json", tarfile.REGTYPE, ""),
        ("job.resolved.yaml", tarfile.REGTYPE, ""),
        ("nodes/restore/out", tarfile.SYMTYPE, str(outside)),
        ("nodes/restore/casa.log", tarfile.LNKTYPE, "job.yaml"),
        ("nodes/restore/device", tarfile.CHRTYPE, ""),
        ("nodes/restore/../publish/result.json", tarfile.REGTYPE, ""),
    ):
        resolved = run.folder.resolved.read_bytes()
        with tarfile.open(archive, "w") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            tar.addfile(member)
        with pytest.raises(DataError):
            unpack_output(run, node, archive)
        assert not os.listdir(outside) and run.folder.resolved.read_bytes() == resolved  # noqa: PTH208
        assert not (run.folder.path / "nodes" / "publish" / "result.json").exists()
        assert not (run.folder.path / "nodes" / "restore" / ".incoming").exists()


@pytest.mark.parametrize("trick", ["sparse", "negative", "folder over a file", "long name"])
def test_a_tar_that_would_fill_the_disk_or_never_end(place: Path, trick: str) -> None:
    """Refused as damaged: what says "no room" would be tried again for ever."""
    archive, target = place / "x.tar", place / "target"
    target.mkdir()
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
        add_member(tar, "nodes/a/x", b"good")
        if trick == "folder over a file":
            add_member(tar, "nodes/a/x/y", b"bad")
        elif trick == "long name":
            add_member(tar, "nodes/a/" + 300 * "n", b"bad")
    if trick in ("sparse", "negative"):
        block = bytearray(tarfile.TarInfo("nodes/a/big").tobuf())
        if trick == "sparse":
            block[156:157] = b"S"
            block[386:410] = b"00000000000\000000000000\0"
            block[483:495] = b"07346545000\0"
        else:
            block[124:136] = (-512).to_bytes(12, "big", signed=True)
        block[148:156] = b" " * 8
        block[148:156] = f"{sum(block):06o}\0 ".encode()
        archive.write_bytes(archive.read_bytes()[:1024] + block + bytes(1024))
    with pytest.raises(DataError):
        unpacking.unpack(archive, target, (PurePosixPath(),))
    assert sum(path.stat().st_blocks * 512 for path in target.rglob("*") if path.is_file()) < 100_000
