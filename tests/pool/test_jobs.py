"""A simulated job with real CASA in the real pool, in both data modes and with faults."""

from __future__ import annotations

import json
import re
import time

import pytest
from pool_jobs import SHARED_SITE, TRANSFER_SITE, PoolJobs, fill, make_reference, small_disk
from running_pool import RunningPool

from ccip_batch.engines.htcondor.event_log import JobState

pytest.importorskip("htcondor2")
pytestmark = pytest.mark.pool

NODE = "image_spw10"
SAVE_OFTEN = "execution.checkpoint_interval=1"


@pytest.fixture(scope="module")
def jobs(pool: RunningPool) -> PoolJobs:
    texts = {"shared.yaml": SHARED_SITE, "transfer.yaml": TRANSFER_SITE}
    sites = pool.make("sites", {name: text.format(version=pool.version) for name, text in texts.items()})
    return PoolJobs(pool, make_reference(pool), sites)


def test_shared_file_system(jobs: PoolJobs) -> None:
    run = jobs.plan("shared", "shared", False)
    jobs.ccip("submit", run.folder.path)
    assert jobs.finish(run) == 0
    jobs.assert_same_products(run)
    rows = {row.split()[0]: row for row in jobs.ccip("status", run.folder.path).splitlines() if " done " in row}
    assert set(rows) == {node.name for node in run.graph.nodes}
    assert jobs.row(run, NODE).bytes_sent == 0
    assert "Nothing failed" in jobs.ccip("explain", run.folder.path)


def test_file_transfer_with_checkpoints(jobs: PoolJobs) -> None:
    """Same bits; a plane's node gets its own visibilities alone, and `analyze` no images."""
    run = jobs.plan("transfer", "transfer", False)
    jobs.ccip("submit", run.folder.path)
    assert jobs.finish(run) == 0
    jobs.assert_same_products(run)
    sizes = jobs.result(run, "restore").stage("splitgroups")["bytes"]
    everything = sum(sizes.values())
    row = jobs.row(run, NODE)
    assert row.checkpoints >= 3  # one an iteration, but for the last
    assert row.bytes_received is not None and sizes["10"] < row.bytes_received < everything
    analyze = jobs.row(run, "analyze").bytes_received
    assert analyze is not None and analyze < min(sizes.values())
    assert not any((run.folder.dag / "transfer").iterdir())
    publish = jobs.row(run, "publish")
    images = list(run.folder.products.glob("*.spw*.fits"))
    assert publish.bytes_sent is not None and publish.bytes_sent < sum(path.stat().st_size for path in images)
    for path in images:
        assert path.stat().st_nlink == 2, "it did not travel, but was linked"
    page = (run.folder.report / "index.html").read_text()
    assert "Done: 3 of 4 planes kept" in page and "pictures/" in page


def test_killed_by_signal(jobs: PoolJobs) -> None:
    """The node dies with its supervisor; DAGMan tries again."""
    run = jobs.plan("killed", "shared", True)
    jobs.open_again(run, NODE)
    jobs.ccip("submit", run.folder.path)
    jobs.kill(run, NODE, "ccip_batch node")
    jobs.pool.wait_until(lambda: "SIGKILL" in jobs.ccip("explain", run.folder.path, NODE), "explain to name the signal")
    assert jobs.finish(run) == 0
    assert jobs.row(run, NODE).submissions == 2
    jobs.assert_same_products(run)


@pytest.mark.both
def test_memory_hold_asks_for_more(jobs: PoolJobs) -> None:
    """Held by the pool's policy, released by ours with twice the memory, until it is enough."""
    run = jobs.plan("memory", "transfer", True)
    jobs.open_again(run, NODE)
    jobs.edit(run.folder.dag / "ccip.dag", f'^(VARS {NODE} .*memory=)"\\d+"', r'\1"64"')  # CASA alone takes some 200 MB
    jobs.ccip("submit", run.folder.path)
    assert jobs.finish(run) == 0
    log = (run.folder.dag / "jobs.log").read_text()
    assert log.count("Job was held") >= 2 and "Code 21 Subcode 102" in log
    row = jobs.row(run, NODE)
    assert row.submissions == 1 and row.attempts >= 3
    assert row.memory_asked is not None and row.memory_asked >= 256
    jobs.assert_same_products(run)


