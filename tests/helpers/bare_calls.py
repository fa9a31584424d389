"""Running the plain script of bare.py, which makes the calls of `restore` or of a plane in stock CASA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ccip_batch.job import resources_archive
from ccip_batch.job.config import ResolvedJob
from ccip_batch.run.results import NodeResult

BARE = Path(__file__).parents[1] / "bench" / "bare.py"


def run_bare(what: str, folder: Path, casa_home: Path, core: int | None) -> list[tuple[float, int]]:
    """Run the plain script in a folder, with a node's CASA set-up (its data; no log window, no updates)."""
    site = casa_home / "casasiteconfig.py"
    environment = {**os.environ, "CASASITECONFIG": str(site), "HOME": str(casa_home), "OMP_NUM_THREADS": "1"}
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    with (folder / "log").open("w") as log:
        done = subprocess.run(
            [*pinned, sys.executable, str(BARE), what, "calls.json"],
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    found: list[tuple[float, int]] = json.loads(done.stdout.splitlines()[-1])
    return found


def selection(fields: list[int], scans: list[int], antennas: int) -> dict[str, str]:
    """tclean's selection of fields, scans and antennas (all of them, with each other)."""
    return {
        "field": ",".join(map(str, fields)),
        "scan": ",".join(map(str, scans)),
        "antenna": ",".join(map(str, range(antennas))) + "&",
    }


def restore_calls(job: ResolvedJob, result: NodeResult, folder: Path) -> dict[str, Any]:
    """What a plain script must know to restore the job's data in an empty folder, which gets SE-CONT's tables."""
    archive = job.inputs.reimaging_resources
    found = resources_archive.inspect(archive, job.root, job.continuum_imagename)
    resources_archive.extract(archive, folder, found)
    continuum, restored = result.stage("editimlist_continuum"), result.stage("restorepims")
    spws = ",".join(map(str, continuum["science_spws"]))
    fields = ",".join(map(str, continuum["fields"]))
    (folder / found.flagversions).rename(folder / "given.flagversions")
    return {
        "vis": f"{job.root}_split.ms",
        "mstransform": {"vis": str(job.inputs.vis), "field": fields, "spw": spws},
        "prediction": {
            **job.prediction(),
            "imagename": f"{job.continuum_imagename}.I.iter0",
            "spw": spws,
            **selection(continuum["fields"], continuum["scans"], continuum["antennas"]),
        },
        "models": list(found.models),
        "flagversions": "given.flagversions",
        "selfcal_table": found.selfcal_table,
        "spwmap": restored["spwmap"],
        "groups": [group.selection for group in job.groups],
    }
