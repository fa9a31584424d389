"""What SE-CONT left, as it is packed. What is in the tables is held against the simulated sky in test_write.py."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from ccip_batch.simulate.continuum import SE_NAME, UVTAPER, pack


def tables(folder: Path) -> list[str]:
    for name, modes in (("b.mask", 0o600), ("a.model.tt0", 0o444)):
        (folder / name / "logtable").mkdir(parents=True)
        for file in ("table.dat", "logtable/table.f0"):
            (folder / name / file).write_bytes(name.encode() * 100)
            (folder / name / file).chmod(modes)
    return ["b.mask", "a.model.tt0"]


def test_an_archive_tells_nothing_of_who_packed_it_and_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        names = tables(folder)
        for path in folder.rglob("*"):
            os.utime(path, (1e9 + number, 1e9 + number))
        pack(names, Path("packed.tgz"))
        with tarfile.open("packed.tgz") as tar:
            archives.append([(m.name, m.mode, m.uid, m.gid, m.uname, m.mtime, m.size) for m in tar])
    assert archives[0] == archives[1]
    assert [member[0] for member in archives[0]][:4] == [
        "b.mask", "b.mask/logtable", "b.mask/logtable/table.f0", "b.mask/table.dat"
    ]  # fmt: skip
    assert {member[1:6] for member in archives[0]} == {(0o755, 0, 0, "", 0), (0o644, 0, 0, "", 0)}


def test_the_simulated_job_names_the_taper_and_the_image(small_job: Path) -> None:
    text = (small_job.parent / "SEIP_parameter.list").read_text()
    assert f"imagename={SE_NAME!r}" in text and UVTAPER in text
    with tarfile.open(small_job.parent / "reimaging_resources.tgz") as tar:
        names = {member.name.split("/")[0] for member in tar}
    assert f"s4_0.{SE_NAME}.QLcatmask-tier1.mask" in names and len(names) == 9
