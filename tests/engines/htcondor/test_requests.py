"""What nodes ask of a pool."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.input_files import make_job

from ccip_batch.engines.htcondor.requests import request
from ccip_batch.engines.htcondor.sites import Site, load_site
from ccip_batch.errors import ResourceError
from ccip_batch.job.config import ResolvedJob, load_job
from ccip_batch.job.data_size import DataSize
from ccip_batch.job.resolve import resolve
from ccip_batch.workflow.estimates import memory_bytes, pixels, seconds
from ccip_batch.workflow.graph import build_graph


@pytest.fixture
def job(tmp_path: Path) -> ResolvedJob:
    return resolve(load_job(make_job(tmp_path, "imaging: {spw: ['2', '3,4']}\n"), []))


def test_more_than_the_estimate_but_not_much(job: ResolvedJob) -> None:
    site = load_site("local")
    for node in build_graph(job.groups).nodes:
        asked = request(job, site, node)
        assert 1.3 <= asked.memory_mb * 2**20 / memory_bytes(job, node, asked.cpus) < 1.8, node.name
        assert asked.memory_mb % 128 == 0 and asked.seconds >= max(3600, 5 * seconds(job, node)), node.name


def test_on_a_shared_file_system_a_node_asks_for_little_disk(job: ResolvedJob) -> None:
    node = build_graph(job.groups)["image_spw02"]
    site = load_site("local")
    there = {
        data: request(job, site.model_copy(update={"data": data}), node).disk_mb for data in ("shared", "transfer")
    }
    assert there["shared"] < 700 < there["transfer"]


def test_publish_has_room_for_the_v_images_twice_and_their_mean(job: ResolvedJob) -> None:
    """They come in a tar; all other files of the planes stay where they are."""
    site = load_site("local").model_copy(update={"data": "transfer"})
    asked = request(job, site, build_graph(job.groups)["publish"]).disk_mb * 2**20
    image = 4 * pixels(job)
    assert (2 * len(job.groups) + 2) * image < asked < 1.5e9 + 2 * (2 * len(job.groups) + 2) * image


def test_cores_are_the_sites_and_only_restore_has_more_than_one(job: ResolvedJob) -> None:
    graph, site = build_graph(job.groups), load_site("local").model_copy(update={"most_cores": 3})
    assert request(job, site, graph["restore"]).cpus == 3
    assert {request(job, site, node).cpus for node in graph.nodes[1:]} == {1}
    assert request(job, load_site("local"), graph["restore"]).cpus == 1


def test_a_node_larger_than_every_machine(job: ResolvedJob) -> None:
    node = build_graph(job.groups)["image_spw02"]
    site = load_site("local").model_copy(update={"memory_limit": 500 * 2**20})
    with pytest.raises(
        ResourceError, match=r"image_spw02 would ask for .* GB of memory, more than the site's machines"
    ):
        request(job, site, node)


def with_values(name: str, **values: object) -> Site:
    """A site of the package with other values."""
    return Site.model_validate({**load_site(name).model_dump(exclude_none=True), **values})


@pytest.fixture
def real(tmp_path: Path) -> ResolvedJob:
    """A plane of the survey's size, and its amount of data."""
    job = resolve(load_job(make_job(tmp_path, "imaging: {spw: ['2'], imsize: 12500, cell: 0.6arcsec}\n"), []))
    data = DataSize(bytes=11_000_000_000, rows=316_000, channels=64, spws=16)
    return job.model_copy(update={"data": data})


def test_exports_ask_for_the_cutout_alone(real: ResolvedJob) -> None:
    """At the survey's size it is a quarter of the pixels: one degree and two arcmin of 12500 pixels of 0.6 arcsec."""
    node, site = build_graph(real.groups)["export_spw02"], load_site("ospool")
    assert real.cutout_size() == (6200, 6200)
    asked = request(real, site, node)
    assert asked.memory_mb < 1.3 * (350e6 + 120 * 6200**2) / 2**20 + 129
    assert asked.disk_mb < 1.3 * (0.5e9 + 6 * 60 * 6200**2) / 2**20 + 1


def test_margins_are_the_sites(real: ResolvedJob) -> None:
    node = build_graph(real.groups)["image_spw02"]
    one, two = (
        request(real, with_values("ospool", margins={"memory": n, "disk": n, "time": n}), node) for n in (1.0, 2.0)
    )
    assert two.memory_mb == pytest.approx(2 * one.memory_mb, abs=129)
    assert two.disk_mb == pytest.approx(2 * one.disk_mb, abs=2)
    assert two.seconds == pytest.approx(2 * seconds(real, node), abs=1)


def test_disk_has_a_limit_too(real: ResolvedJob) -> None:
    node = build_graph(real.groups)["image_spw02"]
    with pytest.raises(ResourceError, match=r"image_spw02 would ask for \d+.\d GB of disk, .* \(disk_limit: 20.0 GB"):
        request(real, with_values("ospool", disk_limit="20 GB"), node)


def test_the_category_of_a_node_is_the_first_that_it_fits_into(real: ResolvedJob) -> None:
    node = build_graph(real.groups)["image_spw02"]
    hours = seconds(real, node) / 3600
    found = [
        request(real, with_values("ospool", margins={"time": limit / hours}), node).category for limit in (19, 21, 41)
    ]
    assert found == ["Medium", "Long", "Long"]
    assert request(real, load_site("local"), node).category is None
