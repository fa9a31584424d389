from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from helpers.casa_cases import stage_result

from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.job.config import ResolvedJob
from ccip_batch.stages.editimlist import CubeTargets
from ccip_batch.stages.exportvlassdata import ImagedPlane, Levels, mark_rejection, plane_cards


@pytest.fixture
def exported(stage_cases: dict[str, Any]) -> dict[str, Any]:
    """Plane 17 exported once more: natively, and rejected in a beam of 30 x 28 arcsec."""
    found: dict[str, Any] = stage_cases["exportvlassdata"]
    return found


def test_the_native_set_has_the_pixels_of_the_run_and_the_corrected_position(
    finished: Path, exported: dict[str, Any]
) -> None:
    native = exported["native"]
    assert len(native["files"]) == 4
    for file in native["files"]:
        made, of_run = (
            Path(exported["folder"], "native", file["name"]),
            finished / "nodes/image_spw17/out" / file["name"],
        )
        assert np.array_equal(fits.getdata(made), fits.getdata(of_run), equal_nan=True)
        header = fits.getheader(made)
        shift = (
            np.array([header["CRVAL1"], header["CRVAL2"]]) - [native["nominal_ra_deg"], native["nominal_dec_deg"]]
        ) * 3600
        shift[0] *= np.cos(np.radians(native["nominal_dec_deg"]))
        expected = [native["correction"]["x_arcsec"], native["correction"]["y_arcsec"]]
        assert shift == pytest.approx(expected, rel=1e-3) and np.hypot(*shift) > 0.01
        assert header["DATARMS"] == pytest.approx(native["data_rms"], rel=1e-12)
        assert header["DATARMS"] == pytest.approx(exported["edge"], rel=1e-3)
        assert header["VLASSPK"] == pytest.approx(np.nanmax(_stokes_i(finished)), rel=1e-6)
        assert "VLASSRJ" not in header  # not decided yet


def _stokes_i(finished: Path) -> Any:
    path = next(finished.glob("planes/spw17/*.IQU.iter3.image.pbcor.tt0.subim.fits"))
    return fits.getdata(path)[0, 0]


def test_the_common_beam_set_is_convolved_and_at_its_nominal_position(finished: Path, exported: dict[str, Any]) -> None:
    for file in exported["common"]:
        header = fits.getheader(Path(exported["folder"], "common", file["name"]))
        beam = [header["BMAJ"] * 3600, header["BMIN"] * 3600, header["BPA"]]
        assert beam == pytest.approx([30.0, 28.0, 15.0], rel=1e-4)
        assert header["CRVAL1"] == pytest.approx(exported["native"]["nominal_ra_deg"], abs=1e-9)
        assert header["CRVAL2"] == pytest.approx(exported["native"]["nominal_dec_deg"], abs=1e-9)
        assert (header["VELREF"], header["DATARMS"]) == (1, pytest.approx(exported["native"]["data_rms"], rel=1e-12))
        assert header["VLASSRJ"] is True and header["CCIPNODE"] == "a fingerprint"
    linear = next(file["name"] for file in exported["common"] if ".IQU." in file["name"])
    image = fits.getdata(Path(exported["folder"], "common", linear))[0, 0]
    before = np.nanmax(_stokes_i(finished))
    assert 0.8 * before < np.nanmax(image) < 1.1 * before  # Jy/beam of a point source stay, but for its neighbours
    assert exported["left"] == []


def test_a_mark_of_rejection_changes_no_pixel(finished: Path, tmp_path: Path) -> None:
    sources = sorted((finished / "nodes/image_spw17/out").glob("*.fits"))
    trace = {"CCIPVER": ("0", "Version of ccip_batch")}
    for rejected in (True, False):
        folder = tmp_path / str(rejected)
        folder.mkdir()
        files = mark_rejection(sources, rejected, folder, trace)
        assert [file.name for file in files] == [path.name for path in sources]
        for path in sources:
            header = fits.getheader(folder / path.name)
            assert header["VLASSRJ"] is rejected and header["CCIPVER"] == "0"
            assert fits.getdata(folder / path.name).tobytes() == fits.getdata(path).tobytes()


def test_cards_tell_bandwidths_and_names(finished: Path) -> None:
    targets = CubeTargets.model_validate(stage_result(finished, "restore", "editimlist_cube"))
    split = MsSummary.model_validate(stage_result(finished, "restore", "transformimagedata"))
    plane = next(plane for plane in targets.planes if plane.spw == "12,13")
    job = ResolvedJob.from_yaml((finished / "job.resolved.yaml").read_text())
    job = job.model_copy(update={"phasecenter": "J2000 centre"})
    about, levels = ImagedPlane(plane, split, job), Levels(peak=0.5, rms=1e-3, data_rms=2e-3)
    cards = plane_cards(about, "V", "RMS_TT0", levels)
    values = {key: value for key, (value, _) in cards.items()}
    assert values["VLASSSPW"] == "12~13" and values["VLASSPL"] == "V" and values["VLASSITY"] == "RMS_TT0"
    assert values["VLASSBWN"] == pytest.approx(256e6) and values["VLASSBW"] <= values["VLASSBWN"]
    assert (values["VLASSPK"], values["VLASSRMS"], values["VLASSPC"]) == (0.5, 1e-3, "J2000 centre")
    assert (values["OBJECT"], values["VLASSTN"], values["VLASSEP"]) == ("J133336+164404", "T00t00", "2.1")
    assert values["DATE-OBS"].startswith("2020-08-05T23:4") and values["DATE-OBS"] < values["DATE-END"]
    assert (values["CTRFRQ"], values["EFFBW"]) == (plane.reffreq_ghz * 1e9, plane.bandwidth_hz)
    assert (values["SPW"], values["WEIGHT"], values["ROBUST"], values["DATARMS"]) == ("12,13", "briggs", 1.0, 2e-3)
    assert [values[f"SPWNAM0{n}"] for n in (1, 2)] == [split.spw(spw).name for spw in (12, 13)] and values[
        "NSPWNAM"
    ] == 2
    image = "".join(values[f"FILNAM0{n}"] for n in range(1, values["NFILNAM"] + 1))
    assert image == f"{plane.imagename}.IQUV.iter3.image.tt0"
    assert "DATARMS" not in plane_cards(about, "V", "RMS_TT0", Levels(peak=0.5, rms=1e-3))
    with warnings.catch_warnings():  # that a comment is cut
        warnings.simplefilter("error")
        assert all(len(str(fits.Card(key, *card))) == 80 for key, card in cards.items())


def test_without_an_object_in_the_name_the_field_stays(finished: Path) -> None:
    targets = CubeTargets.model_validate(stage_result(finished, "restore", "editimlist_cube"))
    split = MsSummary.model_validate(stage_result(finished, "restore", "transformimagedata"))
    job = ResolvedJob.from_yaml((finished / "job.resolved.yaml").read_text())
    plane = targets.planes[-1].model_copy(update={"imagename": "my.image.spw17"})
    assert "OBJECT" not in plane_cards(ImagedPlane(plane, split, job), "V", "RMS_TT0", Levels(peak=0.5, rms=1e-3))
