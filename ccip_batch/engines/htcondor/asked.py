"""What a node's job asks of the pool, as the files in dag/ say. Needs no pool."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from ccip_batch.engines.htcondor.attempts import read_attempt
from ccip_batch.engines.htcondor.plan import DAG, planned_site
from ccip_batch.engines.htcondor.requests import gigabytes, megabytes
from ccip_batch.errors import ConfigError
from ccip_batch.run.run import Run

_REQUEST = re.compile(r'^VARS (\S+) .*memory="(\d+)" disk="(\d+)".*$', re.MULTILINE)
_CPUS = re.compile(r'cpus="(\d+)"')


@dataclass(frozen=True)
class Asked:
    """What a job asks for."""

    cpus: int
    memory_mb: int
    disk_mb: int

    @property
    def words(self) -> str:
        """As a list in a sentence."""
        cores = "1 core" if self.cpus == 1 else f"{self.cpus} cores"
        return f"{cores}, {gigabytes(self.memory_mb):.2f} GB of memory, {gigabytes(self.disk_mb):.2f} GB of disk"


def read_asked(run: Run, shortages: Mapping[str, int]) -> dict[str, Asked]:
    """What the last job of each node asks for, by the node's name; empty if the run was not planned.

    shortages: how often the last job of a node was held because it had asked for too little (NodeRow.shortages).
    """
    try:
        text = (run.folder.dag / DAG).read_text(encoding="utf-8")
        site = planned_site(run)
    except (OSError, ConfigError):
        return {}
    asked = {}
    for found in _REQUEST.finditer(text):
        name, cpus = found[1], _CPUS.search(found[0])
        if name in run.graph:
            times = read_attempt(run, name).more + shortages.get(name, 0)
            memory, disk = (
                min(int(first) << times, megabytes(limit) or sys.maxsize)
                for first, limit in ((found[2], site.memory_limit), (found[3], site.disk_limit))
            )
            asked[name] = Asked(int(cpus[1]) if cpus else 1, memory, disk)
    return asked
