"""That each check speaks up when CASA has not done its work, and keeps silent when it has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ccip_batch.casa.checks import check_fits
from ccip_batch.errors import CasaError

CASES = {
    "planes: V zero": ("CasaError", "Stokes V of zero.image is zero everywhere"),
    "planes: Q NaN": ("CasaError", "Stokes Q of nan.image has no finite pixel"),
    "planes: order": ("CasaError", "I, Q, V, U instead of I, Q, U, V"),
    "statistics: V zero": ("CasaError", "Stokes V of zero.image is zero everywhere"),
    "statistics: Q NaN": ("CasaError", "Stokes Q of nan.image has no finite pixel"),
    "beam: default": ("CasaError", "was not fitted: 6 x 6 arcsec"),
    "beam: huge": ("CasaError", "was not fitted: 120 x 60 arcsec"),
    "beam: zero": ("CasaError", "was not fitted"),
    "beam: NaN": ("CasaError", "was not fitted"),
    "beam: no psf": ("CasaError", "no positive pixel"),
    "mask: empty": ("DataError", "empty.mask is empty"),
    "mask: elsewhere": ("DataError", "elsewhere.mask is of another part of the sky"),
    "mask: antipode": ("DataError", "antipode.mask is of another part of the sky"),
    "mask: regridded from elsewhere": ("DataError", "larger.mask is of another part of the sky"),
    "model: zero": ("CasaError", "is zero everywhere"),
    "model: zero in one spw": ("CasaError", "is zero in spw 12"),
    "model: NaN": ("CasaError", "MODEL_DATA of spw 12"),
    "groups: all flagged": ("CasaError", "is zero everywhere"),
    "groups: weights unchanged": ("CasaError", "statwt has changed no weight"),
    "weights: negative in one spw": ("CasaError", "of spw 12"),
    "weights: zero in one spw": ("CasaError", "of spw 12"),
    "weights: NaN in one spw": ("CasaError", "of spw 12"),
    "flags: random order": ("DataError", "its rows are in another order"),
    "flags: one row further": ("DataError", "its rows are in another order"),
    "flags: none flagged": ("DataError", "would unflag 100%"),
    "flags: rows of the data in another order": ("DataError", "not in the order of field"),
    "flags: another number of rows": ("DataError", "rows but"),
    "flags: missing": ("DataError", "is missing"),
    "restorepims: flags in random order": ("DataError", "its rows are in another order"),
    "restorepims: changed by something else": ("DataError", "was changed by something else"),
}
GOOD = ("planes", "statistics", "beam", "mask", "model", "weights", "groups", "flags")


@pytest.fixture(scope="module")
def said(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each case of check_cases.py said: `ok`, or an error."""
    script = Path(__file__).parent / "check_cases.py"
    done = subprocess.run(
        [sys.executable, str(script), str(finished)],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("sanity"),
    )
    assert done.returncode == 0, done.stderr
    cases: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return cases


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_told(said: dict[str, str], name: str) -> None:
    kind, words = CASES[name]
    assert said[name].startswith(f"{kind}: ") and words in said[name]


def test_what_is_right_passes(said: dict[str, str]) -> None:
    good = {name for name in said if name not in CASES}
    assert good == {*(f"{what}: good" for what in GOOD), "mask: regridded", "planes: one pixel"}
    assert {said[name] for name in good} == {"ok"}


def write(path: Path, data: np.ndarray, first: int = 1, step: int = 1, axis: str = "STOKES") -> Path:
    header = fits.Header()
    for n, (kind, start, increment) in enumerate(
        (("RA---SIN", 0, 1), ("DEC--SIN", 0, 1), ("FREQ", 3e9, 1e8), (axis, first, step)), 1
    ):
        header[f"CTYPE{n}"], header[f"CRPIX{n}"], header[f"CRVAL{n}"], header[f"CDELT{n}"] = kind, 1.0, start, increment
    fits.PrimaryHDU(data.astype(np.float32), header).writeto(path)
    return path


def test_fits_files(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(size=(3, 1, 8, 8))
    blank, zero = noise.copy(), noise.copy()
    blank[1] = np.nan
    zero[2] = 0
    check_fits(write(tmp_path / "good.fits", noise), "IQU")
    check_fits(write(tmp_path / "v.fits", noise[:1], first=4), "V")
    for name, data, arguments, words in (
        ("blank.fits", blank, {}, "Stokes Q of blank.fits has no finite pixel"),
        ("zero.fits", zero, {}, "Stokes U of zero.fits is zero"),
        ("shifted.fits", noise, {"first": 2}, "Stokes planes 2, 3, 4"),
        ("reversed.fits", noise, {"first": 3, "step": -1}, "Stokes planes 3, 2, 1"),
        ("none.fits", noise, {"axis": "TIME"}, "no Stokes axis"),
    ):
        with pytest.raises(CasaError, match=words):
            check_fits(write(tmp_path / name, data, **arguments), "IQU")
