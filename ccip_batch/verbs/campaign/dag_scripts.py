"""What the outer DAG runs on the access point: before a square (pre), and after it (post).

Run as `python -m ccip_batch.verbs.campaign.dag_scripts VERB CAMPAIGN SQUARE TILE [RETURN]`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ccip_batch import processes
from ccip_batch.errors import CcipError, ExitCode
from ccip_batch.verbs.campaign.square import begin_in_pool, end_in_pool


def main(verb: str, folder: str, name: str, tile: str, returned: str = "0") -> int:
    """Run a verb; gives the exit code for DAGMan. tile: that of the square when the DAG was planned."""
    if verb == "pre":
        begin_in_pool(Path(folder), name, tile)
        return 0
    return end_in_pool(Path(folder), name, tile, int(returned))


if __name__ == "__main__":
    processes.keep_others_from_writing()
    processes.yield_to_others()
    # DAGMan may be killed; its next one starts this again
    os.environ[processes.PARENT_VARIABLE] = str(os.getppid())
    processes.die_with_parent()
    try:
        sys.exit(main(*sys.argv[1:]))
    except CcipError as error:
        print(error, file=sys.stderr)
        sys.exit(int(error.exit_code))
    except OSError as error:
        print(f"{' '.join(sys.argv[1:])}: {error}", file=sys.stderr)
        sys.exit(int(ExitCode.RESOURCES))
