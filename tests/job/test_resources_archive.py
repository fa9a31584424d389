"""reimaging_resources.tgz: what is found in it, and that a bad one does no harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.input_files import CONTINUUM, ROOT, TABLES, add_member, add_table, make_archive, make_job
from helpers.small_disks import small_disk

from ccip_batch.errors import DataError, says_disk_is_full
from ccip_batch.job.resources_archive import Resources, extract, inspect, patterns
from ccip_batch.verbs.check import check

NEEDED = [name for name in TABLES if not any(part in name for part in ("secondmask", "iter3", "se_initial"))]


def look(archive: Path, **limits: int) -> Resources:
    return inspect(archive, ROOT, CONTINUUM, **limits)


def test_everything_is_found(tmp_path: Path) -> None:
    found = look(make_archive(tmp_path / "r.tgz"))
    assert found.complaints() == []
    found.require()
    assert [item.found[0] for item in found.table] == NEEDED
    assert (found.tier1_mask, found.tier2_mask) == (TABLES[0], TABLES[1])
    assert found.models == (TABLES[3], TABLES[4])
    assert found.selfcal_table == TABLES[6]
    assert found.flagversions == f"{ROOT}_split.ms.flagversions"
    assert Resources.model_validate_json(found.model_dump_json()) == found


def test_members_may_begin_with_a_dot(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "r.tar", "w") as tar:
        add_member(tar, ".", b"", type=tarfile.DIRTYPE)
        for table in TABLES:
            add_table(tar, f"./{table}")
    found = look(tmp_path / "r.tar")
    assert found.complaints() == []
    extract(tmp_path / "r.tar", tmp_path / "out", found)
    assert (tmp_path / "out" / found.tier1_mask / "table.dat").is_file()


@pytest.mark.parametrize("missing", NEEDED)
def test_one_missing_resource_is_named_by_its_pattern(tmp_path: Path, missing: str) -> None:
    found = look(make_archive(tmp_path / "r.tgz", [name for name in TABLES if name != missing]))
    pattern = list(patterns(ROOT, CONTINUUM).values())[NEEDED.index(missing)]
    assert len(found.complaints()) == 1
    assert [item.ok for item in found.table].count(False) == 1
    with pytest.raises(DataError) as caught:
        found.require()
    assert pattern in str(caught.value)
    with pytest.raises(DataError):
        extract(tmp_path / "r.tgz", tmp_path / "out", found)
    assert not (tmp_path / "out").exists()


def test_all_missing_resources_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        look(make_archive(tmp_path / "r.tgz", [TABLES[2]])).require()
    assert all(pattern in str(caught.value) for pattern in patterns(ROOT, CONTINUUM).values())


def test_a_file_of_the_right_name_is_no_table(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "r.tgz", "w:gz") as tar:
        for table in TABLES[1:]:
            add_table(tar, table)
        add_member(tar, TABLES[0])
    assert [item.ok for item in look(tmp_path / "r.tgz").table] == [False, True, True, True, True, True]


def test_two_that_fit_are_an_error_that_names_both(tmp_path: Path) -> None:
    other = TABLES[0].replace("s4_0", "s6_0")
    with pytest.raises(DataError) as caught:
        look(make_archive(tmp_path / "r.tgz", [*TABLES, other])).require()
    assert TABLES[0] in str(caught.value)
    assert other in str(caught.value)


def test_models_of_two_stages_are_an_error(tmp_path: Path) -> None:
    names = [name.replace("s5_0", "s6_0") if name.endswith("iter1.model.tt1") else name for name in TABLES]
    with pytest.raises(DataError, match="two stages"):
        look(make_archive(tmp_path / "r.tgz", names)).require()


def test_only_what_is_needed_is_unpacked(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "r.tgz")
    out = tmp_path / "out"
    for _ in range(2):  # a second time takes the place of the first
        extract(archive, out, look(archive))
        tops = {name.split("/")[0] for name in NEEDED}
        assert {path.name for path in out.iterdir()} == tops
        for name in NEEDED:
            assert (out / name / "table.dat").read_bytes().endswith(name.encode())
            assert (out / name / "KEYWORDS/table.dat").read_text() == "subtable"
    assert (out / f"{ROOT}_split.ms.flagversions/FLAG_VERSION_LIST").is_file()


def test_flagversions_that_are_there_are_left_alone(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "r.tgz")
    mine = tmp_path / "out" / NEEDED[-1]
    mine.mkdir(parents=True)
    (mine / "table.dat").write_text("mine")
    extract(archive, tmp_path / "out", look(archive))
    assert (mine / "table.dat").read_text() == "mine"
    assert [path.name for path in mine.parent.iterdir()] == [mine.name]
    assert (tmp_path / "out" / NEEDED[0]).is_dir()


def test_flagversions_without_the_version_are_an_error(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "r.tgz")
    (tmp_path / "out" / f"{ROOT}_split.ms.flagversions").mkdir(parents=True)
    with pytest.raises(DataError, match=r"has no flags\.statwt_1"):
        extract(archive, tmp_path / "out", look(archive))


INSIDE = f"{TABLES[0]}/table.f9"
HOSTILE: dict[str, Callable[[tarfile.TarFile], None]] = {
    "leads out of its folder": lambda tar: add_member(tar, f"{TABLES[0]}/../../escaped"),
    "has an absolute path": lambda tar: add_member(tar, "/tmp/ccip_batch_escaped"),
    "is a link": lambda tar: add_member(tar, INSIDE, b"", type=tarfile.SYMTYPE, linkname="/etc"),
    "is a link ": lambda tar: add_member(tar, INSIDE, b"", type=tarfile.LNKTYPE, linkname="../../escaped"),
    "is neither file nor folder": lambda tar: add_member(tar, INSIDE, b"", type=tarfile.CHRTYPE),
    "is neither file nor folder ": lambda tar: add_member(tar, INSIDE, b"", type=tarfile.FIFOTYPE),
    "has a name that no table has": lambda tar: add_member(tar, f"{TABLES[0]}/table\n.dat"),
}


@pytest.mark.parametrize("says", HOSTILE)
def test_a_hostile_member_is_refused_and_nothing_is_unpacked(tmp_path: Path, says: str) -> None:
    whole = look(make_archive(tmp_path / "whole.tgz"))
    archive = tmp_path / "r.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for table in TABLES:
            add_table(tar, table)
        HOSTILE[says](tar)
    for action in (lambda: look(archive), lambda: extract(archive, tmp_path / "out" / "in", whole)):
        with pytest.raises(DataError) as caught:
            action()
        assert f"{archive}: member " in str(caught.value)
        assert says.strip() in str(caught.value)
    assert list((tmp_path / "out" / "in").iterdir()) == []
    assert sorted(path.name for path in tmp_path.rglob("*escaped*")) == []


def test_a_member_that_is_there_twice(tmp_path: Path) -> None:
    archive = tmp_path / "r.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for table in (*TABLES, TABLES[0]):
            add_table(tar, table)
    with pytest.raises(DataError, match=f"{archive}: member .*appears twice. Make the archive again"):
        look(archive)


@pytest.mark.parametrize(("first", "second"), [("x", "x/y"), ("x/y", "x"), ("./x", "x")])
def test_members_that_do_not_go_together(tmp_path: Path, first: str, second: str) -> None:
    with tarfile.open(tmp_path / "r.tgz", "w:gz") as tar:
        add_member(tar, first)
        add_member(tar, second)
    with pytest.raises(DataError, match=r"appears twice|is both a file and a folder"):
        look(tmp_path / "r.tgz")


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, gzip.compress, bytes], ids=lambda pack: pack.__module__)
@pytest.mark.parametrize("around", ["", "./", "resources/", "./a/b/"])
def test_other_compressions_and_a_folder_around_all(
    tmp_path: Path, pack: Callable[[bytes], bytes], around: str
) -> None:
    plain = tmp_path / "r.tar"
    with tarfile.open(plain, "w") as tar:
        add_member(tar, f"{around}README")
        for table in TABLES:
            add_table(tar, around + table)
    archive = tmp_path / "r.tgz"
    archive.write_bytes(pack(plain.read_bytes()))
    extract(archive, tmp_path / "out", look(archive))
    for name in NEEDED:
        assert (tmp_path / "out" / name / "table.dat").read_bytes().endswith((around + name).encode())
    archive.write_bytes(archive.read_bytes()[: -archive.stat().st_size // 2])
    with pytest.raises(DataError, match=f"{archive} is .*Fetch it again"):
        look(archive)


def test_hard_links_have_the_content_of_the_earlier_member(tmp_path: Path) -> None:
    archive = tmp_path / "r.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        add_member(tar, "a/other/table.f0", b"the same")
        for table in TABLES:
            add_table(tar, f"a/{table}")
        for name, link in (("table.f1", "a/other/table.f0"), ("table.f2", f"a/{TABLES[0]}/table.f1")):
            add_member(tar, f"a/{TABLES[0]}/{name}", b"", type=tarfile.LNKTYPE, linkname=link)
    extract(archive, tmp_path / "out", look(archive))
    for name in ("table.f1", "table.f2"):
        path = tmp_path / "out" / TABLES[0] / name
        assert path.read_bytes() == b"the same" and path.stat().st_nlink == 1
    with pytest.raises(DataError, match="unpacks to more than"):
        inspect(archive, ROOT, CONTINUUM, max_bytes=sum(map(len, TABLES)) + 9 * len("subtable") + 3 * 8 - 1)


def test_many_hard_links_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "r.tgz", "w:gz") as tar:
        add_member(tar, "x")
        for number in range(201):
            add_member(tar, f"y{number}", b"", type=tarfile.LNKTYPE, linkname="x")
    with pytest.raises(DataError, match=r"more than 200 hard links\. .*--hard-dereference"):
        look(tmp_path / "r.tgz")


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"\x28\xb5\x2f\xfd", "is compressed with Zstandard"),
        (b"<!DOCTYPE html>", "is a web page or the like: the download went wrong. Fetch it again"),
        (b"7z\xbc\xaf\x27\x1c", "is a 7z archive"),
    ],
)
def test_what_is_no_tarball_is_called_what_it_is(tmp_path: Path, start: bytes, says: str) -> None:
    job = make_job(tmp_path)
    (tmp_path / "reimaging_resources.tgz").write_bytes(start and start + bytes(600))
    done = check(job)
    assert [problem.kind for problem in done.problems] == [DataError]
    assert says in str(done.problems[0]) and str(tmp_path / "reimaging_resources.tgz") in str(done.problems[0])


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_archive(tmp_path / "r.tgz")
    disk = small_disk(tmp_path / "disk", kilobytes=16)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disk"))
    with disk, pytest.raises(OSError) as caught:
        look(tmp_path / "r.tgz")
    assert says_disk_is_full(caught.value)


def test_a_measurement_set_in_a_tarball(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    with tarfile.open(tmp_path / "x.ms.tgz", "w:gz") as tar:
        add_member(tar, "x.ms/table.dat")
    (problem,) = check(job, [f"inputs.vis={tmp_path / 'x.ms.tgz'}"]).problems
    assert "x.ms.tgz is an archive, not a folder" in str(problem) and "tar xf" in str(problem)


def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    whole = make_archive(tmp_path / "whole.tgz")
    plain = tmp_path / "whole.tar"
    plain.write_bytes(gzip.decompress(whole.read_bytes()))
    cut = tmp_path / "cut"
    chance = random.Random(1)
    used = plain.read_bytes().rstrip(b"\0")
    for source, most in ((whole, whole.stat().st_size - 1), (plain, len(used) // 512 * 512)):
        look(source).require()
        for length in [0, 1, 2, 511, 512, most, *(chance.randrange(most) for _ in range(40))]:
            cut.write_bytes(source.read_bytes()[:length])
            with pytest.raises(DataError, match=str(cut)):
                look(cut)


def test_a_damaged_archive_is_refused_or_read_right(tmp_path: Path) -> None:
    """Whatever bit is changed, gzip's checksum finds it, unless it is a bit that carries nothing."""
    whole = make_archive(tmp_path / "whole.tgz").read_bytes()
    content_of_whole = gzip.decompress(whole)
    refused = 0
    bad = tmp_path / "bad.tgz"
    chance = random.Random(2)
    for _ in range(60):
        content = bytearray(whole)
        content[chance.randrange(10, len(content))] ^= 1 << chance.randrange(8)
        bad.write_bytes(content)
        try:
            look(bad).require()
        except DataError as error:
            assert str(bad) in str(error)
            refused += 1
        else:
            assert gzip.decompress(content) == content_of_whole
    assert refused > 50


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    plain = bytearray(gzip.decompress(make_archive(tmp_path / "whole.tgz").read_bytes()))
    last = plain.rindex(b"FLAG_VERSION_LIST")  # no resource is behind it: only the damage can be complained of
    plain[last] ^= 1
    bad = tmp_path / "bad.tgz"
    bad.write_bytes(gzip.compress(plain))
    with pytest.raises(DataError, match="truncated or damaged"):
        look(bad)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b", gzip.compress(b"hello" * 500, mtime=0), b"x" * 20_000])
