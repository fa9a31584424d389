"""Headers as others write them: each value is read with what qualifies it, or refused by its name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from skies import CELL, CENTRE, FREQUENCIES, NAME, Sky, Source, write_plane

from ccip_batch.cube.planes.plane import find_planes
from ccip_batch.cube.spectra.catalogue import Position
from ccip_batch.cube.spectra.extract import extract
from ccip_batch.errors import DataError

SOURCE = Source(48, 48, 0.5, 0.3, v=0.1)
PLACE = Position("S", *CENTRE)
BEAM = (6e-3 / 3.6, 4e-3 / 3.6, 20.0)


@pytest.fixture
def plane(tmp_path: Path) -> Path:
    """The IQU file of one plane, with V and rms images beside it."""
    return write_plane(tmp_path, 2, Sky([SOURCE], correct=False), beam=BEAM)


def change(path: Path, **values: Any) -> None:
    """Set keywords of a file; None takes one out."""
    with fits.open(path, mode="update") as hdus:
        for key, value in values.items():
            name = key.replace("__", "-")
            if value is None:
                hdus[0].header.remove(name)
            else:
                hdus[0].header[name] = value


@pytest.mark.parametrize(
    ("value", "rejected"),
    [(True, True), (False, False), ("T", True), ("F", False), ("f ", False), ("True", True), (1, True), (0, False),
     ("0", False), (1.0, True)],
)  # fmt: skip
def test_rejected_however_it_is_written(plane: Path, value: Any, rejected: bool) -> None:
    change(plane, VLASSRJ=value)
    told: list[str] = []
    assert find_planes(plane.parent, warn=told.append)[0].rejected is rejected
    assert told == []


@pytest.mark.parametrize("value", [None, "", fits.card.Undefined()])
def test_not_told_whether_it_is_rejected(plane: Path, value: Any) -> None:
    change(plane, VLASSRJ=value)
    told: list[str] = []
    extract(plane.parent, [PLACE], warn=told.append)
    assert told == ["No VLASSRJ in the planes of spw 2: taken as kept."]


@pytest.mark.parametrize(
    "cards",
    [
        {"CRVAL3": 2.028, "CUNIT3": "GHz", "CDELT3": 0.128},
        {"CRVAL3": 2028.0, "CUNIT3": "MHZ", "CDELT3": 128.0},
        {"CRPIX3": 0.0, "CRVAL3": 1.9e9},
        {"CRPIX3": 0.0, "CRVAL3": 1.9, "CDELT3": 0.128, "CUNIT3": "GHz"},
        {"CRPIX3": 0.0, "CRVAL3": 1.9e9, "CDELT3": None, "CD3_3": 128e6, "CD1_1": -CELL, "CD2_2": CELL, "CD4_4": 1.0},
        {"CRPIX3": 2.0, "CRVAL3": 2.156e9, "CDELT3": 1.28e8},
        {"CRPIX3": 0.0, "CRVAL3": 1.9e9, "CDELT3": 64e6, "PC3_3": 2.0},
        {"CRVAL3": "2.028D9", "CRPIX3": "1"},
        {"CUNIT3": None},
        {"CUNIT3": ""},
        {"CUNIT1": "arcsec", "CRVAL1": CENTRE[0] * 3600, "CDELT1": -0.6},
        {"CUNIT2": "arcmin", "CRVAL2": CENTRE[1] * 60, "CDELT2": CELL * 60},
        {"CUNIT1": "DEGREE", "CUNIT2": None},
        {"CDELT2": None, "CDELT1": None, "CD1_1": -CELL, "CD2_2": CELL, "CD3_3": 1.28e8, "CD4_4": 1.0},
        {"BMAJ": (BEAM[0] * 3600, "[arcsec] major axis"), "BMIN": (BEAM[1] * 3600, "[arcsec]")},
        {"BMAJ": str(BEAM[0])},
        {"BPA": (math.radians(20), "[rad]")},
        {"CDELT1": None, "CDELT2": None, "CD1_1": -CELL, "CD2_2": CELL},
        {"CD1_1": -CELL, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": CELL, "CDELT3": 0.128, "CRVAL3": 2.028, "CUNIT3": "GHz"},
        {"EQUINOX": "2000"},
        {"EQUINOX": "J2000.0", "RADESYS": "icrs"},
        {"LONPOLE": -180.0},
        {"CROTA2": 360.0},
        {"CROTA2": 0.0, "PC1_2": 0.0},
    ],
)  # fmt: skip
def test_another_way_to_say_the_same(plane: Path, cards: dict[str, Any]) -> None:
    for path in plane.parent.glob("*.fits"):
        change(path, **cards)
    (found,) = find_planes(plane.parent)
    assert found.frequency == pytest.approx(FREQUENCIES[2], rel=1e-12) and found.header["CDELT3"] == pytest.approx(
        128e6
    )
    assert (found.header["CUNIT3"], found.header["CRPIX3"]) == ("Hz", 1)
    assert found.nominal == pytest.approx(CENTRE, abs=1e-10)
    assert (found.header["CDELT1"], found.header["CDELT2"]) == pytest.approx((-CELL, CELL))
    assert (found.beam.major_deg, found.beam.minor_deg, found.beam.pa_deg) == pytest.approx(BEAM)
    row = extract(plane.parent, [PLACE])[0]
    assert (row["I"], row["Q"], row["V"]) == pytest.approx((0.5, 0.15, 0.05), rel=1e-5)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("mJy/beam", 1e3),
        ("mJy beam-1", 1e3),
        ("JY/BEAM", 1),
        ("uJy/beam", 1e6),
        ("beam-1 Jy", 1),
        ("1e-3 Jy/beam", 1e3),
    ],
)
def test_brightness_in_another_unit(plane: Path, unit: str, factor: float) -> None:
    for path in plane.parent.glob("*.fits"):
        with fits.open(path, mode="update") as hdus:
            hdus[0].data *= factor
            hdus[0].header["BUNIT"] = unit
    row = extract(plane.parent, [PLACE])[0]
    assert (row["I"], row["V"], row["I_err"], row["V_err"]) == pytest.approx((0.5, 0.05, 1e-3, 1e-3), rel=1e-5)
    (found,) = find_planes(plane.parent)
    rms = found.read_rms("Q")
    assert (
        np.nanmax(found.read("I")) == pytest.approx(0.5) and rms is not None and np.nanmax(rms) == pytest.approx(1e-3)
    )
    assert found.header["BUNIT"] == "Jy/beam"


@pytest.mark.parametrize("cards", [{"CRVAL4": 3.0, "CDELT4": -1.0}, {"CRVAL4": 1.0, "CDELT4": -1.0, "CRPIX4": 3.0}])
def test_stokes_in_another_order(plane: Path, cards: dict[str, Any]) -> None:
    with fits.open(plane, mode="update") as hdus:
        hdus[0].data = hdus[0].data[::-1].copy()
        hdus[0].header.update(cards)
    row = extract(plane.parent, [PLACE])[0]
    assert (row["I"], row["Q"], row["U"]) == pytest.approx((0.5, 0.15, 0.0), abs=1e-6)


def test_scaled_integers_with_blanks(plane: Path) -> None:
    data, header = fits.getdata(plane), fits.getheader(plane)
    blank = np.isnan(data)
    stored = np.where(blank, -32768, np.round((data - 0.1) / 1e-4)).astype(np.int16)
    hdu = fits.PrimaryHDU(stored, header)
    hdu.header.update({"BSCALE": 1e-4, "BZERO": 0.1, "BLANK": -32768})
    hdu.writeto(plane, overwrite=True)
    (found,) = find_planes(plane.parent)
    pixels = found.read("Q")
    assert np.array_equal(np.isnan(pixels), blank[1, 0]) and np.nanmax(pixels) == pytest.approx(0.15, abs=1e-4)
    assert extract(plane.parent, [PLACE])["I"][0] == pytest.approx(0.5, abs=2e-4)


def test_fk5_is_taken_to_icrs(plane: Path) -> None:
    change(plane, RADESYS="FK5")
    (found,) = find_planes(plane.parent)
    apart = math.hypot(*(np.subtract(found.nominal, CENTRE) * 3600))
    assert 5e-3 < apart < 50e-3 and found.header["RADESYS"] == "ICRS"
    assert (found.header["CRVAL1"], found.header["CRVAL2"]) == pytest.approx(found.nominal)


def test_a_history_of_another_place_counts_for_nothing(plane: Path) -> None:
    with fits.open(plane, mode="update") as hdus:
        for axis, value in ((1, 250.0), (2, 90.0)):
            hdus[0].header["HISTORY"] = f"Uncorrected CRVAL{axis} = {value:.12E} deg"
    assert find_planes(plane.parent)[0].nominal == pytest.approx(CENTRE, abs=1e-10)


def test_the_beam_in_casas_table(plane: Path) -> None:
    def beams(second: float) -> fits.BinTableHDU:
        columns = [
            fits.Column(key, "E", unit=unit, array=np.array(values))
            for key, unit, values in (
                ("BMAJ", "arcsec", [6.0, second, 6.0]), ("BMIN", "arcsec", [4.0] * 3), ("BPA", "deg", [20.0] * 3)
            )
        ]  # fmt: skip
        return fits.BinTableHDU.from_columns(columns, name="BEAMS")

    data, header = fits.getdata(plane), fits.getheader(plane)
    header["CASAMBM"] = True
    for key in ("BMAJ", "BMIN", "BPA"):
        del header[key]
    fits.HDUList([fits.PrimaryHDU(data, header), beams(6.0)]).writeto(plane, overwrite=True)
    assert find_planes(plane.parent)[0].beam.major_deg == pytest.approx(6 / 3600)
    fits.HDUList([fits.PrimaryHDU(data, header), beams(7.0)]).writeto(plane, overwrite=True)
    with pytest.raises(DataError, match=r"spw2.*BMAJ.*BEAMS"):
        find_planes(plane.parent)


def turned(degrees: float, key: str) -> dict[str, float]:
    """A matrix that turns the sky."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    scales = (-CELL, CELL) if key == "CD" else (1.0, 1.0)
    cards = {
        f"{key}1_1": cosine * scales[0], f"{key}1_2": -sine * scales[0],
        f"{key}2_1": sine * scales[1], f"{key}2_2": cosine * scales[1],
    }  # fmt: skip
    return cards | ({"CD3_3": 1.28e8, "CD4_4": 1.0} if key == "CD" else {})


