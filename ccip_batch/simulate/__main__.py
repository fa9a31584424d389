"""The process in which CASA simulates: `write.simulate` starts it in a work folder of its own."""

from __future__ import annotations

import json
import sys

from ccip_batch.simulate.presets import resolve
from ccip_batch.simulate.write import PROGRESS_MARK, make

if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    make(
        resolve(request["preset"], **request["sizes"]),
        request["seed"],
        lambda line: print(PROGRESS_MARK + line, flush=True),
    )
