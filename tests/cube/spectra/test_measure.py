"""Flux of sources that were put in, between pixels and in noise, by each measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skies import CELL, CENTRE, Sky, Source, sky_wcs, write_plane

from ccip_batch.cube.beams import GaussianBeam
from ccip_batch.cube.planes.correlation import correlation
from ccip_batch.cube.spectra.catalogue import Position
from ccip_batch.cube.spectra.estimators import in_pixels
from ccip_batch.cube.spectra.extract import extract
from ccip_batch.cube.spectra.measure import Photometry
from ccip_batch.errors import DataError

RNG = np.random.default_rng(7)


def beam_of(pixels: float) -> tuple[float, float, float]:
    """A beam whose minor axis is as many pixels; degrees."""
    return 1.2 * pixels * CELL, pixels * CELL, 30.0


def field(size: int, apart: int, **more: float) -> list[Source]:
    """Sources anywhere between pixels."""
    middles = range(apart, size - apart // 2, apart)
    return [
        Source(x + float(RNG.uniform(-0.5, 0.5)), y + float(RNG.uniform(-0.5, 0.5)), **more)
        for x in middles
        for y in middles
    ]


def places(sources: list[Source]) -> list[Position]:
    ra, dec = sky_wcs(CENTRE).all_pix2world([s.x for s in sources], [s.y for s in sources], 0)
    return [Position(f"S{n}", *map(float, place)) for n, place in enumerate(zip(ra, dec, strict=True))]


@pytest.mark.parametrize("pixels", [2, 2.5, 3, 4, 5])
@pytest.mark.parametrize("common", [False, True])
def test_a_point_source_at_any_place_between_pixels(tmp_path: Path, pixels: float, common: bool) -> None:
    sources = field(160, 32, fraction=0.5)
    write_plane(tmp_path, 15, Sky(sources, size=160), beam=beam_of(pixels))
    wider = GaussianBeam(*beam_of(1.4 * pixels)) if common else None
    table = extract(tmp_path, places(sources), Photometry(beam=wider))
    assert np.max(np.abs(table["I"] - 1)) < 0.001
    assert table["Q"] == pytest.approx([source.stokes(3.5e9)["Q"] for source in sources], abs=5e-4)
    # What was made up for is in the error.
    assert np.all(np.abs(table["I"] - 1) < table["I_err"])


@pytest.mark.parametrize("common", [False, True])
def test_beside_blank_pixels(tmp_path: Path, common: bool) -> None:
    source = Source(54.6, 41.4)
    write_plane(tmp_path, 15, Sky([source], size=96, border=39), beam=beam_of(3))
    wider = GaussianBeam(*beam_of(4)) if common else None
    row = extract(tmp_path, places([source]), Photometry(beam=wider))[0]
    assert row["I"] == pytest.approx(1, abs=0.005)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Source]]:
    """Many equal sources in noise."""
    folder = tmp_path_factory.mktemp("noisy")
    sources = field(288, 24, flux=0.05, fraction=0.3)
    write_plane(folder, 15, Sky(sources, noise=1e-3, size=288), beam=beam_of(3))
    return folder, sources


@pytest.mark.parametrize(
    "how",
    [
        Photometry(), Photometry(beam=GaussianBeam(*beam_of(4.5))), Photometry("peak"), Photometry("aperture", 5.0),
        Photometry("gaussian"),
    ],
    ids=["value", "other beam", "peak", "aperture", "gaussian"],
)  # fmt: skip
def test_errors_are_those_of_the_noise(noisy: tuple[Path, list[Source]], how: Photometry) -> None:
    """Over many sources the differences from the truth, in errors, have mean 0 and width 1."""
    folder, sources = noisy
    table = extract(folder, places(sources), how)
    truth = [source.stokes(float(table["frequency"][0])) for source in sources]
    pulls = {s: (table[s] - [one[s] for one in truth]) / table[f"{s}_err"] for s in "IQUV"}
    for stokes, pull in pulls.items():
        print(how.measure, stokes, f"{len(pull)} pulls: {np.mean(pull):+.2f} {np.std(pull):.2f}")
        assert abs(np.mean(pull)) < 0.35
    assert 0.88 < np.std([*pulls.values()]) < 1.12


@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_the_correlation_of_noise(spread: float) -> None:
    """Of noise whose autocorrelation is the beam, and of noise smoothed by it."""
    beam = in_pixels(GaussianBeam(*beam_of(4)), (-CELL, CELL))
    v, u = np.meshgrid(np.fft.fftfreq(600), np.fft.fftfreq(600), indexing="ij")
    exponent = beam[0, 0] * u * u + 2 * beam[0, 1] * u * v + beam[1, 1] * v * v
    shape = np.exp(-(np.pi**2) * spread * exponent)
    noise = np.fft.ifft2(np.fft.fft2(RNG.standard_normal((600, 600))) * shape).real
    assert correlation(noise.astype(np.float32), beam) == pytest.approx(spread, rel=0.08)


def test_an_extended_source_and_what_is_told_of_it(tmp_path: Path) -> None:
    """Three points of 1 Jy in a row, in a beam of 3 pixels: nearly a Gaussian."""
    parts = [Source(80 + step, 80.3, fraction=0.2) for step in (-1.2, 0.0, 1.2)]
    write_plane(tmp_path, 15, Sky(parts, noise=1e-3, size=160), beam=(3 * CELL, 3 * CELL, 0.0))
    place = places([parts[1]])
    whole = extract(tmp_path, place, Photometry("aperture", 6.0))[0]
    fit = extract(tmp_path, place, Photometry("gaussian"))[0]
    assert whole["I"] == pytest.approx(3, abs=0.02 + 3 * whole["I_err"])
    assert fit["I"] == pytest.approx(3, rel=0.03) and fit["Q"] / fit["I"] == pytest.approx(
        whole["Q"] / whole["I"], rel=0.05
    )
    assert fit["major"] / fit["minor"] == pytest.approx(1.28, abs=0.05) and abs(fit["pa"]) == pytest.approx(90, abs=2)
    assert (fit["ra_fit"], fit["dec_fit"]) == pytest.approx((place[0].ra, place[0].dec), abs=0.05 * CELL)


def test_a_peak_beside_the_position(tmp_path: Path) -> None:
    source = Source(70.4, 81.7, 0.3, v=0.1)
    write_plane(tmp_path, 15, Sky([source], noise=1e-4, size=160), beam=beam_of(3))
    there = places([source])[0]
    beside = Position("beside", there.ra, there.dec + 1.5 * CELL)
    assert extract(tmp_path, [beside])["I"][0] < 0.25
    row = extract(tmp_path, [beside], Photometry("peak"))[0]
    assert row["I"] == pytest.approx(0.3, rel=0.002) and row["V"] == pytest.approx(0.03, abs=5e-4)
    assert (row["ra_peak"], row["dec_peak"]) == pytest.approx((there.ra, there.dec), abs=0.02 * CELL)


@pytest.mark.parametrize("how", [Photometry(limit=5), Photometry("aperture", 2.0, 5), Photometry("gaussian", limit=5)])
def test_upper_limits(tmp_path: Path, how: Photometry) -> None:
    source = Source(70.4, 81.7, 0.3)
    write_plane(tmp_path, 15, Sky([source], noise=1e-3, size=160), beam=beam_of(3))
    table = extract(tmp_path, [*places([source]), Position("nothing", CENTRE[0], CENTRE[1])], how)
    assert np.isnan(table["I_limit"][0]) and table["I_limit"][1] == pytest.approx(5 * table["I_err"][1])
    assert table["V_limit"] == pytest.approx(5 * table["V_err"])


def test_measures_that_are_none() -> None:
    for words, says in (
        (("flux",), "measured as value, peak, aperture, gaussian, not 'flux'"),
        (("aperture",), "needs its radius"),
        (("value", 3.0), "needs its radius"),
        (("aperture", -1.0), "give a radius above zero"),
        (("value", None, 0.0), "give a number above zero"),
    ):
        with pytest.raises(DataError, match=says):
            Photometry(*words)
