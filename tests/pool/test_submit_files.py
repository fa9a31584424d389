"""The job ads that condor_submit makes of a planned run's submit descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch
from running_pool import RunningPool

classad2 = pytest.importorskip("classad2")
pytestmark = [pytest.mark.pool, pytest.mark.both]

SITE = """\
description: Here
htcondor: {version}
data: transfer
memory_limit: 8 GB
disk_limit: 40 GB
job_durations: {{Medium: 20h, Long: 40h}}
accounting: {{project: My_Project}}
urls: {{{data}: "osdf:///ospool/data"}}
checkpoint_destination: osdf:///ospool/data/checkpoints
"""
UNUSED = {"checkpoints_to"}
"""What site.sub gives to some of the descriptions only."""


@pytest.fixture(scope="module")
def dag(pool: RunningPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A planned run that the pool's user can read."""
    folder = tmp_path_factory.mktemp("plan")
    data = pool.make("data", {})
    (folder / "here.yaml").write_text(SITE.format(version=pool.version, data=data))
    job = make_job(folder / "job", "imaging: {spw: ['2', '3,4']}\nexecution: {engine: htcondor, site: here}\n")
    done = ccip_batch("plan", job, "--run-dir", folder / "run", CCIP_SITES=str(folder))
    assert done.returncode == 0, done.stderr
    readable = pool.make("submit-files", {"made": ""})
    pool.run("rm", "-r", str(readable))
    (folder / "run" / "dag").rename(readable)
    return readable


def submitted(pool: RunningPool, dag: Path, node: str) -> tuple[Any, set[str]]:
    """The ad of a node's job, and the lines of its description that were of no use."""
    found = re.search(rf"^VARS {node} (.*)$", (dag / "ccip.dag").read_text(), re.MULTILINE)
    assert found is not None
    variables = re.findall(r'(\w+)="([^"]*)"', found[1])
    words = [f"{name}={value}" for name, value in variables]
    name = f"{node.partition('_')[0]}.sub"
    said = pool.run("sh", "-c", 'condor_submit -dry-run - "$@" 2>&1', "sh", *words, name, cwd=dag)
    ad = classad2.ClassAd()
    for line in said.splitlines():
        if re.match(r"\w+=", line):
            attribute, _, value = line.partition("=")
            ad[attribute] = classad2.ExprTree(value)
    return ad, set(re.findall(r"the line '(\S+) = .*' was unused", said))


@pytest.mark.parametrize("node", ["restore", "image_spw02", "analyze", "export_spw02", "publish"])
def test_every_line_is_understood(pool: RunningPool, dag: Path, node: str) -> None:
    ad, unused = submitted(pool, dag, node)
    assert unused <= UNUSED
    assert ad.eval("JobDurationCategory") == "Medium" and ad.eval("ProjectName") == "My_Project"
    assert f"/transfer/{node}.in.none.tar" in ad.eval("TransferInput")
    assert re.fullmatch(rf"{node}.out.tar = osdf:///.*/transfer/{node}.out.none.tar", ad.eval("TransferOutputRemaps"))
    assert ("CheckpointDestination" in ad) is (node == "image_spw02")
    assert "RequestDisk" in str(ad.lookup("Requirements"))


def test_more_memory_after_a_hold(pool: RunningPool, dag: Path) -> None:
    """The expression gets into the ad as it is, and nothing of HTCondor's own way of asking for more."""
    ad, _ = submitted(pool, dag, "image_spw02")
    asked = ad.eval("RequestMemory")
    ad["NumHoldsByReason"] = {"JobOutOfResources": 1}
    assert ad.eval("RequestMemory") == 2 * asked
    ad["NumHoldsByReason"] = {"JobOutOfResources": 9}
    assert ad.eval("RequestMemory") == 8 * 10**9 // 2**20
    assert not {"TransformOnEvict", "MaxRequestMemory"} & set(ad)
