"""The survey's frequencies, and which planes a linear axis takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from skies import FREQUENCIES, Sky, Source, write_plane

from ccip_batch.cube.axis import linear_axis, survey_frequency, survey_offset
from ccip_batch.cube.cubes import Options, make_cube
from ccip_batch.errors import DataError

SKY = Sky([Source(8, 8)], size=16, border=0, beam_pixels=3)


def test_the_surveys_frequencies_are_those_of_the_archive() -> None:
    assert [survey_frequency(spw) for spw in (2, 10, 17)] == [2028e6, 3052e6, 3948e6]
    assert survey_offset({2: 2028.1e6, 3.5: 2220.1e6}) == pytest.approx(1e5)
    assert survey_offset({}) is None and survey_offset({2: 2051e6, 17: 3947e6}) == pytest.approx(11e6)
    assert survey_offset({2: 2051e6, 3: 2179e6, 17: 3940e6}) is None


@pytest.mark.parametrize(
    ("spws", "step", "count"),
    [
        (range(2, 18), 128e6, 16),
        ((2, 4, 6), 256e6, 3),
        ((2, 5, 7), 128e6, 6),
        ((2, 9, 17), 128e6, 16),
        ((4, 13), 9 * 128e6, 2),
        ((11,), 1e8, 1),
    ],
)
def test_the_axis_goes_through_the_planes(spws: list[int], step: float, count: int) -> None:
    frequencies = [FREQUENCIES[spw] for spw in spws]
    axis = linear_axis(frequencies, 1e8)
    assert axis.fits and axis.exact and (axis.step, axis.count) == (step, count)
    assert [axis.frequency(place) for place in axis.places] == frequencies
    assert [axis.place(frequency) for frequency in frequencies] == list(axis.places)
    assert axis.place(frequencies[0] - step) is None and axis.place(frequencies[0] + 0.3 * step) is None


def test_a_tenth_of_a_channel_is_the_limit() -> None:
    wobble = np.where(np.arange(16) % 2, 1, -1) * 11e6
    frequencies = np.array(list(FREQUENCIES.values()))
    axis = linear_axis((frequencies + wobble).tolist(), 128e6)
    assert axis.fits and not axis.exact and axis.off.max() < 12.8e6 and axis.step == pytest.approx(128e6, rel=5e-3)
    assert not linear_axis((frequencies + 1.4 * wobble).tolist(), 128e6).fits


def test_another_frame_stretches_the_axis() -> None:
    axis = linear_axis([frequency * (1 + 7e-5) for frequency in FREQUENCIES.values()], 128e6)
    assert axis.exact and axis.step == pytest.approx(128e6 * (1 + 7e-5))


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    """Spw 3, 5 (rejected), 6 and 8; 6 is 3 MHz high."""
    folder = tmp_path / "planes"
    folder.mkdir()
    for spw in (3, 5, 6, 8):
        write_plane(folder, spw, SKY, frequency=FREQUENCIES[spw] + 3e6 * (spw == 6), rejected=spw == 5)
    return folder


def test_channels_between_planes_tell_what_is_missing(planes: Path, tmp_path: Path) -> None:
    result = make_cube(planes, tmp_path / "out")
    assert [(channel.group, channel.state) for channel in result.channels] == [
        ("3", "kept"), ("4", "missing"), ("5", "rejected"), ("6", "kept"), ("7", "missing"), ("8", "kept")
    ]  # fmt: skip
    header = fits.getheader(result.cubes["I"])
    axis = header["CRVAL3"] + header["CDELT3"] * np.arange(header["NAXIS3"])
    own = np.loadtxt(result.frequencies)
    assert own[[0, 3, 5]].tolist() == [FREQUENCIES[3], FREQUENCIES[6] + 3e6, FREQUENCIES[8]]
    assert np.abs(own - axis).max() < 3e6 and fits.getdata(result.cubes["I"], "PLANES")["FREQ"].tolist() == own.tolist()
    assert any("MHz beside the linear frequency axis" in line for line in result.warnings)
    assert any("Hz beside the linear frequency axis" in line for line in header["HISTORY"])


def test_blank_planes_to_the_ends_of_the_survey(planes: Path, tmp_path: Path) -> None:
    result = make_cube(planes, tmp_path / "out", Options(blank_missing=True))
    assert [channel.group for channel in result.channels] == [str(spw) for spw in range(2, 18)]
    assert fits.getheader(result.cubes["I"])["CTYPE3"] == "FREQ"


def test_planes_that_fit_no_linear_axis(planes: Path, tmp_path: Path) -> None:
    write_plane(planes, "4_5", SKY, frequency=(FREQUENCIES[4] + FREQUENCIES[5]) / 2)
    next(planes.glob("*.spw5.IQU.*.tt0.subim.fits")).unlink()
    with pytest.raises(
        DataError, match=r"No linear frequency axis: spw 4,5 \(2348 MHz\) is 64 MHz off steps of 128 MHz"
    ):
        make_cube(planes, tmp_path / "out", Options(axis="linear"))
    assert not (tmp_path / "out").exists()
    result = make_cube(planes, tmp_path / "out")
    assert fits.getheader(result.cubes["I"])["CTYPE3"] == "FREQ-TAB" and len(result.channels) == 4
    assert any("is a table" in line and "spw 4,5" in line for line in result.warnings)


def test_no_blank_plane_where_nothing_tells_its_frequency(tmp_path: Path) -> None:
    for spw, frequency in ((2, 2051e6), (3, 2179e6), (17, 3940e6)):
        write_plane(tmp_path, spw, SKY, frequency=frequency)
    result = make_cube(tmp_path, tmp_path / "out", Options(blank_missing=True, axis="table"))
    assert len(result.channels) == 3 and any("No blank plane for spw 4, 5" in line for line in result.warnings)


def test_two_planes_are_never_one_channel(tmp_path: Path) -> None:
    assert not linear_axis([2028e6, 2034e6, 2156e6], 128e6).fits
    assert linear_axis([2028e6, 2034e6], 128e6).places == (0, 1)
    for spw, frequency in (("2_4", 2160e6), ("3", 2156e6), ("5", 2412e6)):
        write_plane(tmp_path, spw, SKY, frequency=frequency)
    result = make_cube(tmp_path, tmp_path / "out")
    assert [channel.group for channel in result.channels] == ["3", "2_4", "5"]
