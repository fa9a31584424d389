"""The personal pool itself: small DAGs in both data modes, submitted by command and by the bindings."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from running_pool import SCRIPT, RunningPool, call

from ccip_batch.engines.htcondor.event_log import JobState, read_nodes

pytest.importorskip("htcondor2")
pytestmark = pytest.mark.pool

SUBMIT = """\
executable = /bin/sh
arguments = node.sh $(JOB) $(needs)
transfer_executable = false
log = jobs.log
output = $(JOB).out
error = $(JOB).err
request_cpus = 1
request_memory = 64M
request_disk = 10M
{data}
queue
"""
SHARED = "should_transfer_files = NO"
TRANSFER = """\
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
transfer_input_files = node.sh,$(inputs)
transfer_output_files = $(JOB).txt"""
# A node's result is its name and the results of its parents.
NODE = 'name=$1\nshift\n{ echo "$name"; [ $# -eq 0 ] || cat "$@"; } > "$name.txt"\npwd\n'
PARENTS = {"restore": [], "image_spw02": ["restore"], "image_spw03": ["restore"]}
PARENTS["analyze"] = ["image_spw02", "image_spw03"]


def small_dag() -> str:
    lines = []
    for node, parents in PARENTS.items():
        files = [f"{parent}.txt" for parent in parents]
        lines.append(f"JOB {node} node.sub")
        lines.append(f'VARS {node} needs="{" ".join(files)}" inputs="{",".join(files)}"')
        lines += [f"PARENT {' '.join(parents)} CHILD {node}"] if parents else []
    return "\n".join(lines) + "\n"


@pytest.mark.both
def test_htcondor_is_that_of_the_suite(pool: RunningPool) -> None:
    """Daemons and commands are of one version; that of sid is newer than 25."""
    daemons = pool.run("condor_status", "-any", "-af", "CondorVersion").splitlines()
    versions = {line.split()[1] for line in daemons if line.startswith("$CondorVersion")}
    assert versions == {pool.version}
    assert os.environ.get("CCIP_POOL_SUITE") != "sid" or int(pool.version.partition(".")[0]) >= 25


@pytest.mark.parametrize("data", [SHARED, TRANSFER], ids=["shared", "transfer"])
def test_dag(pool: RunningPool, data: str) -> None:
    """Four nodes, each of which needs what its parents made."""
    folder = pool.make("dag", {"ccip.dag": small_dag(), "node.sub": SUBMIT.format(data=data), "node.sh": NODE})
    pool.submit(folder)
    assert pool.finish(folder) == 0
    names = ["restore", "image_spw02", "image_spw03"]
    assert (folder / "analyze.txt").read_text().split() == ["analyze", names[1], names[0], names[2], names[0]]

    rows = {row.node: row for row in read_nodes(folder / "jobs.log", folder / "ccip.dag.nodes.log")}
    assert {node: row.state for node, row in rows.items()} == dict.fromkeys(PARENTS, JobState.DONE)
    for node, row in rows.items():
        ran_in = Path((folder / f"{node}.out").read_text().strip())
        if data is SHARED:
            assert ran_in == folder
            assert row.bytes_sent == 0
        else:
            assert ran_in.is_relative_to(pool.folder / "execute")
            assert row.bytes_sent == sum((folder / f"{node}{end}").stat().st_size for end in (".txt", ".out", ".err"))
    assert (folder / "analyze.txt").stat().st_uid == pool.work.stat().st_uid
    pool.wait_until_nothing_is_left(folder)


@pytest.mark.both
def test_memory_hold_and_removal(pool: RunningPool) -> None:
    """A node over its memory is held by the pool's policy; nothing is left when its DAG is removed."""
    hog = "exec /usr/bin/python3 -c 'import time; a = bytearray(200_000_000); time.sleep(600)'\n"
    submit = SUBMIT.format(data=SHARED + "\nperiodic_remove = JobStatus == 5 && HoldReasonCode == 21").replace(
        "64M", "32M"
    )
    dag = 'JOB image_spw02 node.sub\nVARS image_spw02 needs=""\n'
    folder = pool.make("memory", {"ccip.dag": dag, "node.sub": submit, "node.sh": hog})
    pool.submit(folder)
    assert pool.finish(folder) != 0
    (row,) = read_nodes(folder / "jobs.log")
    assert (row.state, row.hold) == (JobState.REMOVED, None)
    assert row.memory_used is not None and row.memory_used > 150
    assert "Code 21 Subcode 102" in (folder / "jobs.log").read_text()
    pool.wait_until_nothing_is_left(folder)


