"""What becomes of a job that is held or waits: the expressions of its submit description, evaluated by HTCondor."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch

from .submit_descriptions import description, value, variables

SITE = """\
description: Here
htcondor: {version}
data: {data}
memory_limit: 8 GB
disk_limit: 40 GB
release_after: 10min
most_holds: 3
held_limit: 2d
idle_limit: 1d
"""
PLANE, RESTORE = "image_spw02", "restore"
HOUR = 3600


def planned(folder: Path, data: str = "transfer", version: str = "25.4.0", limits: bool = True) -> Path:
    text = SITE.format(data=data, version=version)
    (folder / "here.yaml").write_text(text if limits else re.sub(r"(memory|disk)_limit.*\n", "", text))
    job = make_job(folder / "job", "imaging: {spw: ['2', '3,4']}\nexecution: {engine: htcondor, site: here}\n")
    done = ccip_batch("plan", job, "--run-dir", folder / "run", CCIP_SITES=str(folder))
    assert done.returncode == 0, done.stderr
    return folder / "run" / "dag"


@pytest.fixture(scope="module")
def dag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return planned(tmp_path_factory.mktemp("plan"))


def fate(dag: Path, node: str, code: int, subcode: int = 0, *, hours: float = 1, **more: object) -> str:
    """What becomes of a job that was held so many hours ago."""
    reason = {21: "StartdHeldJob", 34: "JobOutOfResources"}.get(code, "Other")
    job = {
        "JobStatus": 5,
        "HoldReasonCode": code,
        "HoldReasonSubCode": subcode,
        "EnteredCurrentStatus": int(time.time() - hours * HOUR),
        "NumHolds": 1,
        "NumHoldsByReason": {reason: more.get("NumHolds", 1)},
        "NumJobStarts": 1,
        **more,
    }
    release, remove = (value(dag, node, f"periodic_{what}", **job) for what in ("release", "remove"))
    assert not (release and remove)
    return "released" if release else "removed" if remove else "held"


@pytest.mark.parametrize("version", ["23.9.6", "25.4.0"])
def test_a_job_asks_for_twice_as_much_after_each_hold_for_memory(version: str, tmp_path: Path) -> None:
    """On all versions in the same way: HTCondor's own retry_request_memory takes no expression, and says nothing."""
    dag = planned(tmp_path, version=version)
    asked = int(variables(dag, PLANE)["memory"])
    holds = [{}, {"JobOutOfResources": 1}, {"JobOutOfResources": 1, "StartdHeldJob": 1}, {"JobOutOfResources": 9}]
    last = {"LastHoldReasonCode": 21, "LastHoldReasonSubCode": 102}
    found = [value(dag, PLANE, "request_memory", NumHoldsByReason=held, **last) for held in holds]
    assert found == [asked, 2 * asked, 4 * asked, 8 * 10**9 // 2**20]
    assert not [command for command in description(dag, PLANE) if command.startswith("retry_")]
    assert fate(dag, PLANE, 34, 102, hours=0, NumHoldsByReason={"JobOutOfResources": 1}) == "released"


@pytest.mark.parametrize(
    ("code", "subcode", "holds", "becomes"),
    [
        (34, 0, {"JobOutOfResources": 1}, "released"),
        (34, 102, {"JobOutOfResources": 1}, "released"),
        (34, 102, {"JobOutOfResources": 9}, "removed"),  # it had all that the site has
        (21, 102, {"StartdHeldJob": 1}, "released"),
        (34, 104, {"JobOutOfResources": 1}, "released"),
        (34, 104, {"JobOutOfResources": 20}, "removed"),
        (21, 104, {"StartdHeldJob": 1}, "released"),
    ],
)
def test_too_little_memory_or_disk(dag: Path, code: int, subcode: int, holds: dict[str, int], becomes: str) -> None:
    assert fate(dag, PLANE, code, subcode, hours=0, NumHoldsByReason=holds, NumHolds=sum(holds.values())) == becomes


@pytest.mark.parametrize("code", [26, 21, 3, 4711])
def test_a_hold_of_an_unknown_kind_loses_no_work(dag: Path, code: int) -> None:
    """Released after a while, a few times; then a plane with checkpoints stays held until the limit of that."""
    assert fate(dag, PLANE, code, hours=0.1) == "held"
    assert fate(dag, PLANE, code, hours=0.2) == "released"
    assert fate(dag, PLANE, code, NumHolds=3) == "held"
    assert fate(dag, PLANE, code, NumHolds=3, hours=47) == "held"
    assert fate(dag, PLANE, code, NumHolds=3, hours=49) == "removed"
    assert fate(dag, PLANE, code, NumHolds=3, NumJobStarts=0) == "removed"  # nothing is lost
    assert fate(dag, RESTORE, code, NumHolds=3) == "removed"  # nor here: it has no checkpoint


@pytest.mark.parametrize(("code", "subcode"), [(46, 0), (47, 0), (3, 47)])
def test_too_long_is_not_released_for_ever(dag: Path, code: int, subcode: int) -> None:
    assert fate(dag, RESTORE, code, subcode) == "removed"
    assert fate(dag, PLANE, code, subcode) == "released"
    assert fate(dag, PLANE, code, subcode, NumHolds=3) == "held"
    assert fate(dag, PLANE, code, subcode, NumHolds=3, hours=49) == "removed"


@pytest.mark.parametrize("code", [12, 13])
def test_a_file_that_does_not_exist(dag: Path, code: int) -> None:
    """A new job gets a new tar; but a plane that has run has a checkpoint to lose."""
    assert fate(dag, PLANE, code, 2, NumJobStarts=0) == "removed"
    assert fate(dag, PLANE, code, 2) == "released"


@pytest.mark.parametrize("code", [1, 15, 16])
def test_what_its_user_holds_is_left_alone(dag: Path, code: int) -> None:
    assert fate(dag, PLANE, code, hours=1000, NumHolds=30) == "held"


def test_holds_of_its_user_and_for_memory_do_not_count(dag: Path) -> None:
    counted = {"UserRequest": 5, "JobOutOfResources": 1}
    assert fate(dag, PLANE, 12, 104, NumHolds=8, NumHoldsByReason=counted) == "released"
    assert fate(dag, PLANE, 12, 104, NumHolds=9, NumHoldsByReason=counted) == "held"


def test_a_job_that_no_machine_takes_is_removed_in_the_end(dag: Path) -> None:
    """Whether it has asked for more before or not; a plane that has run waits longer; one that runs is not removed."""
    for hours, starts, gone in ((23, 0, False), (25, 0, True), (25, 1, False), (71, 1, False), (73, 1, True)):
        since = int(time.time() - hours * HOUR)
        assert value(dag, PLANE, "periodic_remove", EnteredCurrentStatus=since, NumJobStarts=starts) is gone
        assert value(dag, PLANE, "periodic_remove", EnteredCurrentStatus=since, JobStatus=2) is False
    assert value(dag, RESTORE, "periodic_remove", EnteredCurrentStatus=since, NumJobStarts=1) is True


def test_time_is_limited_where_htcondor_passes_over_its_own_limit(dag: Path, tmp_path: Path) -> None:
    """allowed_execute_duration, before 24.0.19, where no input is transferred."""
    seconds = int(variables(dag, PLANE)["seconds"])
    assert value(dag, PLANE, "allowed_execute_duration") == seconds
    shared = planned(tmp_path, "shared")
    commands = description(shared, PLANE)
    assert "periodic_hold" in commands and "allowed_execute_duration" not in commands
    for after in (seconds - 60, seconds + 60):
        over = value(shared, PLANE, "periodic_hold", JobStatus=2, EnteredCurrentStatus=int(time.time() - after))
        assert over is (after > seconds)


@pytest.mark.parametrize(
    ("last", "holds", "given", "doubled"),
    [
        ((21, 0), {"StartdHeldJob": 1}, 1, 0),
        ((21, 101), {"StartdHeldJob": 3}, 1, 0),
        ((21, 102), {"StartdHeldJob": 2}, 2, 2),
        ((21, 104), {"StartdHeldJob": 2}, 2, 2),
        ((21, 0), {"StartdHeldJob": 2}, 2, 1),  # after one for memory, it keeps what it got
        ((21, 0), {"StartdHeldJob": 1, "JobOutOfResources": 1}, 2, 1),
        ((21, 0), {"StartdHeldJob": 1, "JobOutOfResources": 2}, 1, 2),
        ((13, 2), {"StartdHeldJob": 1}, 2, 1),
        ((13, 2), {"StartdHeldJob": 1}, 1, 0),
        ((13, 2), {"StartdHeldJob": 1}, 16, 1),  # a slot of its own size
    ],
)
def test_only_holds_for_memory_or_disk_double_the_request(
    dag: Path, last: tuple[int, int], holds: dict[str, int], given: int, doubled: int
) -> None:
    """While it is held and when it was released. given: what its machine had, as a multiple of the first request."""
    for what in ("memory", "disk"):
        asked = int(variables(dag, PLANE)[what]) * (1024 if what == "disk" else 1)
        memory = given * int(variables(dag, PLANE)["memory"])
        for prefix in ("", "Last"):
            codes = {f"{prefix}HoldReasonCode": last[0], f"{prefix}HoldReasonSubCode": last[1]}
            ad = {"NumHoldsByReason": holds, "MemoryProvisioned": memory, **codes}
            assert value(dag, PLANE, f"request_{what}", **ad) == asked * 2**doubled
    never_ran = {"NumHoldsByReason": {"StartdHeldJob": 1}, "LastHoldReasonCode": 21, "LastHoldReasonSubCode": 0}
    assert value(dag, PLANE, "request_memory", **never_ran) == int(variables(dag, PLANE)["memory"])


def test_requests_grow_only_so_far(tmp_path: Path) -> None:
    """Where no limit is known, and a policy of the machines holds a job again and again."""
    dag = planned(tmp_path, limits=False)
    last = {"LastHoldReasonCode": 21, "LastHoldReasonSubCode": 102}
    assert value(dag, PLANE, "request_memory", NumHoldsByReason={"StartdHeldJob": 300}, **last) > 0
