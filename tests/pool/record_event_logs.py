"""Record the event logs of tests/data/event_logs from real runs on the personal pool.

    condor/pool/pool.py up --memory-policy
    CCIP_RECORD=FOLDER python3 tests/pool/record_event_logs.py [SCENARIO ...]

FOLDER (default: tests/data/event_logs) must be writable, and this file readable, for the pool's user.

Each scenario is a small DAG. Its nodes log (`<name>.nodes.log`, what DAGMan watches) and the log of its jobs
(`<name>.jobs.log`, which also has memory and file transfer events) are kept, with the paths of this machine replaced.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POOL = [sys.executable, str(ROOT / "condor" / "pool" / "pool.py")]
TARGET = Path(os.environ.get("CCIP_RECORD", ROOT / "tests" / "data" / "event_logs"))
SECONDS = 120

SUBMIT = """\
universe = vanilla
executable = /bin/sh
arguments = $(script)
transfer_executable = false
log = jobs.log
output = $(JOB).out
error = $(JOB).err
request_cpus = 1
request_memory = $(memory)
request_disk = 10M
should_transfer_files = NO
{more}
queue
"""
TRANSFER = "should_transfer_files = YES\nwhen_to_transfer_output = ON_EXIT\ntransfer_input_files = {script}\n"
CHECKPOINT = """\
i=$(cat state 2>/dev/null || echo 0)
echo "start at $i" >> history
while [ $i -lt 3 ]; do
  i=$((i+1)); echo $i > state
  sleep ${1:-1}
  [ $i -lt 3 ] && exit 85
done
exit 0
"""
HOG = "exec /usr/bin/python3 -c 'import time; a = bytearray(200_000_000); time.sleep(60)'\n"


class Run:
    """A DAG of one scenario in a folder of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path(os.environ["CCIP_POOL_WORK"]) / "record" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def node(self, name: str, script: str, more: str = "", memory: int = 64) -> str:
        """Write a node's script and submit description; the lines of the DAG are returned."""
        (self.folder / f"{name}.sh").write_text(script)
        more = more.replace("{script}", f"{name}.sh")
        (self.folder / f"{name}.sub").write_text(SUBMIT.format(more=more))
        return f'JOB {name} {name}.sub\nVARS {name} script="{name}.sh" memory="{memory}"\n'

    def submit(self, dag: str) -> None:
        (self.folder / "ccip.dag").write_text(dag)
        self.command("condor_submit_dag", "-force", "ccip.dag")

    def command(self, *words: str) -> str:
        return str(subprocess.check_output(words, cwd=self.folder, text=True))

    @property
    def log(self) -> str:
        path = self.folder / "ccip.dag.nodes.log"
        return path.read_text() if path.exists() else ""

    def wait(self, pattern: str) -> None:
        """Wait for a pattern in the nodes log."""
        self.wait_until(lambda: re.search(pattern, self.log, re.MULTILINE) is not None, pattern)

    def wait_until(self, seen: Callable[[], bool], what: str) -> None:
        """Wait for a condition."""
        end = time.monotonic() + SECONDS
        while not seen():
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name}: waited {SECONDS} s for {what}")
            time.sleep(0.3)

    def finish(self) -> None:
        """Wait until DAGMan has ended."""
        self.wait_until(lambda: "EXITING WITH STATUS" in self.read("ccip.dag.dagman.out"), "the end of DAGMan")

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def job(self) -> str:
        """The id of the first job, as the tools want it."""
        submitted = re.search(r"^000 \((\d+)\.", self.log, re.MULTILINE)
        assert submitted is not None
        return f"{int(submitted[1])}.0"

    def keep(self, name: str | None = None) -> None:
        """Copy the logs, without the paths of this machine."""
        for source, kind in (("ccip.dag.nodes.log", "nodes"), ("jobs.log", "jobs")):
            self.keep_text(f"{name or self.name}.{kind}.log", self.read(source))

    def keep_text(self, file: str, text: str) -> None:
        """Keep a text without the paths of this machine."""
        text = text.replace(str(self.folder), "/home/observer/run").replace(os.environ["CCIP_POOL"], "/var/lib/pool")
        (TARGET / file).write_text(text.replace(str(ROOT), "/home/observer/checkout"))

    def remove(self) -> None:
        """Remove the DAG and wait until it has gone."""
        cluster = re.search(r"^000 \((\d+)\.", self.read("ccip.dag.dagman.log"), re.MULTILINE)
        assert cluster is not None
        self.command("condor_rm", str(int(cluster[1])))
        self.wait_until(lambda: not self.command("condor_q", "-af", "ClusterId").strip(), "an empty queue")


