"""A simulated job with real CASA whose large files go by http:// URLs, through HTCondor's curl plugin."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from helpers.file_server import FileServer, serve
from pool_jobs import TRANSFER_SITE, PoolJobs, make_reference
from running_pool import RunningPool

pytest.importorskip("htcondor2")
pytestmark = [pytest.mark.pool, pytest.mark.both]

NODE = "image_spw10"


@pytest.fixture(scope="module")
def jobs(pool: RunningPool) -> PoolJobs:
    return PoolJobs(pool, make_reference(pool), pool.work)


@pytest.fixture
def server(pool: RunningPool) -> Iterator[FileServer]:
    with serve(pool.folder.parent) as server:  # which also has the inputs, if another pool of the tests made them
        yield server


def test_a_whole_job(jobs: PoolJobs, server: FileServer) -> None:
    """Tars, checkpoints and the archive go by URL, no name twice; a plane that is put off its machine goes on."""
    data = jobs.pool.make("data", {})
    inputs = jobs.reference.job.parent
    served, inputs_served = (str(path.relative_to(server.folder)) for path in (data, inputs))
    site = TRANSFER_SITE.format(version=jobs.pool.version)
    site += f"urls:\n  {data}: {server.url(served)}\n  {inputs}: {server.url(inputs_served)}\n"
    site += f"checkpoint_destination: {server.url(served)}/checkpoints\n"
    jobs = replace(jobs, sites=jobs.pool.make("sites", {"urls.yaml": site}))
    run = jobs.plan(f"urls-{uuid.uuid4().hex[:8]}", "urls", False)
    jobs.ccip("submit", run.folder.path)
    jobs.pool.wait_until(lambda: jobs.row(run, NODE).checkpoints >= 1, "a checkpoint")
    jobs.pool.run("condor_vacate_job", jobs.row(run, NODE).job)
    assert jobs.finish(run) == 0
    jobs.assert_same_products(run)
    row = jobs.row(run, NODE)
    assert row.attempts >= 2
    assert (row.bytes_received or 0) > jobs.result(run, "restore").stage("splitgroups")["bytes"]["10"]

    given, got = ([path.rpartition("/")[2] for path in server.paths(method)] for method in ("PUT", "GET"))
    tars = [name for name in given if ".out." in name and name.endswith(".tar") and name.count(".") == 3]
    assert len(tars) == len(set(tars)) == len(run.graph.nodes)
    assert {name.partition(".")[0] for name in got if ".in." in name} == {node.name for node in run.graph.nodes}
    assert run.job.inputs.reimaging_resources.name in got
    assert any(path.startswith(f"{served}/checkpoints/") for path in server.paths("PUT"))
    # nothing of it came to the run folder, and nothing is left
    assert not (run.folder.dag / "transfer").exists()
    assert all(path.resolve().is_relative_to(data) for path in run.folder.products.iterdir())
    assert not list(data.rglob("*.tar"))