def test_bindings_submit(pool: RunningPool) -> None:
    """The pinned bindings submit a DAG with FS authentication, from the jobs' Python, as the pool's user."""
    folder = pool.make("bindings", {"ccip.dag": small_dag(), "node.sub": SUBMIT.format(data=SHARED), "node.sh": NODE})
    code = 'import htcondor2 as h; print(h.Schedd().submit(h.Submit.from_dag("ccip.dag")).cluster())'
    environment = ["env", "-u", "_CONDOR_SEC_TOKEN_DIRECTORY", "_CONDOR_SEC_TOKEN_DIRECTORY=/nowhere"]
    assert int(pool.run(*environment, str(pool.job_python), "-c", code, cwd=folder)) > 0
    assert pool.finish(folder) == 0
    pool.wait_until_nothing_is_left(folder)


def test_casa_in_a_job(pool: RunningPool) -> None:
    """A job imports CASA in the jobs' Python as the package does, and measures an epoch with CASA's data."""
    code = """\
from pathlib import Path
from ccip_batch.casa.session import Casa
casa = Casa(Path("casa.log"))
with casa.tool("measures") as me:
    print(me.observatory("VLA")["type"])
"""
    submit = SUBMIT.format(
        data='should_transfer_files = YES\ntransfer_input_files = node.py\nenvironment = "HOME=/nowhere"'
    )
    submit = submit.replace("/bin/sh", str(pool.job_python)).replace("node.sh $(JOB) $(needs)", "node.py")
    submit = submit.replace("64M", "512M")
    folder = pool.make("casa", {"ccip.dag": "JOB casa node.sub\n", "node.sub": submit, "node.py": code})
    pool.submit(folder)
    assert pool.finish(folder) == 0, (folder / "casa.err").read_text()
    assert (folder / "casa.out").read_text().split() == ["position"]


def test_listens_on_this_machine_only(pool: RunningPool) -> None:
    """Every address that the daemons advertise is 127.0.0.1, and no socket of theirs listens elsewhere."""
    addresses = set(pool.run("condor_status", "-any", "-af", "MyAddress").split()) - {"undefined"}
    assert addresses
    for address in addresses:
        assert address.startswith("<127.0.0.1:") and "addrs=127.0.0.1-" in address
        port = int(address.partition(":")[2].partition("?")[0])
        listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if " 0A " in line]
        local = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), 'little'):08X}:{port:04X}"
        assert local in listening
        assert f"00000000:{port:04X}" not in listening


@pytest.mark.alone
def test_up_again_and_other_settings(pool: RunningPool) -> None:
    before = call("run", "--", "condor_status", "-master", "-af", "DaemonStartTime").stdout
    call("up", "--memory-policy")
    assert call("run", "--", "condor_status", "-master", "-af", "DaemonStartTime").stdout == before
    other = call("up", "--memory-policy", "--cpus", "1", check=False)
    assert other.returncode != 0 and "other settings" in other.stderr
    assert "runs as user" in call("status").stdout


@pytest.mark.alone
def test_down_leaves_nothing(pool: RunningPool) -> None:
    """With a job running, and one that ignores being told to end. Then the pool is started again for other tests."""
    script = "setsid sleep 600 &\n[ $1 = image_spw02 ] && trap '' TERM INT QUIT HUP\nwhile :; do sleep 1; done\n"
    submit = SUBMIT.format(data=SHARED)
    dag = "".join(f'JOB {node} node.sub\nVARS {node} needs=""\n' for node in ("image_spw02", "image_spw03"))
    folder = pool.make("down", {"ccip.dag": dag, "node.sub": submit, "node.sh": script})
    pool.submit(folder)
    pool.wait_until(lambda: (folder / "jobs.log").read_text().count("\n001 ") == 2, "both jobs to start")
    call("down")
    mark = str(folder).encode(), str(pool.folder / "condor_config").encode()
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                cwd = str((entry / "cwd").readlink()).encode()
            except OSError:
                continue
            if any(text in told or text in cwd for text in mark):
                left.append(entry.name)
    assert left == []
    again = call("down")
    assert "nothing is running" in again.stdout
    assert call("status", check=False).returncode == 3
    call("up", "--memory-policy")
    pool.run("condor_rm", "-all")
    pool.run("condor_rm", "-all", "-forcex")  # the schedd would try for long to find the job that was killed
    pool.wait_until_nothing_is_left(folder)


def test_folder_below_a_closed_home_is_refused() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root runs the pool as another user")
    if Path("/root").stat().st_mode & 0o001:
        pytest.skip("/root is open here")
    closed = Path("~root").expanduser() / "pool"
    done = subprocess.run([SCRIPT, "--folder", str(closed), "up"], text=True, capture_output=True)
    assert done.returncode != 0 and "--folder" in done.stderr
    assert not closed.exists()


def test_folder_of_somebody_else_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root runs the pool as another user")
    folder = Path("/var/tmp") / f"ccip-pool-test-{os.getpid()}"
    folder.mkdir()
    try:
        done = subprocess.run([SCRIPT, "--folder", str(folder), "up"], text=True, capture_output=True)
        assert done.returncode != 0 and "not a folder of ccip" in done.stderr
        assert list(folder.iterdir()) == []
    finally:
        folder.rmdir()