def completed(run: Run) -> None:
    sleep = "echo hello\nsleep 3\n"
    dag = "".join(run.node(name, sleep) for name in ("restore", "image_spw02", "analyze"))
    dag += run.node("image_spw03", sleep, TRANSFER)
    run.submit(dag + "PARENT restore CHILD image_spw02 image_spw03\nPARENT image_spw02 image_spw03 CHILD analyze\n")
    run.wait(r"^001 ")
    time.sleep(1)
    run.keep("running")
    run.finish()
    run.keep()


def signal(run: Run) -> None:
    run.submit(run.node("image_spw02", "kill -SEGV $$\n") + "RETRY image_spw02 1\n")
    run.finish()
    run.keep()


def failed(run: Run) -> None:
    """Exit code 11 ends the retries; POST returns the job's code; FINAL runs all the same and passes the failure on."""
    (run.folder / "post.sh").write_text('#!/bin/sh\necho "$@" >> post.txt\nexit $3\n')
    (run.folder / "post.sh").chmod(0o755)
    dag = run.node("image_spw02", "exit $(cat next 2>/dev/null || { echo 11 > next; echo 31; })\n")
    dag += "SCRIPT POST image_spw02 post.sh $JOB $RETRY $RETURN $MAX_RETRIES\nRETRY image_spw02 3 UNLESS-EXIT 11\n"
    final = run.node("final", "echo $1 > dag_status; [ $1 = 0 ]\n").replace("JOB", "FINAL")
    submit = (run.folder / "final.sub").read_text().replace("$(script)", "$(script) $(status)")
    (run.folder / "final.sub").write_text(submit.replace("vanilla", "local"))
    run.submit(dag + final + 'VARS final status="$(DAG_STATUS)"\n')
    run.finish()
    run.keep()


def held_memory(run: Run) -> None:
    run.submit(run.node("image_spw02", HOG, memory=32))
    run.wait(r"^012 ")
    run.keep()
    run.remove()


def held_policy(run: Run) -> None:
    more = "periodic_hold = (JobStatus == 2) && (time() - EnteredCurrentStatus > 3)\n"
    more += 'periodic_hold_reason = "ran longer than its limit"\nperiodic_hold_subcode = 7\n'
    run.submit(run.node("image_spw02", "sleep 60\n", more))
    run.wait(r"^012 ")
    run.keep()
    run.remove()


def held_output(run: Run) -> None:
    run.submit(run.node("image_spw02", "exit 0\n", TRANSFER + "transfer_output_files = node.tar\n"))
    run.wait(r"^012 ")
    run.keep()
    run.remove()


def held_input(run: Run) -> None:
    more = TRANSFER.replace("{script}", "{script},restore.tar")
    run.submit(run.node("image_spw02", "exit 0\n", more))
    run.wait(r"^012 ")
    run.keep()
    run.remove()


def held_executable(run: Run) -> None:
    run.submit(run.node("image_spw02", "exit 0\n", "executable = /nowhere/python\n"))
    run.wait(r"^012 ")
    run.keep()
    run.remove()


def held_user(run: Run) -> None:
    run.submit(run.node("image_spw02", "sleep 4\n"))
    run.wait(r"^001 ")
    run.command("condor_hold", "-reason", "looking at it", run.job())
    run.wait(r"^012 ")
    run.keep()
    run.command("condor_release", run.job())
    run.finish()
    run.keep("released")


def evicted(run: Run) -> None:
    run.submit(run.node("image_spw02", "sleep 6\n"))
    run.wait(r"^001 ")
    time.sleep(2)
    run.command("condor_vacate_job", run.job())
    run.wait(r"^004 ")
    run.keep()
    run.finish()
    run.keep("evicted_rerun")


def checkpointed(run: Run) -> None:
    more = TRANSFER + "checkpoint_exit_code = 85\ntransfer_checkpoint_files = state,history\n"
    run.submit(run.node("image_spw02", CHECKPOINT, more + "transfer_output_files = state,history\n"))
    run.finish()
    run.keep()


def checkpointed_evicted(run: Run) -> None:
    """Evicted between two checkpoints: the second one is what the job goes on from."""
    more = TRANSFER + "checkpoint_exit_code = 85\ntransfer_checkpoint_files = state,history\n"
    script = CHECKPOINT.replace("sleep ${1:-1}", "[ $i = 3 ] && sleep 8")
    run.submit(run.node("image_spw02", script, more + "transfer_output_files = state,history\n"))
    run.wait_until(lambda: run.read("jobs.log").count("\n040 ") >= 6, "two checkpoints")
    time.sleep(2)
    run.command("condor_vacate_job", run.job())
    run.finish()
    run.keep()


