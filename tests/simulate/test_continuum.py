"""What SE-CONT left, as it is packed. What is in the tables is held against the simulated sky in test_write.py."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ccip_batch.simulate import continuum
from ccip_batch.simulate.continuum import SE_NAME, UVTAPER, mosaic_beam, pack
from ccip_batch.simulate.observation import mosaic
from ccip_batch.simulate.presets import resolve


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


def test_the_beam_of_a_large_mosaic_is_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    preset = resolve("case")
    exact = mosaic_beam(preset, mosaic(preset))
    assert exact.shape == (512, 512) and exact.max() == 1.0
    monkeypatch.setattr(continuum, "BEAM_PIXELS", 128)
    coarse = mosaic_beam(preset, mosaic(preset))
    assert 0 < np.abs(coarse - exact).max() < 0.005  # nodes are 24 arcsec apart, five times those of 6250 pixels


def test_the_simulated_job_names_the_taper_and_the_image(small_job: Path) -> None:
    text = (small_job.parent / "SEIP_parameter.list").read_text()
    assert f"imagename={SE_NAME!r}" in text and UVTAPER["d"] in text
    with tarfile.open(small_job.parent / "reimaging_resources.tgz") as tar:
        names = {member.name.split("/")[0] for member in tar}
    assert f"s4_0.{SE_NAME}.QLcatmask-tier1.mask" in names and len(names) == 9