@pytest.mark.both
@pytest.mark.slow
def test_memory_hold_for_good(jobs: PoolJobs) -> None:
    """No machine has enough: removed with a reason, not tried again, and the other planes go on."""
    run = jobs.plan("too_small", "shared", True)
    jobs.open_again(run, NODE)
    jobs.edit(run.folder.dag / "ccip.dag", f'^(VARS {NODE} .*memory=)"\\d+"', r'\1"16"')
    jobs.edit(run.folder.dag / "ccip.dag", rf"^RETRY {NODE} 2", f"RETRY {NODE} 1")
    jobs.edit(run.folder.dag / "ccip.dag", rf"^(RETRY {NODE} .*)", rf'\1\nVARS {NODE} APPEND memory_limit="16"')
    jobs.ccip("submit", run.folder.path)
    assert jobs.finish(run) != 0
    assert jobs.row(run, NODE).state is JobState.REMOVED
    assert "more memory than it had asked for" in jobs.ccip("explain", run.folder.path, NODE)
    assert jobs.result(run, "publish").stage("publish")["failed"] == ["10"]

    jobs.edit(run.folder.dag / "ccip.dag", r'memory_limit="16"', 'memory_limit="4000"')
    jobs.ccip("retry", run.folder.path, NODE)
    assert jobs.finish(run) == 0
    jobs.assert_same_products(run)


def test_no_machine_takes_it(jobs: PoolJobs) -> None:
    """It asks for more than any machine has: that is told while it waits, the limit ends it, and the others go on."""
    run = jobs.plan("idle", "shared", True)
    jobs.open_again(run, NODE)
    jobs.edit(run.folder.dag / "ccip.dag", f'^(VARS {NODE} .*memory=)"\\d+"', r'\1"90000000"')
    jobs.edit(run.folder.dag / "ccip.dag", rf"^(RETRY {NODE} .*)", rf'\1\nVARS {NODE} APPEND idle_limit="30"')
    jobs.ccip("submit", run.folder.path)
    jobs.pool.wait_until(lambda: jobs.row(run, NODE).state is JobState.IDLE, "the node to be idle")
    said, in_full = jobs.ccip("explain", run.folder.path), jobs.ccip("explain", run.folder.path, NODE)
    state = next(row for row in json.loads(jobs.ccip("status", run.folder.path, "--json")) if row["node"] == NODE)
    assert said.startswith(f"{NODE} has been idle for 0:") and "0 of the pool's 1 slots could run it" in said
    assert "the condition `TARGET.Memory >= RequestMemory` excludes 1 of them" in in_full
    assert "it asks for 1 core, 94371.84 GB of memory" in in_full
    assert state["state"] == "idle" and 0 <= state["idle_s"] < 60
    assert state["memory_asked_bytes"] == 90_000_000 * 2**20

    assert jobs.finish(run) != 0
    row = jobs.row(run, NODE)
    assert row.state is JobState.REMOVED and row.submissions == 1
    assert "no machine of the pool took it in " in jobs.ccip("explain", run.folder.path, NODE)
    assert jobs.result(run, "publish").stage("publish")["failed"] == ["10"]


