"""The pool's configuration; start, state and stop of its daemons."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from debian import provide_condor
from place import HERE, Pool, PoolError, say

START_SECONDS = 90
STOP_SECONDS = 20
FITTING_SLOT = "DynamicSlot =!= true || TARGET.RequestMemory =?= undefined || Memory < TARGET.RequestMemory + 128"
"""Which job a slot takes so that none gets all the memory that the one before it had asked for: a slot has at most
128 MB more than its job asks for."""
CHECKPOINT_URLS = "http://127.0.0.1"
"""Beginning of the URLs from which the pool deletes checkpoints: a server on this machine."""


def configuration(pool: Pool, release: Path, options: argparse.Namespace, port: int) -> str:
    """The text of condor_config."""
    candidates = (release / "libexec" / "condor", release / "lib" / "condor" / "libexec")
    libexec = next((path for path in candidates if path.is_dir()), None)
    if libexec is None:
        raise PoolError(f"HTCondor in {release} has no libexec folder; its installation is incomplete.")
    lines = [
        f"CCIP_FOLDER = {pool.folder}",
        f"CCIP_USER = {pool.user.pw_name}",
        f"CCIP_PORT = {port}",
        f"CCIP_CPUS = {options.cpus or os.cpu_count()}",
        f"CCIP_MEMORY = {options.memory or '$(DETECTED_MEMORY)'}",
        f"CCIP_START = {FITTING_SLOT if options.memory_policy else 'true'}",
        f"RELEASE_DIR = {release}",
        f"LIBEXEC = {libexec}",
        "",
        (HERE / "pool.conf").read_text(),
    ]
    if options.memory_policy:
        lines += [
            "# Without cgroups only this policy holds jobs that use more memory than they asked for.",
            "use POLICY:Hold_If_Memory_Exceeded",
            "POLLING_INTERVAL = 2",
            "",
        ]
    apptainer = options.apptainer or shutil.which("apptainer")
    if apptainer:
        lines += [
            "# Container universe.",
            f"SINGULARITY = {Path(apptainer).absolute()}",
            "SINGULARITY_RUN_TEST_BEFORE_JOB = false",
            "# Debian's package lacks the image with which a machine tries out whether it runs image files.",
            "HasSIF = true",
            "STARTD_ATTRS = $(STARTD_ATTRS) HasSIF",
            "",
        ]
    if options.extra is not None:
        lines += [f"# From {options.extra.name}", options.extra.read_text()]
    return "\n".join(lines)


def write_checkpoint_destinations(pool: Pool) -> None:
    """Who deletes checkpoints. The program is copied, since the pool's user may not be able to reach the checkout."""
    program = pool.folder / "delete_checkpoint.py"
    shutil.copy(HERE / program.name, program)
    program.chmod(0o755)
    (pool.folder / "checkpoint_destinations").write_text(f"* {CHECKPOINT_URLS} {program}\n")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def up(pool: Pool, options: argparse.Namespace) -> None:
    """Start the pool, or say that it is running."""
    release = provide_condor(pool)
    if master_pid(pool) is not None:
        present = pool.config.read_text()
        port = int(present.partition("CCIP_PORT = ")[2].split()[0])
        if present != configuration(pool, release, options, port):
            raise PoolError("The pool is running with other settings; stop it first: make pool-down")
    else:
        down(pool)  # what a killed pool may have left behind
        pool.config.write_text(configuration(pool, release, options, free_port()))
        write_checkpoint_destinations(pool)
        nowhere = subprocess.DEVNULL
        master = pool.popen(
            ["condor_master", "-f"], pool.folder, start_new_session=True, stdin=nowhere, stdout=nowhere, stderr=nowhere
        )
        wait_for_master(pool, master)
    wait_until_ready(pool)
    fetch_token(pool)
    write_environment(pool)
    usage(pool)


def wait_for_master(pool: Pool, master: subprocess.Popen[str]) -> None:
    """Note the master's pid, with its start time so that it cannot be mistaken for another process later."""
    pool.pid_file.write_text(json.dumps({"pid": master.pid, "started": start_ticks(master.pid)}))
    time.sleep(0.5)
    if master.poll() is not None:
        raise PoolError(f"condor_master ended at once (exit code {master.returncode}).{last_lines(pool)}")


