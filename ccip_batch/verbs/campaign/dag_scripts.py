"""What the outer DAG runs on the access point: before a square (pre), and after it (post).

Run as `python -m ccip_batch.verbs.campaign.dag_scripts VERB CAMPAIGN SQUARE TILE [RETURN]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ccip_batch.engines.htcondor.dag_scripts import run_as_script
from ccip_batch.verbs.campaign.square import begin_in_pool, end_in_pool


def main(verb: str, folder: str, name: str, tile: str, returned: str = "0") -> int:
    """Run a verb; gives the exit code for DAGMan. tile: that of the square when the DAG was planned."""
    if verb == "pre":
        begin_in_pool(Path(folder), name, tile)
        return 0
    return end_in_pool(Path(folder), name, tile, int(returned))


if __name__ == "__main__":
    sys.exit(run_as_script(main))
