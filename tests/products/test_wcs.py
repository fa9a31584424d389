"""The positions that astropy and CASA read from the products are the same."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

PIXELS = [(0, 0), (17, 200), (128, 128), (255, 3)]
CASA_POSITIONS = """
import json, sys
from pathlib import Path
from ccip_batch.casa.session import Casa
casa, found = Casa(Path("casa.log")), {}
for path in sys.argv[2:]:
    with casa.tool("image") as tool:
        tool.open(path)
        system = tool.coordsys()
        found[path] = []
        for x, y in json.loads(sys.argv[1]):
            world = system.toworld([x, y, 0, 0], format="n")["numeric"]
            found[path].append([float(world[0]), float(world[1])])
        tool.close()
print(json.dumps(found))
"""


def test_products(finished: Path, tmp_path: Path) -> None:
    paths = sorted(finished.glob("products/*.fits"))
    assert len(paths) == 18 + 1
    done = subprocess.run(
        [sys.executable, "-c", CASA_POSITIONS, json.dumps(PIXELS), *map(str, paths)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    for name, positions in json.loads(done.stdout.splitlines()[-1]).items():
        with fits.open(name) as hdus, warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)  # what astropy adds of itself: MJD-OBS and OBSGEO-L
            ours = WCS(hdus[0].header, hdus).all_pix2world([[x, y, 0, 0] for x, y in PIXELS], 0)[:, :2]
        theirs = np.degrees(positions)
        theirs[:, 0] %= 360
        assert ours == pytest.approx(theirs, abs=1e-9), Path(name).name
