"""Whose turn it is: a square waits until few enough are at work and until there is disk for it.

DAGMan runs PRE scripts as soon as a node may start, whatever its category allows. So the PRE script of a square waits
here, in one process (DAGMAN_MAX_PRE_SCRIPTS = 1), and all other squares wait in DAGMan's memory.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ccip_batch.campaign.config import Campaign, CampaignFolder
from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.errors import ResourceError
from ccip_batch.run.folder import lock_file

LOOK_S = 10.0
"""How often it is looked whether there is room."""
_FOR_EVER = 1e9


def squares_bound(campaign: Campaign) -> int:
    """How many squares may be at work now."""
    bound = campaign.config.bounds.squares
    try:
        return min(bound, int(campaign.folder.throttle.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return bound


@contextlib.contextmanager
def turn(campaign: Campaign, name: str, look_s: float = LOOK_S) -> Iterator[None]:
    """Wait until a square may begin. Within, it is its turn alone, and disk is to be taken for it.

    It is at work from then on, until `end_turn`; if it has taken no disk by the end, until the next one's turn.
    """
    folder = campaign.folder
    folder.at_work.mkdir(parents=True, exist_ok=True)
    with lock_file(folder.dag / ".turn.lock", _FOR_EVER):
        for note in others_at_work(folder, name):
            with contextlib.suppress(FileNotFoundError):  # it has ended just now
                if not note.stat().st_size:  # who had the turn was killed before it had taken disk
                    note.unlink()
        while not may_begin(campaign, name):
            time.sleep(look_s)
        (folder.at_work / name).touch()
        yield


def may_begin(campaign: Campaign, name: str) -> bool:
    """Whether a square may begin now, as far as the others at work are concerned."""
    folder = campaign.folder
    return not folder.halted.exists() and len(others_at_work(folder, name)) < squares_bound(campaign)


def wait_for_disk(campaign: Campaign, name: str, needed: int, look_s: float = LOOK_S) -> None:
    """Wait until there are so many bytes of disk for a square, and take them, within `turn`. Raises as `take_disk`."""
    while not take_disk(campaign, name, needed):
        time.sleep(look_s)


def take_disk(campaign: Campaign, name: str, needed: int) -> bool:
    """Take so many bytes of disk for a square; False if they are not there now.

    Squares at work count with what they may need, those that have ended with what they left. Raises ResourceError if
    the budget is too small for this square alone.
    """
    folder, budget = campaign.folder, campaign.config.bounds.disk
    if budget is not None and needed > budget:
        raise ResourceError(
            f"it needs some {needed / 1e9:.1f} GB of disk, more than bounds.disk ({budget / 1e9:.1f} GB) of "
            f"{campaign.path}. Give more, or make the images smaller."
        )
    if not _has_room(folder, name, needed, budget):
        return False
    folder.at_work.mkdir(parents=True, exist_ok=True)
    (folder.at_work / name).write_text(f"{needed}\n", encoding="utf-8")
    return True


def end_turn(folder: CampaignFolder, name: str) -> None:
    """The square is no longer at work."""
    (folder.at_work / name).unlink(missing_ok=True)


def others_at_work(folder: CampaignFolder, name: str = "") -> list[Path]:
    """The notes of squares at work, but not that of the one that asks."""
    notes = folder.at_work.glob("[!.]*")
    return [path for path in notes if path.name != name and path.is_file()]


def disk_taken(folder: CampaignFolder, entries: Iterable[Entry], name: str = "") -> int:
    """Bytes of disk that squares have taken: what those at work may need, and what the others left.

    entries: the last ones of the journal. name: of a square that does not count.
    """
    reserved = 0
    for note in others_at_work(folder, name):
        with contextlib.suppress(OSError, ValueError):
            reserved += int(note.read_text(encoding="utf-8") or 0)
    return reserved + sum(entry.left for entry in entries if entry.square != name)


def _has_room(folder: CampaignFolder, name: str, needed: int, budget: int | None) -> bool:
    if shutil.disk_usage(folder.path).free < needed:
        return False
    return budget is None or disk_taken(folder, Journal(folder.journal).read().values(), name) + needed <= budget