def test_what_is_no_tarball(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.tgz").write_bytes(content)
    with pytest.raises(DataError, match=r"r\.tgz"):
        look(tmp_path / "r.tgz")


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.tgz", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            look(path)


def test_bombs(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "r.tgz")
    whole = look(archive)
    with pytest.raises(DataError, match="unpacks to more than 100 bytes, at member"):
        look(archive, max_bytes=100)
    with pytest.raises(DataError, match="has more than 5 members, at"):
        look(archive, max_members=5)
    with pytest.raises(DataError, match="unpacks to more than 100 bytes"):
        extract(archive, tmp_path / "out", whole, max_bytes=100)

    claims = tarfile.TarInfo(TABLES[0] + "/table.f0")
    claims.size = 10**15
    archive.write_bytes(gzip.compress(claims.tobuf()))
    with pytest.raises(DataError, match="unpacks to more than"):
        look(archive)

    header = tarfile.TarInfo("header")
    header.type = tarfile.XHDTYPE
    header.size = 10**10
    archive.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT)))
    with pytest.raises(DataError, match="a header claims"):
        look(archive)

    trailing = io.BytesIO()
    with tarfile.open(fileobj=trailing, mode="w") as tar:
        add_table(tar, TABLES[0])
    archive.write_bytes(gzip.compress(trailing.getvalue() + bytes(5_000_000)))
    with pytest.raises(DataError, match="unpacks to more than"):
        look(archive, max_bytes=1000)
