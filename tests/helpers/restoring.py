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
found = []
for path in sys.argv[1:]:
    table, sums = casatools.table(), {}
    table.open(path)
    for column in table.colnames():
        if table.iscelldefined(column, 0):
            sums[column] = hashlib.sha256(table.getcol(column).tobytes()).hexdigest()
    table.close()
    found.append(sums)
print(json.dumps(found))
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


def sums(finished: Path, *measurement_sets: Path) -> list[dict[str, str]]:
    """Checksums of the columns of each measurement set."""
    found: list[dict[str, str]] = json.loads(stock(SUMS, finished, *measurement_sets))
    assert len(found) == len(measurement_sets)
    for columns in found:
        assert set(columns) >= COLUMNS and not {"MODEL_DATA", "CORRECTED_DATA"} & set(columns)
    return found


def restored(finished: Path) -> list[Path]:
    """The measurement sets that the finished run made, one for each group."""
    return [finished / "nodes" / "restore" / "out" / f"{group}.ms" for group in GROUPS]
