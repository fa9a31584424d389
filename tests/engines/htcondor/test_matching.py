"""Which machines could run a job, from ClassAds that were recorded on the personal pool (2 cores, 1 of them in use)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ccip_batch.engines.htcondor.asked import Asked
from ccip_batch.engines.htcondor.matching import Matches, conditions, match_jobs
from ccip_batch.errors import DataError

pytest.importorskip("classad2")

ADS = Path(__file__).parents[2] / "data" / "event_logs"
JOBS = (ADS / "idle.queue.ads").read_text()
SLOT = (ADS / "idle.slots.ads").read_text().strip()


def slot(**attributes: str) -> str:
    """The recorded slot with other attributes."""
    text = SLOT
    for name, value in attributes.items():
        text = re.sub(rf"^{name} = .*\n", "", text, flags=re.MULTILINE) + f"\n{name} = {value}"
    return text + "\n\n"


def matches(node: str, *slots: str) -> Matches:
    found = match_jobs(JOBS, "".join(slots))[node].matches
    assert found is not None
    return found


def test_too_large_for_any_machine() -> None:
    assert matches("image_spw03", slot()) == Matches(1, 0, 0, "TARGET.Memory >= RequestMemory", 1)


def test_a_machine_that_is_busy_counts_as_if_it_were_empty() -> None:
    """condor_q -better-analyze says of this job that its condition on Cpus matches 0 slots."""
    assert matches("image_spw05", slot()) == Matches(1, 1, 0)
    assert matches("image_spw05", slot(Cpus="2")) == Matches(1, 1, 1)


def test_a_slot_of_fixed_size_is_as_large_as_it_is() -> None:
    fixed = {"PartitionableSlot": "false", "SlotType": '"Static"', "Cpus": "2"}
    assert matches("image_spw05", slot(**fixed, State='"Unclaimed"')) == Matches(1, 1, 1)
    assert matches("image_spw05", slot(**fixed, State='"Claimed"')) == Matches(1, 1, 0)


def test_the_condition_that_excludes_most() -> None:
    slots = slot(), slot(HasLustre="true"), slot(HasLustre="true", TotalSlotMemory="32"), slot(HasLustre="false")
    assert matches("image_spw04", *slots) == Matches(4, 1, 1, "HasLustre is true", 2)


def test_a_machine_with_a_policy_of_its_own() -> None:
    found = matches("image_spw05", slot(), slot(Start="TARGET.RequestCpus < 2"))
    assert found == Matches(2, 1, 0, refuse=1)
    assert "1 refuse it by a policy of their own (START)" in found.words


def test_what_a_job_asks_for() -> None:
    assert match_jobs(JOBS, slot())["image_spw03"].asked == Asked(1, 90_000_000, 10)


def test_no_machine_at_all() -> None:
    assert matches("image_spw04").words == "condor_status knows no machine of the pool"
    assert match_jobs("", "") == {}


def test_a_job_on_the_access_point_needs_no_machine() -> None:
    jobs = JOBS.replace("JobUniverse = 5", "JobUniverse = 12")
    assert match_jobs(jobs, slot())["image_spw03"].matches is None


def test_what_is_no_classad_is_told() -> None:
    with pytest.raises(DataError, match="cannot be read"):
        match_jobs("Owner = \n", slot())
    with pytest.raises(DataError, match="cannot be read"):
        match_jobs('DAGNodeName = "image_spw03"\n', slot())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("TARGET.Memory >= 5", ["TARGET.Memory >= 5"]),
        ("((A > 1) && B is true) && (C)", ["A > 1", "B is true", "C"]),
        ("(A || B) && f(x, y && z) > 2", ["A || B", "f(x, y && z) > 2"]),
        ("A || B && C", ["A || B && C"]),
        ("(A) == (B)", ["(A) == (B)"]),
        ("(A ?: B) && (P ? Q : R && S)", ["A ?: B", "P ? Q : R && S"]),
        (r'Name != "a && \" (" && B', [r'Name != "a && \" ("', "B"]),
    ],
)
def test_conditions(text: str, parts: list[str]) -> None:
    assert conditions(text) == parts
