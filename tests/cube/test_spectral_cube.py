"""What astropy's WCS and spectral-cube can do with a table of frequencies, as docs/rm_synthesis.md says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.wcsapi import SlicedLowLevelWCS
from skies import FREQUENCIES, Sky, Source, write_plane

from ccip_batch.cube.cubes import Options, make_cube

# what astropy adds of itself (MJD-OBS)
pytestmark = pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    folder = tmp_path / "planes"
    folder.mkdir()
    for spw in (10, 12, 13):
        write_plane(folder, spw, Sky([Source(48, 48)], noise=1e-3))
    return folder


def test_spectral_cube_refuses_an_uneven_axis(planes: Path, tmp_path: Path) -> None:
    spectral_cube = pytest.importorskip("spectral_cube")
    result = make_cube(planes, tmp_path / "out", Options(axis="table"))
    with pytest.raises(ValueError, match="-TAB"):
        spectral_cube.SpectralCube.read(result.cubes["I"])


def test_astropy_reads_frequencies(planes: Path, tmp_path: Path) -> None:
    result = make_cube(planes, tmp_path / "out", Options(axis="table"))
    with fits.open(result.cubes["I"]) as hdus:
        wcs = WCS(hdus[0].header, hdus)
        line = SlicedLowLevelWCS(wcs, (0, slice(None), 48, 48))
        assert line.pixel_to_world_values(np.arange(3)) == pytest.approx([FREQUENCIES[spw] for spw in (10, 12, 13)])
        assert hdus["PLANES"].data["FREQ"] == pytest.approx([FREQUENCIES[spw] for spw in (10, 12, 13)])
