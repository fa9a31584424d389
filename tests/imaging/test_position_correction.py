"""The wide-field position correction against values that NRAO's pipeline wrote (case A, spws 10 and 17)."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from ccip_batch.imaging.position_correction import PositionCorrection

CODE = """
import json, sys
from pathlib import Path
from ccip_batch.casa.session import Casa
from ccip_batch.imaging.position_correction import position_correction
casa = Casa(Path("casa.log"))
made = [position_correction(casa, *arguments).model_dump() for arguments in json.loads(sys.argv[1])]
print(json.dumps(made))
"""
RA, DEC = 203.399225, 16.73451527778
START, END = 59066.98941554974, 59066.989694484924


def test_values_of_the_reference(tmp_path: Path) -> None:
    requests = [(RA, DEC, START, END, frequency) for frequency in (3.051e9, 3.947e9)]
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(requests)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    made = [PositionCorrection.model_validate(values) for values in json.loads(done.stdout.splitlines()[-1])]
    assert made[0].zenith_distance_deg == pytest.approx(17.16696642283278, abs=1e-6)
    assert made[0].mjd == pytest.approx(59066.989555017324, abs=1e-8)
    assert made[0].apply(RA, DEC) == pytest.approx((203.39922478273854, 16.73449453725135), abs=1e-9)
    assert made[1].apply(RA, DEC) == pytest.approx((203.39922487018262, 16.734502884964492), abs=1e-9)


def test_history_tells_what_was_done() -> None:
    correction = PositionCorrection(
        zenith_distance_deg=45.0, parallactic_angle_deg=0.0, mjd=59000.5, x_arcsec=0.0, y_arcsec=-0.25
    )
    lines = correction.history(RA, DEC)
    assert lines[0] == "Uncorrected CRVAL1 = 2.033992250000E+02 deg"
    assert lines[-1].startswith("Position correction (0.000000/cos(CRVAL2), -0.250000) arcsec applied")
    ra, dec = correction.apply(RA, DEC)
    assert ra == RA and math.isclose((dec - DEC) * 3600, -0.25, abs_tol=1e-9)
