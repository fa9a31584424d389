"""What tests of the restoring share: stock CASA, and checksums of the columns of a measurement set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

GROUPS = ("spw10", "spw12_13", "spw17")
COLUMNS = {"DATA", "FLAG", "FLAG_ROW", "WEIGHT", "SIGMA", "WEIGHT_SPECTRUM", "UVW", "TIME", "ANTENNA1", "DATA_DESC_ID"}

SUMS = """
import hashlib, json, sys, casatools
table, sums = casatools.table(), {}
table.open(sys.argv[1])
for column in table.colnames():
    if table.iscelldefined(column, 0):
        sums[column] = hashlib.sha256(table.getcol(column).tobytes()).hexdigest()
print(json.dumps(sums))
"""


def python(code: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, cwd=cwd)


def stock(code: str, finished: Path, *arguments: str | Path) -> str:
    """What a script in stock CASA prints last."""
    site = finished / "nodes" / "restore" / "casa_home" / "casasiteconfig.py"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "CASASITECONFIG": str(site)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def sums(vis: Path, finished: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(stock(SUMS, finished, vis))
    assert set(found) >= COLUMNS and not {"MODEL_DATA", "CORRECTED_DATA"} & set(found)
    return found