def wait_until_ready(pool: Pool) -> None:
    """Wait until the slot is in the collector and the queue answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if master_pid(pool) is None:
            raise PoolError(f"condor_master has ended.{last_lines(pool)}")
        slots = pool.output(["condor_status", "-startd", "-af", "Name"])
        schedds = pool.output(["condor_status", "-schedd", "-af", "Name"])
        if slots and slots.strip() and schedds and schedds.strip() and pool.output(["condor_q", "-totals"]) is not None:
            return
        time.sleep(0.5)
    raise PoolError(f"The pool did not take jobs within {START_SECONDS} s.{last_lines(pool)}")


def last_lines(pool: Pool) -> str:
    """The ends of the daemons' logs, for a message."""
    text = ""
    for name in ("MasterLog", "CollectorLog", "SchedLog", "StartLog"):
        path = pool.folder / "log" / name
        if path.is_file():
            text += f"\n--- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-6:])
    return text


def fetch_token(pool: Pool) -> None:
    """A token for Python bindings whose FS authentication the schedd does not take."""
    token = pool.folder / "tokens.d" / "pool"
    if token.exists():
        return
    text = pool.output(["condor_token_fetch"])
    if text is None:
        say("no token could be fetched; FS authentication still works")
        return
    with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    if os.geteuid() == 0:
        os.chown(token, pool.user.pw_uid, pool.user.pw_gid)


def write_environment(pool: Pool) -> None:
    """The file `env` for a shell to source."""
    lines = [f"export {key}={shlex.quote(value)}\n" for key, value in pool.environment().items()]
    lines += [f'export PATH={shlex.quote(folder)}:"$PATH"\n' for folder in pool.programs()]
    (pool.folder / "env").write_text("".join(lines))


def usage(pool: Pool) -> None:
    """Say how to use the running pool."""
    me = shlex.quote(str(HERE / "pool.py"))
    where = f"--folder {shlex.quote(str(pool.folder))}"
    say(f"the pool runs as user {pool.user.pw_name}; its files are in {pool.folder}")
    if os.geteuid() == 0:
        say(f"a command as that user:  {me} {where} run -- condor_q")
        say(f"a place for its runs:    {pool.work}")
    else:
        say(f"in your shell:           . {shlex.quote(str(pool.folder / 'env'))}")
    say(f"stop it:                 {me} {where} down")


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is no such process or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def noted_master(pool: Pool) -> tuple[int, int] | None:
    """Pid and start time of the master that was started last."""
    try:
        noted = json.loads(pool.pid_file.read_text())
        return int(noted["pid"]), int(noted["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def master_pid(pool: Pool) -> int | None:
    """The pid of the running master."""
    noted = noted_master(pool)
    return noted[0] if noted is not None and start_ticks(noted[0]) == noted[1] else None


def family(pool: Pool) -> list[int]:
    """Daemons and jobs of the pool: HTCondor marks each of its processes with the pids of its ancestors."""
    noted = noted_master(pool)
    if noted is None:
        return []
    mark = f"_CONDOR_ANCESTOR_{noted[0]}=".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            marked = any(value.startswith(mark) for value in (entry / "environ").read_bytes().split(b"\0"))
        except OSError:  # gone, or another user's
            continue
        started = start_ticks(int(entry.name))
        if marked and started is not None and started >= noted[1]:
            found.append(int(entry.name))
    return found


def down(pool: Pool) -> bool:
    """Stop the pool and whatever its jobs left running. False if nothing was running."""
    master = master_pid(pool)
    ran = master is not None
    if master is not None:
        # First gently, which puts the jobs back into the queue, then "fast", then by force.
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
            os.kill(master, number)
            if wait_until_gone([master], STOP_SECONDS):
                break
    if not wait_until_gone(family(pool), 5):
        for pid in family(pool):
            ran = True
            os.kill(pid, signal.SIGKILL)
        wait_until_gone(family(pool), 5)
    left = family(pool)
    if left:
        raise PoolError(f"These processes of the pool could not be stopped: {left}")
    pool.pid_file.unlink(missing_ok=True)
    return ran


def wait_until_gone(pids: list[int], seconds: float) -> bool:
    """Whether all processes ended within the time."""
    started = {pid: start_ticks(pid) for pid in pids}
    end = time.monotonic() + seconds
    while True:
        if all(ticks is None or start_ticks(pid) != ticks for pid, ticks in started.items()):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.1)


def status(pool: Pool) -> int:
    """Print what is running. Exit code 0 if the pool takes jobs, 3 if it is stopped."""
    if master_pid(pool) is None:
        say(f"stopped; its files are in {pool.folder}")
        return 3
    say(f"runs as user {pool.user.pw_name} in {pool.folder}, {len(family(pool)) + 1} processes")
    slots = ["condor_status", "-af:h", "Name", "State", "Cpus", "Memory"]
    for command in (slots, ["condor_q", "-allusers", "-totals"]):
        print((pool.output(command) or f"{command[0]} does not answer").strip())
    return 0
