"""Hold codes of HTCondor in words."""

from __future__ import annotations

import errno

import pytest

from ccip_batch.engines.htcondor.holds import Hold, HoldKind


@pytest.mark.parametrize(
    ("hold", "kind", "words"),
    [
        (Hold(34, 102, ""), HoldKind.MEMORY, "more memory than it had asked for"),
        (Hold(34, 0, "Memory usage exceeded a limit"), HoldKind.MEMORY, "more memory"),
        (Hold(34, 104, ""), HoldKind.DISK, "disk space"),
        (Hold(21, 0, "disk usage exceeded request_disk"), HoldKind.DISK, "disk space"),
        (Hold(21, 7, "of no known kind"), HoldKind.OTHER, ""),
        (Hold(12, errno.ENOSPC, ""), HoldKind.DISK, "disk space"),
        (Hold(13, errno.ENOENT, ""), HoldKind.INPUT, "no such file or directory"),
        (Hold(12, errno.ENOENT, ""), HoldKind.OUTPUT, "no such file or directory"),
        (Hold(3, 47, "it ran for more than 3600 s"), HoldKind.TIME, "longer than it had asked for"),
        (Hold(3, 1, ""), HoldKind.POLICY, "own policy"),
        (Hold(1, 0, ""), HoldKind.USER, "held by its user"),
        (Hold(4711, 3, ""), HoldKind.OTHER, "hold code 4711/3"),
    ],
)
def test_kinds_and_words(hold: Hold, kind: HoldKind, words: str) -> None:
    assert hold.kind is kind and words in hold.words


def test_the_sub_code_of_a_transfer_by_url_is_no_errno() -> None:
    reason = "Transfer output files failure at execution point slot1@here using protocol http. Details: error: 403"
    assert Hold(12, 1, reason).words == "its output files could not be transferred back"
    assert "not permitted" in Hold(12, 1, "write to file failed").words


@pytest.mark.parametrize(
    ("code", "subcode", "short"),
    [
        (34, 0, True),
        (34, 104, True),
        (21, 102, True),
        (21, 104, True),
        (21, 0, False),
        (21, 101, False),
        (13, 104, False),
    ],
)
def test_after_which_holds_a_job_asks_for_more(code: int, subcode: int, short: bool) -> None:
    assert Hold(code, subcode, "").is_shortage is short