@pytest.mark.parametrize(
    ("cards", "keyword"),
    [
        (turned(1.0, "PC"), "PC1_2"),
        (turned(0.01, "CD"), "CD1_2"),
        ({"CROTA2": 1.0}, "CROTA2"),
        ({"PC1_2": 0.1}, "PC1_2"),
        ({"LONPOLE": 179.0}, "LONPOLE"),
        ({"PV2_1": 0.1}, "PV2_1"),
        ({"VLASSRJ": "perhaps"}, "VLASSRJ"),
        ({"VLASSRJ": 2}, "VLASSRJ"),
        ({"BUNIT": "K"}, "BUNIT"),
        ({"BUNIT": "Jy"}, "BUNIT"),
        ({"BUNIT": "Jy/pixel"}, "BUNIT"),
        ({"BUNIT": "MJY/BEAM"}, "BUNIT"),
        ({"BUNIT": ""}, "BUNIT"),
        ({"BUNIT": None}, "BUNIT is missing"),
        ({"BUNIT": "dB(Jy/beam)"}, "BUNIT"),
        ({"BUNIT": "-1 Jy/beam"}, "BUNIT"),
        ({"BUNIT": "1e400 Jy/beam"}, "BUNIT"),
        ({"CDELT1": 0.0}, "CDELT1"),
        ({"CDELT3": 0.0}, "CDELT3"),
        ({"CDELT3": None, "CD1_1": -CELL, "CD2_2": CELL}, "CDELT3 is missing"),
        ({"CRPIX1": 1e9}, "CRPIX1"),
        ({"CUNIT3": "km/s"}, "CUNIT3"),
        ({"CUNIT2": "m"}, "CUNIT2"),
        ({"CRVAL3": 2.028}, "CRVAL3"),
        ({"CRVAL3": True}, "CRVAL3"),
        ({"CRVAL3": "two"}, "CRVAL3"),
        ({"CRPIX3": None}, "CRPIX3 is missing"),
        ({"CDELT3": None}, "CDELT3 is missing"),
        ({"CRVAL2": 95.0}, "CRVAL2"),
        ({"CTYPE3": "VRAD"}, "CTYPE3"),
        ({"CTYPE3": "VELO-LSR"}, "CTYPE3"),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}, "CTYPE1"),
        ({"CTYPE3": "STOKES", "CTYPE4": "FREQ"}, "CTYPE3"),
        ({"CRVAL4": 2.0}, "CRVAL4"),
        ({"CRVAL4": -1.0}, "CRVAL4"),
        ({"CRPIX4": 2.0}, "CRVAL4"),
        ({"CDELT4": 2.0}, "CRVAL4"),
        ({"BMAJ": 6.0, "BMIN": 4.0}, "BMAJ"),
        ({"BMAJ": 3e-5, "BMIN": 2e-5}, "BMAJ"),
        ({"BMAJ": BEAM[1], "BMIN": BEAM[0]}, "BMAJ"),
        ({"BMAJ": None}, "BMAJ is missing"),
        ({"BMAJ": (6.0, "[Jy] major axis")}, "BMAJ"),
        ({"RADESYS": "FK4", "EQUINOX": 1950.0}, "RADESYS"),
        ({"RADESYS": "FK5", "EQUINOX": 1950.0}, "RADESYS"),
        ({"RADESYS": None, "EQUINOX": 1950.0}, "EQUINOX"),
        ({"RADESYS": "GALACTIC"}, "RADESYS"),
    ],
)
def test_refused_by_name(plane: Path, cards: dict[str, Any], keyword: str) -> None:
    change(plane, **cards)
    with pytest.raises(DataError) as error:
        find_planes(plane.parent)
    assert str(error.value).startswith(f"{plane.name}: {keyword}") and str(error.value).count(". ") >= 1


