"""Spectral windows as the headers of VLASS name them (VLASSSPW): `3~4`, `3~4,7`."""

from __future__ import annotations

from collections.abc import Iterable


def as_ranges(spws: Iterable[int]) -> str:
    """Spectral windows in rising order, neighbours joined as NRAO's pipeline joins them: `3~4,7`."""
    ranges: list[list[int]] = []
    for spw in sorted(set(spws)):
        if ranges and spw == ranges[-1][1] + 1:
            ranges[-1][1] = spw
        else:
            ranges.append([spw, spw])
    return ",".join(str(first) if first == last else f"{first}~{last}" for first, last in ranges)


def from_ranges(text: str) -> list[int]:
    """The spectral windows that `as_ranges` wrote; ranges and commas in any order. Raises ValueError."""
    spws: list[int] = []
    for part in text.split(","):
        first, joined, last = part.partition("~")
        begin = int(first)
        end = int(last) if joined else begin
        if not 0 <= begin <= end < 10_000:
            raise ValueError(f"{part.strip()!r} is not a range of spectral windows")
        spws += range(begin, end + 1)
    return spws
