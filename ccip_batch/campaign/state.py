"""How a campaign stands: from its table and its journal, whatever its size; never from the logs of squares."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ccip_batch.campaign.config import Campaign
from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.campaign.table import Square, SquareTable, read_table
from ccip_batch.campaign.turn import disk_taken, squares_bound
from ccip_batch.job.problems import Problem

STATES = ("waiting", "at work", "stopped", "done", "failed")
"""`stopped`: it was at work when the campaign ended, and goes on with it."""
_RECENT_S = 86400.0


@dataclass(frozen=True)
class CampaignState:
    """A campaign as it was when it was read."""

    campaign: Campaign
    table: SquareTable
    entries: Mapping[str, Entry]
    """What was last heard of each square, by name."""
    alive: bool
    """Whether something works on it: an outer DAG in the queue, or `campaign run`."""
    problems: Sequence[Problem]
    """What is wrong with rows that are no squares."""
    now: float
    begun: float | None = None
    """When the first square was begun."""

    def state_of(self, square: Square) -> str:
        """One of STATES."""
        entry = self.entries.get(square.name)
        state = entry.state if entry else "waiting"
        return "stopped" if state == "at work" and not self.alive else state

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many squares are in each state."""
        found = Counter(self.state_of(square) for square in self.table.squares)
        return {state: found[state] for state in STATES}

    def squares_in(self, *states: str) -> list[Square]:
        """The squares in these states, in the order in which they are begun."""
        return [square for square in self.table.squares if self.state_of(square) in states]

    @cached_property
    def failures(self) -> dict[str, list[Square]]:
        """The squares that failed, by cause; the most frequent cause comes first."""
        causes: dict[str, list[Square]] = {}
        for square in self.squares_in("failed"):
            causes.setdefault(self.entries[square.name].cause or "internal", []).append(square)
        return dict(sorted(causes.items(), key=lambda item: (-len(item[1]), item[0])))

    @cached_property
    def planes(self) -> dict[str, int]:
        """How many planes of squares that have ended are in which state."""
        found: Counter[str] = Counter()
        for entry in self._of_table:
            found.update(entry.planes)
        return dict(found)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of the squares that have ended."""
        return sum(entry.cpu_s for entry in self._of_table)

    @property
    def products(self) -> int:
        """Bytes of the products of squares that are done."""
        return sum(entry.products for entry in self._of_table if entry.state == "done")

    @property
    def disk(self) -> int:
        """Bytes of disk that are taken, or kept free for squares at work."""
        return disk_taken(self.campaign.folder, self.entries.values())

    @property
    def bound(self) -> int:
        """How many squares may be at work."""
        return squares_bound(self.campaign)

    @property
    def held(self) -> bool:
        """Whether no square is begun at present."""
        return self.campaign.folder.halted.exists()

    @cached_property
    def rate(self) -> float | None:
        """Squares done per day: over the last day, or since the first was begun; None before the first is done."""
        ends = [entry.time for entry in self._of_table if entry.state == "done"]
        if not ends:
            return None
        since = max(self.now - _RECENT_S, self.begun if self.begun is not None else min(ends))
        recent = [end for end in ends if end >= since]
        return len(recent) / max(self.now - since, 1.0) * 86400 if recent else None

    @property
    def seconds_left(self) -> float | None:
        """Until all squares have ended, if it goes on as now; None if nothing is known."""
        left = self.counts["waiting"] + self.counts["at work"] + self.counts["stopped"]
        return left / self.rate * 86400 if self.rate and left else None

    @cached_property
    def _of_table(self) -> list[Entry]:
        names = {square.name for square in self.table.squares}
        return [entry for name, entry in self.entries.items() if name in names]


def read_state(campaign: Campaign, alive: bool) -> CampaignState:
    """Read how a campaign stands. Raises as `read_table`."""
    problems: list[Problem] = []
    table = read_table(campaign.config.table, problems)
    journal = Journal(campaign.folder.journal)
    return CampaignState(campaign, table, journal.read(), alive, problems, time.time(), journal.begun())


def planes_so_far(run: Path) -> dict[str, int]:
    """How many planes of a square at work are imaged, failed, or under way; quick, for only names are looked at."""
    found: Counter[str] = Counter()
    for node in (run / "nodes").glob("image_*"):
        is_done, has_failed = (node / "result.json").exists(), (node / "failure.json").exists()
        found["imaged" if is_done else "failed" if has_failed else "under way"] += 1
    return dict(found)
