"""The outer DAG of a campaign: a SUBDAG EXTERNAL for each square, planned when its turn comes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ccip_batch.campaign.config import Campaign
from ccip_batch.campaign.table import Square
from ccip_batch.engines.htcondor.plan import DAG, planning_variables, write_script
from ccip_batch.engines.htcondor.sites import SITES_VARIABLE
from ccip_batch.errors import RunFolderError
from ccip_batch.records import write_whole

OUTER = "campaign.dag"
SCRIPT = "campaign-dag.sh"
CONFIG = "dagman.config"
SCRIPTS = "ccip_batch.verbs.campaign.dag_scripts"
"""The module that DAGMan's scripts call."""
_CONFIG = """\
# DAGMan's own configuration for the outer DAG. One PRE script at a time: it waits until it is a square's turn.
DAGMAN_MAX_PRE_SCRIPTS = 1
DAGMAN_MAX_POST_SCRIPTS = 2
"""
_CATEGORY = "squares"


def write_outer_dag(campaign: Campaign, squares: Iterable[Square], name: str = OUTER) -> Path:
    """Write the outer DAG of these squares and what it needs; gives its path. The same squares give the same text."""
    folder = campaign.folder
    folder.dag.mkdir(parents=True, exist_ok=True)
    blocks = []
    for square in squares:
        place = folder.run(square.name, square.tile) / "dag"
        place.mkdir(parents=True, exist_ok=True)  # DAGMan wants it to be there when it reads the DAG
        if place.resolve() != place:  # the scripts find the campaign from there
            raise RunFolderError(f"{place} is behind a link, to {place.resolve()}. Move the whole campaign there.")
        blocks.append(_block(square, Path("../squares", square.tile, square.name, "dag")))
    write_whole(folder.dag / CONFIG, _CONFIG)
    sites = {SITES_VARIABLE: str(Path(there).absolute())} if (there := os.environ.get(SITES_VARIABLE)) else {}
    when = "before (pre) and after (post) each square"
    write_script(folder.dag / SCRIPT, SCRIPTS, when, "campaign plan", planning_variables(sites))
    head = (
        f"# {len(blocks)} squares, at most {campaign.config.bounds.squares} of them at work at once. Written by "
        f"ccip-batch campaign plan.\n# Start it here with: condor_submit_dag {name}\nCONFIG {CONFIG}\n"
    )
    path = folder.dag / name
    write_whole(path, head + "".join(blocks) + f"\nMAXJOBS {_CATEGORY} {campaign.config.bounds.squares}\n")
    return path


def _block(square: Square, place: Path) -> str:
    node, script = square.node, f"../../../../dag/{SCRIPT}"  # scripts run in the folder of their node
    priority = f"PRIORITY {node} {square.priority}\n" if square.priority else ""
    return (
        f"\nSUBDAG EXTERNAL {node} {DAG} DIR {place}\n"
        f"SCRIPT PRE {node} {script} pre ../../../.. {square.name} {square.tile}\n"
        f"SCRIPT POST {node} {script} post ../../../.. {square.name} {square.tile} $RETURN\n"
        f"CATEGORY {node} {_CATEGORY}\n{priority}"
    )
