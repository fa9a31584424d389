"""Simulated jobs whose measurement set was changed in one thing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from ccip_batch.job.config import load_job
from helpers.simulated_runs import changed

ALTER = """
import sys
from pathlib import Path
from ccip_batch.casa.session import Casa
casa = Casa(Path("casa.log").resolve())
vis, what = sys.argv[1:]
if what == "fields":
    with casa.table(f"{vis}/FIELD", write=True) as table:
        for row in range(table.nrows()):
            table.putcell("NAME", row, f"J13330{row}+164249")
elif what == "row flags":
    with casa.table(vis, write=True) as table:
        flags = table.getcol("FLAG_ROW")
        flags[:] = True
        table.putcol("FLAG_ROW", flags)
elif what == "damage":
    file = Path(vis) / "ANTENNA/table.f0"
    file.write_bytes(file.read_bytes()[:600] + bytes(file.stat().st_size - 600))
elif what == "frequency":
    with casa.table(f"{vis}/SPECTRAL_WINDOW", write=True) as table:
        table.putcell("CHAN_FREQ", 10, table.getcell("CHAN_FREQ", 9))
else:
    with casa.table(f"{vis}/STATE", write=True) as table:
        for row in range(table.nrows()):
            table.putcell("OBS_MODE", row, table.getcell("OBS_MODE", row).replace("OBSERVE_TARGET#UNSPECIFIED", what))
"""
"""Changes a measurement set: names of fields, FLAG_ROW, the frequency of spw 10, or the intent of the target; or
overwrites the table of antennas from its middle on."""


def altered(job: Path, folder: Path, what: str) -> Path:
    """A job on a copy of its measurement set that is changed."""
    vis = load_job(job).inputs.vis
    shutil.copytree(vis, folder / vis.name)
    words = [sys.executable, "-c", ALTER, str(folder / vis.name), what]
    subprocess.run(words, check=True, capture_output=True, cwd=folder)
    return changed(job, folder, inputs__vis=str(folder / vis.name))
