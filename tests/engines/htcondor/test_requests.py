"""What nodes ask of a pool."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.input_files import make_job

from ccip_batch.engines.htcondor.requests import request
from ccip_batch.engines.htcondor.sites import load_site
from ccip_batch.errors import ResourceError
from ccip_batch.job.config import ResolvedJob, load_job
from ccip_batch.job.resolve import resolve
from ccip_batch.workflow.estimates import memory_bytes, seconds
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


def test_cores_are_the_sites_and_only_restore_has_more_than_one(job: ResolvedJob) -> None:
    graph, site = build_graph(job.groups), load_site("local").model_copy(update={"most_cores": 3})
    assert request(job, site, graph["restore"]).cpus == 3
    assert {request(job, site, node).cpus for node in graph.nodes[1:]} == {1}
    assert request(job, load_site("local"), graph["restore"]).cpus == 1


def test_a_node_larger_than_every_machine(job: ResolvedJob) -> None:
    node = build_graph(job.groups)["image_spw02"]
    site = load_site("local").model_copy(update={"memory_limit": 500 * 2**20})
    with pytest.raises(ResourceError, match=r"image_spw02 needs some .* GB of memory, more than the site's machines"):
        request(job, site, node)