@pytest.mark.both
def test_missing_output_file(jobs: PoolJobs) -> None:
    """A node that leaves no tar is held by HTCondor, released by our policy after a while, and does its work again."""
    wrapper = f"""#!/bin/sh
"{jobs.pool.job_python}" "$@"
code=$?
flag={jobs.pool.work}/missing.flag
if [ -e "$flag" ]; then rm -f "$flag" *.out.tar; fi
exit $code
"""
    folder = jobs.pool.make("wrapper", {"python": wrapper})
    jobs.pool.run("chmod", "755", str(folder / "python"))
    jobs.pool.run("touch", str(jobs.pool.work / "missing.flag"))
    run = jobs.plan("missing", "transfer", True)
    jobs.open_again(run, "export_spw10")
    jobs.edit(run.folder.dag / "site.sub", r"^python  .*", f"python = {folder / 'python'}")
    jobs.edit(run.folder.dag / "site.sub", r"^release_after .*", "release_after = 20")  # time to look at it
    jobs.ccip("submit", run.folder.path)
    jobs.pool.wait_until(lambda: "Code 12 Subcode 2" in (run.folder.dag / "jobs.log").read_text(), "the hold")
    said = jobs.ccip("explain", run.folder.path, "export_spw10")
    assert jobs.finish(run) == 0
    row = jobs.row(run, "export_spw10")
    assert (row.submissions, row.attempts) == (1, 2)
    assert "output files could not be transferred back" in said
    jobs.assert_same_products(run)


@pytest.mark.both
@pytest.mark.slow
def test_held_by_its_user(jobs: PoolJobs) -> None:
    """We leave it to the user to release it."""
    run = jobs.plan("held", "transfer", True)
    jobs.open_again(run, NODE)
    jobs.ccip("submit", run.folder.path)
    jobs.pool.wait_until(lambda: jobs.row(run, NODE).checkpoints >= 1, "a checkpoint")
    job = jobs.row(run, NODE).job
    jobs.pool.run("condor_hold", job)
    jobs.pool.wait_until(lambda: jobs.row(run, NODE).state is JobState.HELD, "the hold")
    time.sleep(12)  # several evaluations of the policies, and more than release_after
    assert jobs.row(run, NODE).state is JobState.HELD
    assert "held by its user" in jobs.ccip("explain", run.folder.path)
    assert " held " in jobs.ccip("status", run.folder.path)
    jobs.pool.run("condor_release", job)
    assert jobs.finish(run) == 0
    assert jobs.row(run, NODE).submissions == 1
    jobs.assert_same_products(run)


@pytest.mark.both
@pytest.mark.parametrize("when", ["between iterations", pytest.param("during one", marks=pytest.mark.slow)])
def test_evicted_with_checkpoint(jobs: PoolJobs, when: str) -> None:
    """It goes on from the last save: no iteration is repeated, and the bits are the same."""
    options = (SAVE_OFTEN,) if when == "during one" else ()
    run = jobs.plan(when.replace(" ", "_"), "transfer", True, *options)
    jobs.open_again(run, NODE)
    jobs.ccip("submit", run.folder.path)
    jobs.pool.wait_until(lambda: jobs.row(run, NODE).checkpoints >= 2, "two checkpoints")
    jobs.pool.run("condor_vacate_job", jobs.row(run, NODE).job)
    jobs.pool.wait_until(lambda: jobs.row(run, NODE).evictions == 1, "the eviction")
    assert jobs.finish(run) == 0
    assert (jobs.row(run, NODE).submissions, jobs.row(run, NODE).attempts) == (1, 2)
    script = (run.node(run.graph[NODE]).casa_commands).read_text()
    names = re.findall(r"tclean\(.*?imagename=('[^']+')", script, re.DOTALL)
    assert sum(".iter0" in name for name in names) == 1
    if not options:
        assert len(names) == len(set(names)) == 4
    jobs.assert_same_products(run)


def test_plane_with_bad_data(jobs: PoolJobs) -> None:
    """The other planes go on, the DAG fails all the same; with good data `resume` makes up for it."""
    run = jobs.plan("bad", "transfer", True)
    table = run.folder.path / "nodes" / "restore" / "out" / "spw10.ms" / "table.dat"
    good = table.read_bytes()
    jobs.open_again(run, NODE)
    table.write_bytes(bytes([good[0] ^ 1]) + good[1:])  # of the same size: only its reader notices
    jobs.ccip("submit", run.folder.path)
    assert jobs.finish(run) != 0
    said = jobs.ccip("explain", run.folder.path)
    assert said.startswith(f"{NODE} failed") and "spw10.ms is damaged" in said
    assert jobs.result(run, "analyze").summary.endswith("1 failed (spw 10)")
    assert len(list(run.folder.products.glob("*.fits"))) == 13
    table.write_bytes(good)
    jobs.ccip("resume", run.folder.path)
    assert jobs.finish(run) == 0
    jobs.assert_same_products(run)


