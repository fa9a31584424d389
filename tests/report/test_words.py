"""Numbers in words."""

from __future__ import annotations

import time

import pytest

from ccip_batch.report.words import amount, count, duration, moment


def test_durations() -> None:
    assert [duration(s) for s in (3.21, 42, 754, 12000)] == ["3.2 s", "42 s", "12 min 34 s", "3 h 20 min"]


def test_amounts() -> None:
    assert [amount(b) for b in (512, 12_345, 3_400_000_000)] == ["512 B", "12.3 kB", "3.4 GB"]


def test_moments_are_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "MST7")
        time.tzset()
        assert moment(0) == "1970-01-01 00:00:00 UTC"
    time.tzset()


def test_counts() -> None:
    assert [count(n, "plane") for n in (0, 1, 16)] == ["0 planes", "1 plane", "16 planes"]
