"""Squares that do nothing: DAGMan, the pool, turns and the journal are real, the jobs of a square end at once.

Called by the outer DAG instead of `ccip_batch.verbs.campaign.dag_scripts`, with the same arguments.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

from ccip_batch import processes
from ccip_batch.campaign.config import Campaign, load_campaign
from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.campaign.turn import end_turn, turn, wait_for_disk
from ccip_batch.engines.htcondor.plan import DAG

_DAG = "JOB a ../../../../noop.sub NOOP\nJOB b ../../../../noop.sub NOOP\nPARENT a CHILD b\n"


def main(verb: str, folder: str, name: str, tile: str, returned: str = "0") -> int:
    campaign: Campaign = load_campaign(Path(folder))
    square = SimpleNamespace(name=name)
    journal = Journal(campaign.folder.journal)
    if verb == "pre":
        with turn(campaign, square.name, 1.0):
            wait_for_disk(campaign, square.name, 1_000_000, 1.0)
            Path(DAG).write_text(_DAG)  # scripts run in the folder of their node
            journal.write([Entry(name, "at work")])
        return 0
    failed = name.endswith("7") or returned != "0"
    cause = "memory" if failed else ""
    journal.write(
        [Entry(name, "failed" if failed else "done", cause=cause, planes={"kept": 16}, cpu_s=3600.0, left=1000)]
    )
    end_turn(campaign.folder, name)
    return int(failed)


if __name__ == "__main__":
    processes.die_with_this_parent()
    sys.exit(main(*sys.argv[1:]))
