"""Products are put where they go: within a disk and to another one, and whatever was cut off before."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.finished_runs import write_result

from ccip_batch.campaign.products import archive_products
from ccip_batch.errors import DataError
from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.run import Run
from ccip_batch.verbs.verify import verify


@pytest.fixture(params=["here", "elsewhere"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on the run's disk, and one on another disk."""
    if request.param == "here":
        yield tmp_path / "out" / "a"
        return
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk")
    folder = other / f"ccip-test-{uuid.uuid4().hex}"
    yield folder / "a"
    shutil.rmtree(folder, ignore_errors=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def archive(run: Path, target: Path) -> None:
    archive_products(Run.read(run), target)


def test_products_are_there_whole_and_the_run_keeps_them(copy: Path, target: Path) -> None:
    before = names(copy / "products")
    archive(copy, target)
    assert names(target) == before and not verify(target).wrong
    assert names(copy / "products") == before and not (copy / "products").is_symlink()
    archive(copy, target)  # nothing is left to do
    assert names(target) == before


def test_what_was_cut_off_goes_on(copy: Path, target: Path) -> None:
    before = names(copy / "products")
    target.mkdir(parents=True)
    for name in before[:5]:
        shutil.copy2(copy / "products" / name, target / name)
    (target / f".{before[5]}.part").write_text("half")
    archive(copy, target)
    assert names(target) == before and not verify(target).wrong


def test_files_of_others_are_not_replaced(copy: Path, target: Path) -> None:
    name = names(copy / "products")[0]
    target.mkdir(parents=True)
    for make in (lambda path: path.write_text("of somebody else"), lambda path: path.symlink_to(copy / "job.yaml")):
        (target / name).unlink(missing_ok=True)
        make(target / name)
        before = (target / name).read_bytes(), (copy / "job.yaml").read_bytes()
        for _ in range(2):
            with pytest.raises(DataError, match="is another file"):
                archive(copy, target)
        assert ((target / name).read_bytes(), (copy / "job.yaml").read_bytes()) == before
    assert not verify(copy).wrong


def test_only_its_own_earlier_products_are_replaced(copy: Path, target: Path) -> None:
    run = Run.read(copy)
    archive(copy, target)
    result = run.result("publish")
    assert result is not None
    first, second = (file.name for file in result.files[:2])
    for name in (first, second):
        path = copy / "products" / name
        path.unlink()  # it may be a second name of a file of a plane
        path.write_text("made again")
    files = [ProductFile.of(copy / "products" / file.name) for file in result.files]
    run.node("publish").result.unlink()
    write_result(run, "publish", files)
    (target / second).unlink()
    (target / second).write_text("of somebody else")
    with pytest.raises(DataError, match=f"{re.escape(second)} is there and is another file"):
        archive(copy, target)
    assert (target / first).read_text() == "made again" and (target / second).read_text() == "of somebody else"


def test_a_product_that_is_nowhere_is_missed(copy: Path, target: Path) -> None:
    name = names(copy / "products")[0]
    (copy / "products" / name).unlink()
    with pytest.raises(DataError, match="is gone"):
        archive(copy, target)


def test_what_somebody_put_among_the_products_is_not_lost(copy: Path, target: Path) -> None:
    (copy / "products" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"no products: notes\.txt"):
        archive(copy, target)
    assert not target.exists()
