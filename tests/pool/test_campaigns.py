"""Campaigns in the pool: bounds seen from the queue, retries, and DAGMan and the schedd killed on the way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from astropy.io import fits
from pool_jobs import SHARED_SITE, PoolJobs, make_reference
from running_pool import RunningPool

from ccip_batch.campaign.journal import Entry, Journal

pytest.importorskip("htcondor2")
pytestmark = [pytest.mark.pool, pytest.mark.alone]

SQUARES, NODES = 2, 6
"""The bounds."""


@dataclass
class PoolCampaign:
    """A campaign in the pool, and what was seen of it in the queue."""

    jobs: PoolJobs
    folder: Path
    most_squares: int = 0
    most_nodes: int = 0
    looks: list[dict[str, Any]] = field(default_factory=list)

    def ccip(self, *words: str) -> str:
        return self.jobs.ccip("campaign", words[0], self.folder, *words[1:])

    def entries(self) -> dict[str, Entry]:
        return Journal(self.folder / "dag" / "squares.jsonl").read()

    def look(self) -> dict[str, Any]:
        """What `status` says now; what is in the queue is counted too."""
        with contextlib.suppress(AssertionError):  # the schedd is starting
            queue = self.jobs.pool.run("condor_q", "-allusers", "-af", "JobUniverse", "Iwd").splitlines()
            inside = [line.split(maxsplit=1)[0] for line in queue if f"{self.folder}/squares/" in line]
            self.most_squares = max(self.most_squares, inside.count("7"))
            self.most_nodes = max(self.most_nodes, len(inside) - inside.count("7"))
        status: dict[str, Any] = json.loads(self.ccip("status", "--json"))
        self.looks.append(status)
        return status

    def wait(self, seen: str, number: int) -> None:
        """Wait until so many squares are in a state."""
        self.jobs.pool.wait_until(lambda: self.look()["squares"][seen] >= number, f"{number} squares {seen}")

    def finish(self) -> dict[str, Any]:
        """Wait until nothing works on it any more."""
        self.jobs.pool.wait_until(lambda: not self.look()["alive"], "the end of the campaign")
        return self.look()

    def kill_outer(self) -> None:
        """Kill DAGMan of the outer DAG; the schedd starts it again."""
        before = set(self._outer())
        assert before
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        self.jobs.pool.wait_until(lambda: bool(set(self._outer()) - before), "DAGMan to come back")

    def _outer(self) -> Iterator[int]:
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and b"-Dag\0campaign.dag\0" in (entry / "cmdline").read_bytes():
                    yield int(entry.name)


@pytest.fixture(scope="module")
def jobs(pool: RunningPool) -> PoolJobs:
    site = SHARED_SITE.format(version=pool.version)
    sites = {"shared.yaml": site, "tiny.yaml": f"{site}memory_limit: 100 MB\n"}
    return PoolJobs(pool, make_reference(pool), pool.make("sites", sites))


def make(jobs: PoolJobs, names: list[str], copied: bool) -> PoolCampaign:
    """A campaign of squares like the reference. copied: done already but for the end of each."""
    config = yaml.safe_load(jobs.reference.job.read_text())
    given = {key: str(jobs.reference.job.parent / value) for key, value in config["inputs"].items()}
    config["inputs"] = {**given, "ccip_parameter_list": "lists/{name}.list"}
    config["execution"] = {"engine": "htcondor", "site": "shared"}
    bounds = {"squares": SQUARES, "nodes": NODES}
    text = yaml.safe_dump({"table": "campaign.csv", "job": config, "products": "out/{name}", "bounds": bounds})
    table = "name,execution.site\n" + "".join(f"{name},{'tiny' if name == 'tiny' else ''}\n" for name in names)
    folder = jobs.pool.make(f"campaign-{uuid.uuid4().hex[:6]}", {"campaign.yaml": text, "campaign.csv": table})
    jobs.pool.run("mkdir", "-p", "lists", "squares", cwd=folder)
    for name in names:
        if not name.startswith("bad"):
            jobs.pool.run("cp", given["ccip_parameter_list"], f"lists/{name}.list", cwd=folder)
        if copied and not name.startswith("bad"):
            place = folder / "squares" / name[:4] / name
            jobs.pool.run("mkdir", "-p", str(place.parent))
            jobs.pool.run("cp", "-a", str(jobs.reference.run), str(place))
            for gone in ("nodes/publish", "nodes/export_spw17", "products"):
                jobs.pool.run("rm", "-r", str(place / gone))
    return PoolCampaign(jobs, folder)


def pixels(folder: Path) -> dict[str, bytes]:
    return {path.name: fits.getdata(path).tobytes() for path in folder.glob("*.fits")}


@pytest.mark.parametrize("number", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_a_campaign_to_its_end(jobs: PoolJobs, number: int) -> None:
    """Bad rows and a square without memory do not stop the others; kills lose nothing; bounds are kept."""
    names = [f"s{index}" for index in range(number)]
    campaign = make(jobs, ["s0", "bad1", "tiny", *names[1:], "bad2"], copied=number == 3)
    campaign.ccip("plan")
    campaign.ccip("submit")
    campaign.wait("at work", 1)
    campaign.kill_outer()
    campaign.wait("done", 1)
    jobs.pool.run("condor_restart", "-schedd", "-fast")
    time.sleep(5)
    found = campaign.finish()
    assert found["squares"] == {
        "all": number + 3,
        "waiting": 0,
        "at work": 0,
        "stopped": 0,
        "done": number,
        "failed": 3,
    }
    assert found["failed_by_cause"] == {"config": 2, "memory": 1}
    assert found["planes"]["kept"] == 3 * number
    assert campaign.most_squares <= SQUARES and campaign.most_nodes <= NODES
    assert all(look["squares"]["at work"] <= SQUARES for look in campaign.looks)
    theirs = pixels(jobs.reference.run / "products")
    assert len(theirs) == 19
    for name in names:
        assert pixels(campaign.folder / "out" / name) == theirs
        assert not (campaign.folder / "squares" / name / name / "nodes").exists()

    said = campaign.ccip("explain")
    assert "memory: 1 squares" in said and "memory_limit" in said and "bad1 (row 2" in said
    jobs.edit(jobs.sites / "tiny.yaml", "^memory_limit: 100 MB\n", "")
    assert "Submitted 1 squares" in campaign.ccip("retry", "--cause", "memory")
    found = campaign.finish()
    assert (found["squares"]["done"], found["squares"]["failed"]) == (number + 1, 2)
    assert pixels(campaign.folder / "out" / "tiny") == theirs


def test_cancelled_and_resumed(jobs: PoolJobs) -> None:
    """Cancelled with squares at work: nothing is left in the queue, and all goes on from there."""
    campaign = make(jobs, ["s0", "s1", "s2"], copied=True)
    campaign.ccip("plan")
    campaign.ccip("submit")
    campaign.ccip("throttle", "1")
    campaign.wait("at work", 1)
    campaign.ccip("cancel")
    jobs.pool.wait_until_nothing_is_left(campaign.folder / "dag")
    jobs.pool.wait_until(lambda: not campaign.look()["alive"], "the end of DAGMan")
    counts = campaign.look()["squares"]
    assert counts["stopped"] == 1 and counts["waiting"] == 2
    campaign.ccip("hold")
    campaign.ccip("resume")
    time.sleep(5)
    assert campaign.look()["squares"]["at work"] <= 1 and campaign.look()["held"]
    campaign.ccip("release")
    found = campaign.finish()
    assert found["squares"]["done"] == 3
