"""HISTORY cards: CASA's history of an image, in lines that fit a card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from astropy.time import Time

from ccip_batch.casa.session import Casa

WIDTH = 72
"""Characters in a HISTORY card."""
_START, _END = "CASA START LOGTABLE", "CASA END LOGTABLE"
_NOT_IN_CARDS = re.compile(r"[^ -~]")
_FOLDERS = re.compile(r"(?<![\w.])/(?:[\w.+@~-]+/)+([\w.+@~-]+)")


def casa_history(casa: Casa, image: str) -> list[str]:
    """What CASA did to make an image, from its log table, in the lines that `exportfits` makes of it.

    `exportfits` itself loses a character wherever it folds a line for the second time or later. Absolute paths, which
    are of the machine that made the image, are reduced to their last component.
    """
    if not Path(image, "logtable").is_dir():
        return []
    with casa.table(f"{image}/logtable") as table:
        entries = [table.getcol(name) for name in ("TIME", "PRIORITY", "LOCATION", "MESSAGE")]
    times = Time(entries[0] / 86400, format="mjd", scale="utc", precision=0).isot
    lines = [_START]
    for time, priority, location, message in zip(times, *entries[1:], strict=True):
        lines += [f"{time} {priority} SRCCODE='{location}'", *str(message).splitlines()]
    return [_NOT_IN_CARDS.sub("?", _FOLDERS.sub(r"\1", line)) for line in (*lines, _END)]


def folded(lines: Iterable[str]) -> list[str]:
    """Lines cut at blanks or commas so that each fits a card. What continues one begins with `>`, as CASA has it."""
    cards = []
    for line in lines:
        mark, rest = "", line.rstrip()
        while len(mark + rest) > WIDTH:
            end = _place_to_cut(rest, WIDTH - len(mark))
            cards.append(mark + rest[:end])
            mark, rest = ">", rest[end:]
        cards.append(mark + rest)
    return cards


def _place_to_cut(text: str, most: int) -> int:
    """The largest number of characters, up to `most`, after which a word ends; the blank begins the next line."""
    blank = next((n for n in range(most, 0, -1) if text[n] == " " != text[n - 1]), 0)
    return max(blank, text.rfind(",", 0, most) + 1) or most


def unfolded(cards: Sequence[str]) -> list[str]:
    """The lines that `folded` cut."""
    lines: list[str] = []
    for card in cards:
        if card.startswith(">") and lines:
            lines[-1] += card[1:]
        else:
            lines.append(card)
    return lines
