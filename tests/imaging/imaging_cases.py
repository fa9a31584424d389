"""Common beams and samples as CASA gives them, from a finished run of the simulation `small`.

python tests/imaging/imaging_cases.py RUN: in an empty folder. Prints JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from ccip_batch.casa.images import RestoringBeam
from ccip_batch.casa.session import Casa
from ccip_batch.imaging.common_beam import casa_common_beam
from ccip_batch.imaging.samples import Samples, take_samples

NODE = Path(sys.argv[1]) / "nodes" / "image_spw17"
BEAMS = {
    "one": [(4.0, 3.0, 20.0)],
    "nested": [(3.0, 2.0, 30.0), (5.0, 4.0, 30.0), (3.0, 3.0, 0.0)],
    "crossed": [(4.0, 3.0, -20.0), (3.9, 3.2, 30.0)],
}
casa = Casa(Path("casa.log").resolve())
common = {}
for name, beams in BEAMS.items():
    given = [RestoringBeam(major_arcsec=major, minor_arcsec=minor, pa_deg=angle) for major, minor, angle in beams]
    common[name] = {"given": beams, "found": casa_common_beam(casa, given).model_dump()}

work = NODE / "work"
kinds = ("iter3.image.pbcor.tt0.rms.subim", "iter2.cleanmask", "iter3.mask")
rms, cleanmask, mask = (str(next(work.glob(f"*.{kind}"))) for kind in kinds)
taken = take_samples(casa, str(NODE / "out" / "image.pbcor.subim"), rms, cleanmask, mask, (0, 0))
taken.save(Path("samples.npz"))
of_run = Samples.load(NODE / "out" / "samples.npz")
same = {
    key: bool(np.array_equal(getattr(taken, key), getattr(of_run, key), equal_nan=key in ("values", "means", "rms")))
    for key in ("shape", "y", "x", "values", "means", "rms", "inside_iter3")
}
print(json.dumps({"common": common, "samples": str(Path("samples.npz").resolve()), "same": same}))
