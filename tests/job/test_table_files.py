"""Copies that were interrupted: every file of a simulated PIMS and of SE-CONT's images missing, empty, or cut short."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.simulated_runs import ccip_batch, changed, make_simulation

from ccip_batch.job.config import load_job
from ccip_batch.job.table_files import REQUIRED, incomplete

HARM: dict[str, Callable[[Path], object]] = {
    "is missing": lambda file: file.unlink(),
    "is empty": lambda file: file.write_bytes(b""),
    "is cut short": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
}


@pytest.fixture(scope="module")
def job() -> Path:
    return make_simulation("small")


def linked(source: Path, target: Path) -> Path:
    """A table of links to the files of another one."""
    shutil.copytree(source, target, copy_function=lambda file, link: Path(link).symlink_to(file))
    return target


def test_each_file_of_a_measurement_set(job: Path, tmp_path: Path) -> None:
    vis = load_job(job).inputs.vis
    assert incomplete(vis, REQUIRED) == []
    names = [str(path.relative_to(vis)) for path in sorted(vis.rglob("table.*"))]
    assert {"table.f2_TSM2", "POINTING/table.f0i", "SOURCE/table.dat", "table.f0", "HISTORY/table.f0"} < set(names)
    copy = linked(vis, tmp_path / "a.ms")
    for name in names:
        if not name.endswith((".info", ".lock")):
            for how, harm in HARM.items():
                (copy / name).unlink()
                shutil.copyfile(vis / name, copy / name)
                harm(copy / name)
                found = incomplete(copy, REQUIRED)
                assert len(found) == 1 and found[0].startswith(f"{name} {how}"), (name, how, found)
                (copy / name).unlink(missing_ok=True)
                (copy / name).symlink_to(vis / name)


@pytest.mark.parametrize("name", ["POINTING", "FEED", "HISTORY", "SOURCE"])
def test_a_subtable_that_is_missing_is_told_before_anything_runs(job: Path, name: str, tmp_path: Path) -> None:
    vis = load_job(job).inputs.vis
    shutil.rmtree(linked(vis, tmp_path / vis.name) / name)
    config = changed(job, tmp_path, inputs__vis=str(tmp_path / vis.name))
    for verb in ("validate", "run"):
        done = ccip_batch(verb, config, "--run-dir", tmp_path / "run")
        assert done.returncode == 11, done.stderr
        assert f"{vis.name} is incomplete: {name}/table.dat is missing. Fetch it again." in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("ending", "length", "words"),
    [
        ("iter1.model.tt0/table.f0_TSM0", 1000, "table.f0_TSM0 is cut short: it has 1000 bytes of"),
        ("QLcatmask-tier1.mask/logtable/table.f0", 0, "logtable/table.f0 is empty"),
        ("combined-tier2.mask/table.f0", None, "table.f0 is missing"),
        ("flags.statwt_1/table.f1", 100, "table.f1 is cut short: it has 100 bytes of"),
    ],
)
def test_a_file_in_the_archive(job: Path, ending: str, length: int | None, words: str, tmp_path: Path) -> None:
    archive = tmp_path / "reimaging_resources.tgz"
    with tarfile.open(load_job(job).inputs.reimaging_resources) as source, tarfile.open(archive, "w:gz") as target:
        for member in source:
            content = source.extractfile(member)
            data = content.read() if content is not None else b""
            if member.name.endswith(ending):
                if length is None:
                    continue
                data, member.size = data[:length], length
            target.addfile(member, io.BytesIO(data))
    done = ccip_batch("validate", changed(job, tmp_path, inputs__reimaging_resources=str(archive)))
    assert done.returncode == 11 and f"{words}" in done.stderr and "fetch the archive again" in done.stderr, done.stderr