def test_removed_and_resumed(jobs: PoolJobs) -> None:
    run = jobs.plan("removed", "shared", True)
    jobs.open_again(run, NODE, "image_spw17")
    jobs.ccip("submit", run.folder.path)
    jobs.pool.wait_until(lambda: jobs.row(run, NODE).state is JobState.RUNNING, "the node to run")
    jobs.ccip("cancel", run.folder.path)
    assert jobs.finish(run) != 0
    again = jobs.ccip("resume", run.folder.path)
    assert NODE in again and "restore" not in again
    assert jobs.finish(run) == 0
    jobs.assert_same_products(run)
    assert "All nodes are done" in jobs.ccip("resume", run.folder.path)


@pytest.mark.slow
@pytest.mark.alone
def test_execute_directory_that_fills(jobs: PoolJobs) -> None:
    """The node says that the disk is full; when there is room again, a new try makes the same plane."""
    run = jobs.plan("full", "transfer", True)
    jobs.open_again(run, NODE)
    with small_disk(jobs.pool.folder / "execute") as ballast:
        jobs.ccip("submit", run.folder.path)
        jobs.pool.wait_until(lambda: jobs.row(run, NODE).checkpoints >= 1, "a checkpoint")
        fill(ballast)
        jobs.pool.wait_until(lambda: "disk" in jobs.ccip("explain", run.folder.path, NODE), "explain to name the disk")
        ballast.unlink()
        assert jobs.finish(run) == 0
    jobs.assert_same_products(run)


@pytest.mark.alone
def test_schedd_restarted(jobs: PoolJobs) -> None:
    """The access point restarts in the middle of a run, which goes on to its end."""
    run = jobs.plan("restarted", "shared", True)
    jobs.open_again(run, NODE)
    jobs.ccip("submit", run.folder.path)
    jobs.pool.wait_until(lambda: jobs.row(run, NODE).state is JobState.RUNNING, "the node to run")
    jobs.pool.run("condor_restart", "-schedd", "-fast")
    assert jobs.finish(run) == 0
    jobs.assert_same_products(run)


@pytest.mark.alone
def test_schedd_restarted_at_the_end(jobs: PoolJobs) -> None:
    """The access point restarts while the report of a run is written: it is written again, and the DAG ends."""
    run = jobs.plan("ending", "shared", True)
    slow = '[ "$1" != final ] || { echo it begins >> final.txt; sleep 10; }\n'
    jobs.edit(run.folder.dag / "ccip-dag.sh", "^exec ", f"{slow}exec ")
    jobs.ccip("submit", run.folder.path)
    note = run.folder.dag / "final.txt"
    jobs.pool.wait_until(note.exists, "the end of the run to begin")
    jobs.pool.run("condor_restart", "-schedd", "-fast")
    assert jobs.finish(run) == 0
    assert note.read_text() == "it begins\n" * 2
    jobs.assert_same_products(run)


@pytest.mark.alone
def test_dagman_killed_when_all_is_done(jobs: PoolJobs) -> None:
    """DAGMan is killed when its log says that FINAL is done: the one that follows ends, too."""
    run = jobs.plan("ended", "shared", True)
    jobs.ccip("submit", run.folder.path)
    log = run.folder.dag / "ccip.dag.nodes.log"
    jobs.pool.wait_until(lambda: "DAG Node: final" in log.read_text(), "FINAL to be done")
    jobs.kill_dagman(run)
    assert jobs.finish(run) == 0
    jobs.assert_same_products(run)
    ends = (run.folder.dag / "ccip.dag.dagman.out").read_text()
    assert ends.count("STARTING UP") == 2
