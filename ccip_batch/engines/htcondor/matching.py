"""Which machines of a pool could run a job, from the ClassAds of both. Needs the bindings, but no pool.

`condor_q -better-analyze` counts for each condition the slots as they are now, parts of machines that run jobs too
(23.9.6): on a busy pool it names a condition that every machine meets once it is free. Here a partitionable slot is
looked at as if nothing ran there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ccip_batch.engines.htcondor.asked import Asked
from ccip_batch.engines.htcondor.dagman import MOST_SLOTS
from ccip_batch.errors import DataError


@dataclass(frozen=True)
class Matches:
    """How many slots of a pool could run a job. A partitionable slot, usually a whole machine, counts once."""

    slots: int
    could: int
    """That could run it if nothing else ran there."""
    now: int
    """That could start it now."""
    condition: str = ""
    """The condition of the job that excludes most slots, as ClassAds have it; empty if none excludes any."""
    excluded: int = 0
    """Slots that it excludes."""
    refuse: int = 0
    """Slots that meet all conditions of the job, and refuse it by a policy of their own."""

    @property
    def words(self) -> str:
        """A sentence, without its full stop."""
        if self.slots == 0:
            return "condor_status knows no machine of the pool"
        those = f"the pool's {self.slots} slots" if self.slots < MOST_SLOTS else f"{self.slots} slots of the pool"
        said = f"{self.could} of {those} could run it"
        if self.could:
            said += f" when they are free, {self.now} of them now"
        if self.condition:
            said += f"; the condition `{self.condition}` excludes {self.excluded} of them"
        if self.refuse:
            said += f"; {self.refuse} refuse it by a policy of their own (START)"
        return said


@dataclass(frozen=True)
class QueuedJob:
    """A job in the queue, and which machines could run it."""

    asked: Asked
    matches: Matches | None
    """None for a job that runs on the access point itself."""


def match_jobs(jobs: str, slots: str) -> dict[str, QueuedJob]:
    """The jobs of DAG nodes by the node's name, matched with the slots; both in the long form of ClassAds.

    slots: all but the dynamic ones, which are parts of the others. Raises DataError if the text is no ClassAds.
    """
    import classad2

    try:
        machines = [_Slot.read(ad) for ad in _ads(slots)]
        known: dict[tuple[object, ...], Matches] = {}
        found = {}
        for job in _ads(jobs):
            asked = Asked(
                int(job.eval("RequestCpus")), int(job.eval("RequestMemory")), int(job.eval("RequestDisk")) >> 10
            )
            matches = None
            if job.eval("JobUniverse") != _LOCAL:
                kind = (asked, str(job.lookup("Requirements")))
                matches = known[kind] = known.get(kind) or _match(job, machines)
            found[str(job.eval("DAGNodeName"))] = QueuedJob(asked, matches)
    except (classad2.ClassAdException, KeyError, TypeError, ValueError) as error:
        raise DataError(f"the ClassAds of the queue or of the machines cannot be read: {error}") from error
    return found


_LOCAL = 12
"""JobUniverse of a job on the access point."""


@dataclass(frozen=True)
class _Slot:
    now: Any
    """Its ClassAd."""
    empty: Any
    """Its ClassAd if nothing ran there."""

    @classmethod
    def read(cls, ad: Any) -> _Slot:
        if not ad.get("PartitionableSlot", False):
            return cls(ad, ad)
        import classad2

        empty = classad2.ClassAd()
        empty.update(ad)
        for name in ad:
            if name.startswith("TotalSlot") and name != "TotalSlots":
                empty[name.removeprefix("TotalSlot")] = ad[name]
        return cls(ad, empty)

    @property
    def is_free(self) -> bool:
        return self.now is not self.empty or self.now.get("State") == "Unclaimed"


def _ads(text: str) -> list[Any]:
    import classad2

    ads = list(classad2.parseAds(text)) if text.strip() else []
    if text.strip() and not ads:  # what it cannot read it passes over
        raise ValueError(text.strip()[:200])
    return ads


def _match(job: Any, slots: Sequence[_Slot]) -> Matches:
    import classad2

    requirements = job.lookup("Requirements")
    wanted = [slot for slot in slots if requirements.eval(job, slot.empty) is True]
    could = [slot for slot in wanted if _takes(slot.empty, job)]
    now = [slot for slot in could if slot.is_free and job.symmetricMatch(slot.now)]
    counts = {
        text: sum(condition.eval(job, slot.empty) is not True for slot in slots)
        for text, condition in ((text, classad2.ExprTree(text)) for text in conditions(str(requirements)))
    }
    worst = max(counts, key=lambda text: counts[text])
    return Matches(
        slots=len(slots),
        could=len(could),
        now=len(now),
        condition=worst if counts[worst] else "",
        excluded=counts[worst],
        refuse=len(wanted) - len(could),
    )


def _takes(slot: Any, job: Any) -> bool:
    """Whether a slot's own policy takes a job."""
    return slot.lookup("Requirements").eval(slot, job) is True


_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|&&|\|\||\?:| \? |[(\[{]|[)\]}]')


def conditions(text: str) -> list[str]:
    """The conditions that an expression joins with `&&`, those in brackets too."""
    text = _without_brackets(text)
    depth, cuts = 0, [0]
    for token in _TOKEN.finditer(text):
        if token[0] in "([{":
            depth += 1
        elif token[0] in ")]}":
            depth -= 1
        elif depth == 0 and token[0] == "&&":
            cuts += [token.start(), token.end()]
        elif depth == 0 and token[0] in ("||", "?:", " ? "):
            return [text]  # these bind less than && does
    if len(cuts) == 1:
        return [text]
    cuts.append(len(text))
    parts = [text[start:end] for start, end in zip(cuts[::2], cuts[1::2], strict=True)]
    return [condition for part in parts for condition in conditions(part)]


def _without_brackets(text: str) -> str:
    """An expression without brackets around all of it."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")"):
        depth = 0
        for token in _TOKEN.finditer(text):
            depth += token[0] in "([{"
            depth -= token[0] in ")]}"
            if depth == 0 and token.end() < len(text):
                return text
        text = text[1:-1].strip()
    return text
