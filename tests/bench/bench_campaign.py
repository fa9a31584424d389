"""What a campaign costs the access point, by its number of squares: growth from one size to the next."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ccip_batch.campaign.journal import Entry, Journal

SIZES = (100, 1_000, 10_000, 35_000)
CONFIG = """\
table: campaign.csv
job:
  inputs: {vis: x.ms, reimaging_resources: r.tgz, seip_parameter_list: s.list, ccip_parameter_list: c.list}
  execution: {engine: htcondor, site: local}
"""


def make(folder: Path, squares: int) -> None:
    """A campaign in which most squares are done, and some failed or are at work."""
    folder.mkdir(parents=True)
    (folder / "campaign.yaml").write_text(CONFIG)
    names = [
        f"VLASS2.1.cc.T{number // 1000:02d}t{number // 100 % 10:02d}.J{number:06d}+0.v1" for number in range(squares)
    ]
    (folder / "campaign.csv").write_text(
        "name,priority\n" + "".join(f"{name},{number % 3}\n" for number, name in enumerate(names))
    )


def fill(folder: Path) -> None:
    """What all squares have written so far."""
    journal, entries = Journal(folder / "dag" / "squares.jsonl"), []
    for number, line in enumerate((folder / "campaign.csv").read_text().splitlines()[1:]):
        name = line.split(",")[0]
        entries.append(Entry(name, "at work", time=1.7e9 + number))
        if number % 20 == 19:
            entries.append(Entry(name, "failed", 1.7e9 + number, "memory", "image_spw03 failed: out of memory " * 4))
        elif number % 200:
            planes = {"kept": 14, "rejected": 1, "empty": 1}
            entries.append(Entry(name, "done", 1.7e9 + number, "", "", planes, 1e5, 10**9, 10**7))
    journal.write(entries)


def cost(*words: str | Path) -> tuple[float, float]:
    """(seconds, MB) of a command."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, "
        "stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    started = time.monotonic()
    command = [sys.executable, "-c", code, sys.executable, "-m", "ccip_batch", "campaign", *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.monotonic() - started, int(done.stdout) / 1e3


def bench_campaign(fresh: Callable[[str], Path]) -> None:
    """`campaign plan`, `status` and `explain` at several sizes: seconds, MB, and what they are to the size before."""
    before: dict[str, float] = {}
    for squares in SIZES:
        folder = fresh(f"campaign-{squares}")
        make(folder, squares)
        for verb in ("plan", "status", "explain"):
            if verb == "status":
                fill(folder)
            seconds, memory = cost(verb, folder)
            growth = f", {seconds / before[verb]:.1f} times the size before" if verb in before else ""
            print(f"campaign {verb}, {squares} squares: {seconds:.2f} s, {memory:.0f} MB{growth}")
            before[verb] = seconds
