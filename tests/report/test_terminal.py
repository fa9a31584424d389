"""The report on a terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest
from helpers.report_facts import UNEVEN, many_planes

from ccip_batch.report.facts import RunFacts
from ccip_batch.report.terminal import render


def test_verdict_and_figures(facts: RunFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = render(facts).splitlines()
    assert lines[0] == "Done: 3 of 4 planes kept."
    assert "  1 empty: spw 9 (completely flagged)" in lines
    native = facts.planes[-1].native
    assert native and any(re.search(rf"17 .* kept .*{re.escape(format(native.peak * 1e3, '.4g'))} ", line)
                          for line in lines)  # fmt: skip
    assert max(map(len, lines[lines.index("  1 empty: spw 9 (completely flagged)") + 3 :])) <= 80


def test_a_wide_terminal_has_more_columns(facts: RunFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    narrow = render(facts)
    monkeypatch.setenv("COLUMNS", "200")
    wide = render(facts)
    assert "rms V" in wide and "rms V" not in narrow
    assert "Stopped by" not in wide


def test_outliers_have_stars(facts: RunFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(number: int, record: str, result: Any) -> None:
        if record == "target":
            result["flagged_fraction"] = 0.2 * UNEVEN[number] + (0.3 if number == 5 else 0)

    monkeypatch.setenv("COLUMNS", "200")
    lines = render(many_planes(facts, change)).splitlines()
    assert [line.split()[0] for line in lines if "****" in line and "sigma" not in line] == ["5"]


def test_what_is_missing(failed: RunFacts) -> None:
    text = render(failed)
    assert "tier-1 mask is missing" in text and "self-calibration table is missing" in text