def checkpointed_rescheduled(run: Run) -> None:
    """Put off its machine after checkpoints, its claim being over: HTCondor 25.14 in a pool with CLAIM_WORKLIFE = 0."""
    more = TRANSFER + "checkpoint_exit_code = 85\ntransfer_checkpoint_files = state,history\n"
    run.submit(run.node("image_spw02", CHECKPOINT, more + "transfer_output_files = state,history\n"))
    run.finish()
    run.keep()


def removed(run: Run) -> None:
    run.submit(run.node("image_spw02", "sleep 60\n"))
    run.wait(r"^001 ")
    run.remove()
    run.keep()


def forgiven(run: Run) -> None:
    """A node that always dies; its POST script lets the DAG go on after the last retry. $RETURN is minus the signal."""
    script = '#!/bin/sh\necho "$@" >> post.txt\n[ $2 -lt $4 ] && [ $3 != 0 ] && exit 1\nexit 0\n'
    (run.folder / "post.sh").write_text(script)
    (run.folder / "post.sh").chmod(0o755)
    dag = run.node("image_spw02", "kill -SEGV $$\n") + run.node("analyze", "exit 0\n")
    dag += "SCRIPT POST image_spw02 post.sh $JOB $RETRY $RETURN $MAX_RETRIES\nRETRY image_spw02 1\n"
    run.submit(dag + "PARENT image_spw02 CHILD analyze\n")
    run.finish()
    run.keep()


def resumed(run: Run) -> None:
    """Removed while its second node runs, then submitted again: DAGMan goes on from its rescue file."""
    dag = run.node("restore", "exit 0\n") + run.node("analyze", "[ -e again ] || sleep 60\n")
    run.submit(dag + "PARENT restore CHILD analyze\n")
    run.wait(r"^001 (.|\n)*^001 ")
    run.remove()
    (run.folder / "again").touch()
    (run.folder / "ccip.dag.dagman.out").unlink()
    run.command("condor_submit_dag", "ccip.dag")
    run.finish()
    run.keep()


def idle(run: Run) -> None:
    """One node runs on a pool of two cores; the others wait, for different reasons. Keeps the ads of both, too."""
    sleep = "sleep 60\n"
    dag = run.node("image_spw02", sleep) + run.node("image_spw03", sleep, memory=90_000_000)
    dag += run.node("image_spw04", sleep, "requirements = HasLustre =?= true\n")
    dag += run.node("image_spw05", sleep, "request_cpus = 2\n")
    dag += run.node("image_spw06", sleep, "requirements = TARGET.Cpus > 64 || HasLustre\n", memory=90_000_000)
    run.submit(dag)
    run.wait(r"^001 ")
    run.wait_until(lambda: run.log.count("\n000 ") + run.log.startswith("000 ") == 5, "all jobs")
    time.sleep(5)
    run.keep()
    run.keep_text("idle.queue.ads", run.command("condor_q", "-long", "-constraint", "JobStatus == 1"))
    slots = run.command("condor_status", "-long", "-constraint", 'SlotType =!= "Dynamic"')
    run.keep_text("idle.slots.ads", re.sub(r"^Utsname.*\n", "", slots, flags=re.MULTILINE))
    run.remove()


def removed_idle(run: Run) -> None:
    """Removed by its own policy because no machine took it for some seconds."""
    policy = "periodic_remove = JobStatus == 1 && time() - EnteredCurrentStatus > 4\n"
    run.submit(run.node("image_spw02", "exit 0\n", policy, memory=90_000_000))
    run.finish()
    run.keep()


SCENARIOS = [
    completed, signal, failed, forgiven, resumed, held_memory, held_policy, held_output, held_input,
    held_executable, held_user, evicted, checkpointed, checkpointed_evicted, checkpointed_rescheduled, removed,
    idle, removed_idle,
]  # fmt: skip


def main() -> None:
    if "CCIP_POOL_WORK" not in os.environ:  # again, as the pool's user; the results come back below its folder
        sys.exit(subprocess.call([*POOL, "run", "--", "/usr/bin/python3", __file__, *sys.argv[1:]]))
    for scenario in SCENARIOS:
        if scenario.__name__ in sys.argv[1:] or len(sys.argv) == 1:
            started = time.monotonic()
            scenario(Run(scenario.__name__))
            print(f"{scenario.__name__}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
