"""What `export` writes: headers, and the common beam."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers.finished_runs import stage

IMAGENAME_GROUPS = {"10": "10", "12,13": "12_13", "17": "17"}


@pytest.mark.parametrize("spw", IMAGENAME_GROUPS)
def test_headers(finished: Path, spw: str) -> None:
    targets = stage(finished, "restore", "editimlist_cube")["planes"]
    target = next(one for one in targets if one["spw"] == spw)
    for path in finished.glob(f"products/*.spw{IMAGENAME_GROUPS[spw]}.*.fits"):
        with fits.open(path) as hdus:
            hdus.verify("exception")
            assert hdus[0].verify_checksum() == hdus[0].verify_datasum() == 1
            header, data = hdus[0].header, hdus[0].data
        assert header["VLASSSPW"] == spw.replace(",", "~")
        assert header["VLASSPL"] == ("IQU" if ".IQU." in path.name else "V")
        assert header["NAXIS4"] == len(header["VLASSPL"])
        assert header["VLASSITY"] == ("RMS_TT0" if ".rms." in path.name else "INTENSITY_PBCOR_TT0")
        assert header["VLASSRJ"] is False
        assert header["VLASSBWN"] == pytest.approx(128e6 * len(spw.split(",")))
        assert header["VLASSBW"] == pytest.approx(target["bandwidth_hz"])
        assert header["CRVAL3"] == pytest.approx(target["reffreq_ghz"] * 1e9)
        assert header["OBJECT"] == path.name.split(".")[4]
        assert "+" not in header["DATE-OBS"] and header["DATE-OBS"] < header["DATE-END"]
        assert np.isfinite(data).any() and np.nanmax(np.abs(data)) > 0
        common = path.name.endswith(".com.fits")
        assert ("ZD" in header) is not common
        assert header["VELREF"] == (1 if common else 257) and header["EXTEND"] is True
        assert ("Position correction (" in str(header["HISTORY"])) is not common
        assert not any(str(finished) in str(card) for card in header["HISTORY"])


def test_common_beam_is_common(finished: Path) -> None:
    beams = {
        tuple(fits.getheader(path)[key] for key in ("BMAJ", "BMIN", "BPA"))
        for path in finished.glob("products/*.com.fits")
    }
    assert len(beams) == 1
    native = [fits.getheader(path)["BMAJ"] for path in finished.glob("products/*.IQU.*tt0.subim.fits")]
    assert beams.pop()[0] >= max(native)