@pytest.mark.parametrize(
    "kind", ["V.iter3.image.pbcor.tt0", "IQU.iter3.image.pbcor.tt0.rms", "V.iter3.image.pbcor.tt0.rms"]
)
def test_companions_are_read_as_carefully(plane: Path, kind: str) -> None:
    other = plane.parent / f"{NAME}.spw2.{kind}.subim.fits"
    change(other, BUNIT="K")
    with pytest.raises(DataError, match=other.name):
        extract(plane.parent, [PLACE])


def test_frequencies_in_two_frames(plane: Path) -> None:
    other = write_plane(plane.parent, 3, Sky([SOURCE]))
    change(other, SPECSYS="TOPOCENT")
    with pytest.raises(DataError, match=r"SPECSYS = 'TOPOCENT' in .*spw3"):
        find_planes(plane.parent)
    change(other, SPECSYS="LSRK", CRVAL3=2.028, CUNIT3="GHz", CDELT3=0.128)
    with pytest.raises(DataError, match="same frequency"):
        find_planes(plane.parent)


def test_a_native_header_stays_as_it_is(plane: Path) -> None:
    (found,) = find_planes(plane.parent)
    raw = fits.getheader(plane)
    assert {key: found.header[key] for key in raw} == dict(raw) | {"VLASSPL": "IQU"}
