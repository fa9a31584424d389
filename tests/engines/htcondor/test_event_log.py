"""Rows from event logs that a real pool wrote (tests/data/event_logs)."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccip_batch.engines.htcondor.event_log import JobState, NodeRow, read_nodes
from ccip_batch.engines.htcondor.holds import Hold, HoldKind
from ccip_batch.errors import ConfigError, DataError

LOGS = Path(__file__).parents[2] / "data" / "event_logs"


@pytest.fixture(autouse=True)
def _bindings() -> None:
    pytest.importorskip("htcondor2")


def rows(name: str) -> dict[str, NodeRow]:
    return {row.node: row for row in read_nodes(LOGS / f"{name}.jobs.log", LOGS / f"{name}.nodes.log")}


def plane(name: str) -> NodeRow:
    return rows(name)["image_spw02"]


def test_completed() -> None:
    found = rows("completed")
    assert list(found) == ["restore", "image_spw02", "image_spw03", "analyze"]
    for row in found.values():
        assert (row.state, row.exit_code, row.attempts, row.submissions) == (JobState.DONE, 0, 1, 1)
        assert row.submitted is not None and row.started is not None and row.ended is not None
        assert row.submitted <= row.started < row.ended == row.since
        assert (row.memory_asked, row.memory_given, row.host) == (64, 128, "127-0-0-1.ccip.invalid")
        assert row.memory_used is not None and 0 < row.memory_used < 64
        assert (row.evictions, row.checkpoints, row.hold) == (0, 0, None)
    transferred, shared = found["image_spw03"], found["image_spw02"]
    assert transferred.bytes_received is not None and transferred.bytes_received > 0
    assert transferred.bytes_sent == len("hello\n")
    assert (shared.bytes_received, shared.bytes_sent) == (0, 0)


def test_dagman_log_alone() -> None:
    alone = {row.node: row for row in read_nodes(LOGS / "completed.nodes.log")}
    assert {node: row.state for node, row in alone.items()} == {
        node: row.state for node, row in rows("completed").items()
    }


def test_running() -> None:
    (row,) = rows("running").values()
    assert (row.node, row.state, row.exit_code, row.ended) == ("restore", JobState.RUNNING, None, None)


def test_a_log_that_is_being_written(tmp_path: Path) -> None:
    """Cut anywhere, the log gives a state that the whole log passes through."""
    text = (LOGS / "completed.jobs.log").read_text()
    order = [JobState.IDLE, JobState.RUNNING, JobState.DONE]
    last = -1
    for end in range(0, len(text), 409):
        (tmp_path / "log").write_text(text[:end])
        states = [row.state for row in read_nodes(tmp_path / "log") if row.node == "restore"]
        step = order.index(states[0]) if states else -1
        assert step >= last
        last = step
    assert last == 2


def test_killed_by_signal() -> None:
    row = plane("signal")
    assert (row.state, row.signal, row.exit_code) == (JobState.FAILED, 11, None)
    assert (row.submissions, row.attempts) == (2, 2)


def test_exit_code_that_ends_the_retries() -> None:
    row = plane("failed")
    assert (row.state, row.exit_code, row.post_exit_code, row.submissions) == (JobState.FAILED, 11, 11, 2)
    final = rows("failed")["final"]  # in local universe: neither slot nor memory in its log
    assert (final.state, final.exit_code, final.host) == (JobState.FAILED, 1, "127-0-0-1.ccip.invalid")


def test_failure_that_the_post_script_forgives() -> None:
    found = rows("forgiven")
    assert (found["image_spw02"].state, found["image_spw02"].post_exit_code) == (JobState.FAILED, 0)
    assert found["analyze"].state is JobState.DONE
    without = {row.node: row for row in read_nodes(LOGS / "forgiven.jobs.log")}
    assert without["image_spw02"].post_exit_code is None


def test_resumed_dag_keeps_what_was_before() -> None:
    found = rows("resumed")
    assert found["restore"].state is JobState.DONE  # by the first run of the DAG
    assert (found["analyze"].state, found["analyze"].submissions) == (JobState.DONE, 2)


@pytest.mark.parametrize(
    ("log", "kind", "code", "subcode", "words"),
    [
        ("held_memory", HoldKind.MEMORY, 21, 102, "more memory than it had asked for"),
        ("held_policy", HoldKind.POLICY, 3, 7, "the job's own policy"),
        ("held_output", HoldKind.OUTPUT, 12, 2, "output files could not be transferred back: no such file"),
        ("held_input", HoldKind.INPUT, 13, 2, "input files could not be transferred to it: no such file"),
        ("held_executable", HoldKind.START, 6, 2, "could not be started: no such file"),
        ("held_user", HoldKind.USER, 1, 0, "by its user"),
    ],
)
def test_held(log: str, kind: HoldKind, code: int, subcode: int, words: str) -> None:
    row = plane(log)
    assert row.state is JobState.HELD
    assert row.hold is not None
    assert (row.hold.kind, row.hold.code, row.hold.subcode) == (kind, code, subcode)
    assert words in row.hold.words
    assert row.evictions == 0  # the eviction in the log is part of the hold
    assert (row.exit_code, row.ended) == (None, None)


@pytest.mark.parametrize(
    ("code", "subcode", "reason", "kind"),
    [
        (34, 0, "Job has gone over cgroup memory limit of 128 megabytes. Peak usage: 128 megabytes.", HoldKind.MEMORY),
        (
            34,
            102,
            "Job has gone over cgroup memory limit of 128 megabytes. Peak usage: 128 megabytes.",
            HoldKind.MEMORY,
        ),
        (34, 104, "Job has exceeded its requested disk.", HoldKind.DISK),
    ],
)
def test_held_by_cgroups(tmp_path: Path, code: int, subcode: int, reason: str, kind: HoldKind) -> None:
    """The recorded policy hold with the codes and a text as pools with cgroups have them."""
    text = (LOGS / "held_memory.jobs.log").read_text()
    text = text.replace("memory usage exceeded request_memory", reason)
    (tmp_path / "log").write_text(text.replace("Code 21 Subcode 102", f"Code {code} Subcode {subcode}"))
    (row,) = read_nodes(tmp_path / "log")
    assert row.hold is not None
    assert (row.hold.code, row.hold.subcode, row.hold.kind) == (code, subcode, kind)
    assert row.hold.reason.endswith(reason)


def test_memory_of_a_held_node() -> None:
    row = plane("held_memory")
    assert row.memory_used is not None and row.memory_used > 190
    assert row.memory_given == 128


def test_reason_of_a_hold_is_kept() -> None:
    hold = plane("held_user").hold
    assert hold is not None and hold.reason.startswith("looking at it")


def test_released_and_done() -> None:
    row = plane("released")
    assert (row.state, row.hold, row.attempts, row.evictions) == (JobState.DONE, None, 2, 0)


def test_evicted() -> None:
    row = plane("evicted")
    assert (row.state, row.evictions, row.attempts) == (JobState.EVICTED, 1, 1)
    row = plane("evicted_rerun")
    assert (row.state, row.evictions, row.attempts) == (JobState.DONE, 1, 2)


def test_checkpoints() -> None:
    row = plane("checkpointed")
    assert (row.state, row.checkpoints, row.attempts, row.evictions) == (JobState.DONE, 2, 1, 0)
    row = plane("checkpointed_evicted")
    assert (row.state, row.checkpoints, row.attempts, row.evictions) == (JobState.DONE, 2, 2, 1)


def test_removed() -> None:
    row = plane("removed")
    assert (row.state, row.evictions, row.hold) == (JobState.REMOVED, 0, None)
    assert row.ended is not None


@pytest.mark.parametrize(
    ("code", "subcode", "reason", "kind"),
    [
        (34, 0, "Job has gone over cgroup memory limit of 128 megabytes.", HoldKind.MEMORY),
        (34, 102, "Job has gone over cgroup memory limit of 128 megabytes.", HoldKind.MEMORY),
        (34, 104, "Job has used more disk than requested.", HoldKind.DISK),
        (21, 0, "memory usage exceeded request_memory", HoldKind.MEMORY),
        (21, 104, "disk usage exceeded request_disk", HoldKind.DISK),
        (21, 0, "something of the site's own", HoldKind.OTHER),
        (12, 28, "No space left on device", HoldKind.DISK),
        (13, 28, "No space left on device", HoldKind.DISK),
        (26, 0, "a limit of the access point", HoldKind.POLICY),
        (36, -1, "Starter failed to upload checkpoint", HoldKind.CHECKPOINT),
        (46, 0, "", HoldKind.TIME),
        (9999, 5, "", HoldKind.OTHER),
    ],
)
def test_kinds_of_holds(code: int, subcode: int, reason: str, kind: HoldKind) -> None:
    hold = Hold(code, subcode, reason)
    assert hold.kind is kind
    assert hold.words


def test_unknown_hold_code_is_named() -> None:
    assert "9999/5" in Hold(9999, 5, "").words


def test_text_of_a_log_cannot_steer_a_terminal(tmp_path: Path) -> None:
    text = (LOGS / "held_user.jobs.log").read_text().replace("looking at it", "looking \x1b[2Jat it")
    (tmp_path / "log").write_text(text)
    (row,) = read_nodes(tmp_path / "log")
    assert row.hold is not None and "\x1b" not in row.hold.reason + row.reason


def test_times_are_absolute() -> None:
    row = plane("signal")
    assert row.since.tzinfo is UTC and row.since < datetime.now(UTC).replace(year=9999)


def test_no_log(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nodes\.log.*submitted"):
        read_nodes(tmp_path / "ccip.dag.nodes.log")


def test_empty_log_and_missing_dagman_log(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    assert read_nodes(tmp_path / "log", tmp_path / "none") == []


def test_other_text_gives_no_rows(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\x00\xff no log at all\n" * 100)
    assert read_nodes(tmp_path / "log") == []


def test_an_event_of_a_time_that_does_not_exist_is_passed_over(tmp_path: Path) -> None:
    """So are its bytes that are no text; only if nothing can be read, that is an error."""
    whole = (LOGS / "completed.jobs.log").read_text()
    first = read_nodes(LOGS / "completed.jobs.log")[0]
    damaged = whole.replace("...\n", "...\n001 (004.000.000) 2026-13-45 12:00:00 Job executing\n...\n", 1)
    (tmp_path / "log").write_text(damaged)
    assert read_nodes(tmp_path / "log")[0] == first
    (tmp_path / "log").write_text("000 (004.000.000) 2026-13-45 12:00:00 Job submitted\n...\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_nodes(tmp_path / "log")


def test_without_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "htcondor2", None)
    with pytest.raises(ConfigError, match=r"pip install '\.\[htcondor\]'"):
        read_nodes(LOGS / "completed.jobs.log")


def test_import_loads_no_bindings() -> None:
    code = "import sys, ccip_batch.engines.htcondor.event_log; sys.exit('htcondor2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", sorted(path.name.partition(".")[0] for path in (LOGS / "25.14").glob("*.jobs.log")))
def test_newer_logs_tell_the_same(name: str) -> None:
    """HTCondor 25.14 notes names in another way, and gives reasons for evictions."""
    facts = ("state", "submissions", "attempts", "evictions", "checkpoints", "memory_asked", "exit_code", "signal")
    newer = _told(LOGS / "25.14" / name, *facts, "post_exit_code")
    if name == "checkpointed_rescheduled":  # put off its machine after each checkpoint: no older one does that
        assert newer == {"image_spw02": (JobState.DONE, 1, 3, 0, 2, 64, 0, None, None, None)}
    else:
        assert newer == _told(LOGS / name, *facts, "post_exit_code")


def _told(log: Path, *facts: str) -> dict[str, tuple[object, ...]]:
    """Of each node of a log: some facts, and code and sub-code of its hold."""
    found = read_nodes(log.with_name(f"{log.name}.jobs.log"), log.with_name(f"{log.name}.nodes.log"))
    holds = {row.node: row.hold and (row.hold.code, row.hold.subcode) for row in found}
    return {row.node: (*(getattr(row, fact) for fact in facts), holds[row.node]) for row in found}
