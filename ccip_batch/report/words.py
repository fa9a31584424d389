"""Numbers in words."""

from __future__ import annotations

import time


def duration(seconds: float) -> str:
    """`43 s`, `12 min 5 s`, `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def amount(size: float) -> str:
    """Bytes: `812 kB`, `3.4 GB`."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= limit:
            return f"{size / limit:.3g} {unit}"
    return f"{size:.0f} B"


def moment(seconds: float) -> str:
    """A time since 1970 as UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def count(number: int, noun: str) -> str:
    """`1 plane`, `2 planes`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
