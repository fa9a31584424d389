"""Names that CASA takes for something else than names.

CASA has no way to quote a name. It replaces `$NAME` by the variable of that name and a leading `~` by a home, takes
what stands behind `::` for a part of a table, copies subtables with `cp -r '...'` in a shell, and writes names into
quotes when it selects rows. It also makes every name absolute, so that the folder that it works in matters. Inputs are
given to it by links with plain names; what cannot be given so is refused here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_UNFIT_PARTS = {
    "'": "a quote (')",
    '"': 'a quote (")',
    "$": "a dollar sign",
    "::": "two colons (::)",
}
"""What no path of a folder that CASA works in may have, as it was tried with CASA 6.7."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@,%-]*")
"""Names of files that CASA opens by that name: nothing of a shell, a pattern, an expression or an option."""

MOST_LETTERS = 200
"""Of such a name: CASA and we append to it, and a file system takes 255 bytes."""

MOST_BYTES = 3000
"""Of the path of a folder that nodes work in: the system takes 4096, and names in there are long."""


def unfit_in_folder(folder: Path) -> str:
    """What the path of a folder has that CASA cannot work with; empty if it can work there."""
    found = [words for part, words in _UNFIT_PARTS.items() if part in str(folder)]
    if len(os.fsencode(folder)) > MOST_BYTES:
        found.append(f"more than {MOST_BYTES} bytes")
    return " and ".join([*found, *(["bytes that are not UTF-8"] if is_no_text(folder) else [])])


def is_no_text(path: Path) -> bool:
    """Whether a path has bytes that stand for no letter, so that it cannot be written into a file of ours."""
    return any("\udc80" <= letter <= "\udcff" for letter in str(path))


def is_plain(name: str) -> bool:
    """Whether a file or a table can be given to CASA by this name."""
    return _PLAIN_NAME.fullmatch(name) is not None and len(name) <= MOST_LETTERS


PLAIN = f"letters, digits and _ . + = @ , % -, not . or - at the start, at most {MOST_LETTERS} in all"
"""What a plain name has, for messages."""
