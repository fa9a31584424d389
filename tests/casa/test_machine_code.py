"""Code overwritten in the memory of a process of its own. That CASA gives the same bits with it: test_speed.py."""

from __future__ import annotations

from typing import Any

import pytest

from ccip_batch.casa.machine_code import may_be_entered


@pytest.fixture
def case(session_cases: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = session_cases["machine code"]
    return found


def test_a_function_is_overwritten_and_put_back(case: dict[str, Any]) -> None:
    assert case["said"] == [41, 7, 41]
    assert case["done"] == [False, True]


@pytest.mark.parametrize(
    ("which", "words"), [("changed by something else", "was changed by something else"), ("too short", "is too short")]
)
def test_what_is_not_as_expected_is_refused(case: dict[str, Any], which: str, words: str) -> None:
    kind, text = case[which]
    assert kind == "RefusedError" and words in text


def test_names_that_no_library_has(case: dict[str, Any]) -> None:
    assert case["unknown"] == [] and case["libraries"] > 10


@pytest.mark.parametrize(
    ("jump", "target"),
    [("eb03", 5), ("7403", 5), ("e803000000", 8), ("e903000000", 8), ("0f8503000000", 9), ("e2fe", 0)],
)
def test_jumps_into_code_are_seen(jump: str, target: int) -> None:
    code = bytes.fromhex(jump).ljust(24, b"\x90")
    assert may_be_entered(code, target - 1, target + 1)
    assert not may_be_entered(code, target, target + 1)  # to the start it may lead
    assert not may_be_entered(code, 20, 24)
