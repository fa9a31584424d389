"""Failures: every way in which a worker, a supervisor or a job of a pool ends is judged and told."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ccip_batch.errors import ExitCode
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.run.failures import (
    LOG_TAIL,
    NO_MACHINE,
    SHOWN,
    Ending,
    attempt_number,
    cause_of_job,
    described,
    judge,
    judge_supervisor,
    make_failure,
    no_machine,
    read_failure,
    tail_of,
)
from ccip_batch.workflow.graph import build_graph

SAID = (ExitCode.DATA, "the measurement set has no rows")
NODE = build_graph([SpwGroup((2,))])["image_spw02"]


@pytest.mark.parametrize(
    ("ending", "code", "words"),
    [
        (Ending(-9, limit_s=7200.0, said=SAID), ExitCode.CASA, "longer than 7200 s"),
        (Ending(11, said=SAID, disk_is_full=True), ExitCode.DATA, "has no rows"),
        (Ending(1, ["No space left on device"]), ExitCode.RESOURCES, "the disk is full"),
        (Ending(1, ["Disk quota exceeded"], (ExitCode.CASA, "tclean failed")), ExitCode.RESOURCES, "tclean failed"),
        (Ending(-signal.SIGABRT, disk_is_full=True), ExitCode.RESOURCES, "the disk is full"),
        (Ending(-signal.SIGABRT, ["terminate called after std::bad_alloc"]), ExitCode.RESOURCES, "out of memory"),
        (Ending(31, ["x", "MemoryError"], (ExitCode.INTERNAL, "in pbcor")), ExitCode.RESOURCES, "memory in pbcor"),
        (Ending(31, ["some line"], (ExitCode.CASA, "tclean failed")), ExitCode.CASA, "tclean failed"),
        (Ending(-signal.SIGKILL), ExitCode.CASA, "killed (SIGKILL): by a person, or by the system"),
        (Ending(-signal.SIGABRT), ExitCode.CASA, "CASA aborted the process (SIGABRT)"),
        (Ending(-signal.SIGSEGV), ExitCode.CASA, "CASA aborted the process (SIGSEGV)"),
        (Ending(128 + signal.SIGABRT, image="a.sif"), ExitCode.CASA, "CASA aborted the process (SIGABRT)"),
        (Ending(128 + signal.SIGKILL, image="a.sif"), ExitCode.CASA, "killed (SIGKILL)"),
        (Ending(128 + signal.SIGABRT), ExitCode.INTERNAL, "exit code 134 and no message"),
        (Ending(255, ["no image"], image="a.sif", not_started=True), ExitCode.CONFIG, "not be started: no image"),
        (Ending(255, image="a.sif", not_started=True), ExitCode.CONFIG, "could not be started"),
        (Ending(0), ExitCode.INTERNAL, "exit code 0 and no message"),
    ],
)  # fmt: skip
def test_judgement_of_a_worker(ending: Ending, code: ExitCode, words: str) -> None:
    found, cause = judge(ending)
    assert found == code and words in cause


@pytest.mark.parametrize(
    ("code", "tail", "full", "expected", "words"),
    [
        (12, ["it is the folder of another job"], False, ExitCode.RUN_FOLDER, "it is the folder of another job"),
        (12, [], False, ExitCode.RUN_FOLDER, "its supervisor ended with exit code 12"),
        (99, ["Traceback"], False, ExitCode.INTERNAL, "ended with exit code 99"),
        (-9, [], False, ExitCode.INTERNAL, "ended with signal SIGKILL"),
        (-64, [], False, ExitCode.INTERNAL, "SIGRTMAX"),
        (-9, ["x"], True, ExitCode.RESOURCES, "the disk is full; its supervisor ended with signal SIGKILL"),
    ],
)
def test_judgement_of_a_supervisor(code: int, tail: list[str], full: bool, expected: ExitCode, words: str) -> None:
    found, cause = judge_supervisor(code, tail, full)
    assert found == expected and words in cause


def test_what_a_supervisor_said_of_a_full_disk_is_said_once() -> None:
    code = int(ExitCode.RESOURCES)
    assert judge_supervisor(code, ["x: the disk is full: y"], True) == (ExitCode.RESOURCES, "x: the disk is full: y")


@pytest.mark.parametrize(
    ("code", "tail", "words"),
    [
        (-9, ["x"], "its job was killed (SIGKILL)"),
        (-99, [], "its job was killed (signal 99)"),
        (-1004, [], "removed from the queue"),
        (3, ["first", "last"], "last"),
        (3, [], "exit code 3 and no message"),
    ],
)
def test_cause_of_a_job(code: int, tail: list[str], words: str) -> None:
    assert words in cause_of_job(code, tail)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4, "4 seconds"), (119, "119 seconds"), (3600, "60 minutes"), (86_410, "24 hours"), (604_830, "7 days")],
)
def test_how_long_no_machine_took_it(seconds: float, words: str) -> None:
    said = no_machine(seconds, "2 cores")
    assert said.startswith(f"{NO_MACHINE}{words}; it asks for 2 cores. ")


def test_a_process_that_really_aborts_is_judged_so(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as out:
        done = subprocess.run([sys.executable, "-c", "import os; os.abort()"], stderr=out, check=False)
    assert judge(Ending(done.returncode, tail_of(log))) == (ExitCode.CASA, "CASA aborted the process (SIGABRT)")


def test_a_failure_is_saved_read_and_told(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    assert tail_of(log) == []
    log.write_text("".join(f"line {number}\n\n" for number in range(40)))
    tail = tail_of(log)
    assert len(tail) == LOG_TAIL and tail[-1] == "line 39"
    made = make_failure(tmp_path, NODE, ExitCode.CASA, "it broke", fingerprint="f", stage="makeimages", tail=tail)
    made.save(tmp_path / "failure.json")
    read = read_failure(tmp_path / "failure.json")
    assert (
        read == made and attempt_number(read, "f") == 2 and attempt_number(read, "g") == attempt_number(None, "f") == 1
    )
    lines = list(described(made, log, Path("/elsewhere/run")))
    assert lines[0] == "image_spw02 failed in makeimages: it broke"
    assert lines[1:-2] == [f"    line {number}" for number in range(40 - SHOWN, 40)]
    assert lines[-2:] == [f"  log: {log}", "  again: ccip-batch node /elsewhere/run image_spw02"]
    early = make_failure(tmp_path, NODE, ExitCode.DATA, "no data")
    assert next(described(early, log, tmp_path)) == "image_spw02 failed in its start: no data"
