"""The image in HTCondor's container universe, on a personal pool of its own: a whole DAG with four image nodes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pool"))

from running_pool import SCRIPT, RunningPool, call

from ccip_batch.engines.htcondor.state import pool_rows
from ccip_batch.nodes.apptainer import digest
from ccip_batch.run.run import Run

pytestmark = [pytest.mark.container, pytest.mark.slow]

SITE = """\
description: The pool of these tests, with file transfer and the image
htcondor: 23.9.6
data: transfer
retries: 1
submit:
  # The machine sees the image where it is.
  transfer_container: "false"
"""


@pytest.fixture(scope="module")
def pool(apptainer: str) -> Iterator[RunningPool]:
    """A pool that knows Apptainer, beside that of tests/pool."""
    sys.path.insert(0, str(SCRIPT.parent))
    from place import default_folder

    settings = {"CCIP_POOL": str(default_folder("pool-image")), "CCIP_POOL_APPTAINER": apptainer}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        call("down")  # one that a killed session left
        call("job-python")
        call("up")
        try:
            code = "import json, os; print(json.dumps([os.environ[k] for k in ('CCIP_POOL_WORK', 'CCIP_JOB_PYTHON')]))"
            work, python = map(Path, json.loads(call("run", "--", "/usr/bin/python3", "-c", code).stdout))
            yield RunningPool(Path(settings["CCIP_POOL"]), work, python / "bin" / "python")
        finally:
            call("down")
    finally:
        for name, text in before.items():
            if text is None:
                del os.environ[name]
            else:
                os.environ[name] = text


def test_a_dag_in_the_container_universe(pool: RunningPool, image: Path, small_job: Path, finished: Path) -> None:
    """All nodes run in the image."""
    owner = pool.work.stat()
    place = pool.work / "image"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(small_job.parent, place / "job", ignore=shutil.ignore_patterns("run*"))
    shutil.copyfile(image, place / image.name)
    (place / "sites").mkdir()
    (place / "sites" / "image.yaml").write_text(SITE)
    for path in [place, *place.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)

    def ccip(*words: str | Path) -> str:
        ours = (str(pool.job_python), "-m", "ccip_batch", *map(str, words))
        return pool.run("env", f"CCIP_SITES={place / 'sites'}", "COLUMNS=200", *ours)

    sets = ("engine=htcondor", "site=image", f"container={place / image.name}", "keep=all")
    options = [word for text in sets for word in ("--set", f"execution.{text}")]
    ccip("plan", place / "job" / "job.yaml", "--run-dir", place / "run", *options)
    run = Run.read(place / "run")
    assert f"container_image = {place / image.name}" in (run.folder.dag / "machines.sub").read_text()
    ccip("submit", run.folder.path)
    assert pool.finish(run.folder.dag) == 0, ccip("explain", run.folder.path)
    pool.wait_until_nothing_is_left(run.folder.dag)

    images = [node.name for node in run.graph.nodes if node.kind == "image"]
    assert len(images) >= 4
    for name in ("restore", *images, "analyze", "publish"):
        result = json.loads(run.node(run.graph[name]).result.read_text())
        assert result["versions"]["image"] == digest(image)
        assert result["versions"]["python"].startswith("3.13.")
        assert pool_rows(run)[name].submissions == 1
    worst = 0.0
    names = sorted(path.name for path in run.folder.products.glob("*.fits"))
    assert names == sorted(path.name for path in (finished / "products").glob("*.fits"))
    for name in names:
        ours, theirs = fits.getdata(run.folder.products / name), fits.getdata(finished / "products" / name)
        worst = max(worst, float(np.nanmax(np.abs(ours - theirs)) / np.nanmax(np.abs(theirs))))
    assert worst < 1e-4
