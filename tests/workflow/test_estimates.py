"""How many cores `restore` takes, and the memory of its processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.input_files import SEIP_LIST, make_job

from ccip_batch.job.config import ResolvedJob, load_job
from ccip_batch.job.data_size import DataSize
from ccip_batch.job.resolve import resolve
from ccip_batch.workflow.estimates import (
    checkpoint_bytes,
    cores,
    disk_bytes,
    memory_bytes,
    output_bytes,
    plane_disk_bytes,
    restore_disk_bytes,
    restored_disk_bytes,
    seconds,
)
from ccip_batch.workflow.graph import build_graph


def job_of(folder: Path, pixels: int = 512) -> ResolvedJob:
    seip = SEIP_LIST.replace("imsize=[512, 512]", f"imsize=[{pixels}, {pixels}]")
    return resolve(load_job(make_job(folder, "imaging: {spw: ['2', '3,4', '17']}\n", seip=seip), []))


@pytest.mark.parametrize(("at_most", "expected"), [(1, 1), (4, 4), (100, 15)])
def test_a_core_for_each_group_and_each_spw_in_none(at_most: int, expected: int, tmp_path: Path) -> None:
    job = job_of(tmp_path)
    graph = build_graph(job.groups)
    assert cores(job, graph["restore"], at_most) == expected
    assert cores(job, graph["image_spw02"], at_most) == 1


def test_no_more_cores_than_there_is_memory_for(tmp_path: Path) -> None:
    job = job_of(tmp_path, 12500)
    restore = build_graph(job.groups)["restore"]
    needed = [memory_bytes(job, restore, number) for number in range(1, 5)]
    assert needed == sorted(needed) and needed[3] > needed[1]
    for number in (2, 3, 4):
        assert cores(job, restore, 4, needed[number - 1]) == number
    assert cores(job, restore, 4, needed[3] - 1) == 3
    assert cores(job, restore, 4, 0) == 1


def test_small_images_of_many_data_need_memory_for_the_data(tmp_path: Path) -> None:
    few, many = (DataSize(bytes=1_800_000_000, spws=18, rows=rows, channels=64) for rows in (10_000, 316_000))
    small, large = (job_of(tmp_path / str(pixels), pixels) for pixels in (512, 12500))
    needed = {}
    for name, job in (("small", small), ("large", large)):
        for data in (few, many):
            job = job.model_copy(update={"data": data})
            needed[name, data.rows] = memory_bytes(job, build_graph(job.groups)["restore"], 4)
    of_a_spw = 316_000 * 64 * 64  # DATA and MODEL_DATA
    assert needed["small", 316_000] > needed["small", 10_000] + 4 * of_a_spw
    assert needed["large", 316_000] < 1.1 * needed["large", 10_000]  # the images take more, and are gone by then


def test_a_plane_with_self_checks_takes_longer(tmp_path: Path) -> None:
    without = job_of(tmp_path)
    execution = without.execution.model_copy(update={"casa_self_checks": True})
    with_checks = without.model_copy(update={"execution": execution})
    node = build_graph(without.groups)["image_spw02"]
    assert seconds(with_checks, node) > 2 * seconds(without, node)
    assert memory_bytes(with_checks, node) == memory_bytes(without, node)


def test_a_plane_whose_lattices_are_in_files_takes_less_memory(tmp_path: Path) -> None:
    path = make_job(tmp_path, "")
    needed = {}
    for pixels in (3000, 3002):
        job = resolve(load_job(path, [f"imaging.imsize={pixels}"]))
        needed[pixels] = memory_bytes(job, build_graph(job.groups)["image_spw02"])
    assert needed[3002] < 0.9 * needed[3000] < 4e9


def test_disk_of_restore_grows_by_the_groups_at_work(tmp_path: Path) -> None:
    size = DataSize(bytes=1_800_000_000, spws=18, rows=10_000, channels=64)
    job = job_of(tmp_path).model_copy(update={"data": size})
    largest = 2 * 2 * 100_000_000  # two spws of 18, and restored ones are twice as large
    assert restored_disk_bytes(job, job.groups[1:2]) == largest
    for number in (1, 2, 3):
        assert restore_disk_bytes(job, number + 1) - restore_disk_bytes(job, number) == 2 * largest
    assert disk_bytes(job, 1) < disk_bytes(job, 3) == disk_bytes(job, 4)  # there are three groups


def test_a_checkpoint_is_a_small_part_of_what_a_plane_gives_back(tmp_path: Path) -> None:
    """At the survey's size: 13 GB when a checkpoint had the images."""
    path = make_job(tmp_path, "")
    job = resolve(load_job(path, ["imaging.imsize=12500", "imaging.cell=0.6arcsec"]))
    assert 5e6 < checkpoint_bytes(job) < 2e7
    plane = next(node for node in build_graph(job.groups).nodes if node.kind == "image")
    assert output_bytes(job, plane) == 48 * 6200**2 + 6_000_000
    in_degrees = resolve(load_job(path, ["imaging.imsize=12500", f"imaging.cell='{0.6 / 3600:.12f}deg'"]))
    assert in_degrees.cutout_size() == job.cutout_size() == (6200, 6200)


def test_disk_of_a_plane_is_that_of_its_images_and_cutouts(tmp_path: Path) -> None:
    path = make_job(tmp_path, "")
    cells = ("7.2arcsec", "14.4arcsec")  # the cutout is 516 pixels, 258 pixels
    whole, half = (
        plane_disk_bytes(resolve(load_job(path, ["imaging.imsize=512", f"imaging.cell={c}"]))) for c in cells
    )
    assert whole == 350 * 512**2
    assert half == 140 * 512**2 + 210 * 258**2


def test_what_a_plane_gave_back_is_within_the_estimate(finished: Path) -> None:
    job = ResolvedJob.from_yaml((finished / "job.resolved.yaml").read_text())
    out = finished / "nodes" / "image_spw17" / "out"
    made = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    plane = next(node for node in build_graph(job.groups).nodes if node.name == "image_spw17")
    assert 0.3 < made / output_bytes(job, plane) < 1
