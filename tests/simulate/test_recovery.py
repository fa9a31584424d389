from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ccip_batch.errors import DataError
from ccip_batch.job.spw_groups import SCIENCE_SPWS
from ccip_batch.simulate.beam import primary_beam
from ccip_batch.simulate.observation import PHASE_CENTRE, mosaic, spw_frequencies
from ccip_batch.simulate.presets import resolve
from ccip_batch.simulate.recovery import noise, recover
from ccip_batch.simulate.sky import ARCSEC, Source, direction_cosines

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "case_a"
PIXELS, CELL, BEAM = 200, 6.0, 36.0
SIGMA = 0.4e-3


def _truth(sources: tuple[Source, ...]) -> dict[str, Any]:
    preset = resolve("demo")
    return {
        "ra0_rad": PHASE_CENTRE[0],
        "dec0_rad": PHASE_CENTRE[1],
        "sources": [source.as_dict() for source in sources],
        "fields": [field.as_dict() for field in mosaic(preset)],
        "sefd_jy": 370.0,
        "nint": 2,
        "antennas": [f"ea{number:02d}" for number in range(1, 28)],
        "flagged_frac": {str(spw): 0.0 for spw in SCIENCE_SPWS},
        "spw_freq_hz": {str(spw): float(spw_frequencies(spw, 8).mean()) for spw in SCIENCE_SPWS},
    }


def _noise_of(spw: int, row: Any, column: Any) -> Any:
    """Standard deviation of the noise at a pixel: SIGMA by the root of the sum of the fields' squared beams."""
    east = -(column - PIXELS // 2) * CELL * ARCSEC
    north = (row - PIXELS // 2) * CELL * ARCSEC
    total = 0.0
    for field in mosaic(resolve("demo")):
        x, y, _ = direction_cosines(field.ra, field.dec, *PHASE_CENTRE)
        total = total + primary_beam(spw, np.hypot(east - x, north - y), spw_frequencies(spw, 1)) ** 2
    return SIGMA / np.sqrt(np.maximum(total, 1e-3))


def _write_plane(folder: Path, spw: int, sources: tuple[Source, ...], rejected: bool = False) -> None:
    """FITS files of a plane: sources as Gaussians of the common beam, noise that grows away from the fields."""
    random = np.random.default_rng(spw)
    frequency = float(spw_frequencies(spw, 8).mean())
    y, x = np.mgrid[0:PIXELS, 0:PIXELS]
    scatter = _noise_of(spw, y, x)
    image = random.normal(0, 1, (4, PIXELS, PIXELS)) * scatter
    for source in sources:
        east, north = -(x - PIXELS // 2) * CELL - source.dx, (y - PIXELS // 2) * CELL - source.dy
        width = source.gauss[0] if source.gauss else 0.0
        total = BEAM**2 + width**2
        shape = np.exp(-4 * np.log(2) * (east**2 + north**2) / total) * BEAM**2 / total
        for plane, flux in zip(image, source.stokes(np.array(frequency)), strict=True):
            plane += flux * shape
    header = fits.Header()
    for axis, kind, value, step in (
        (1, "RA---SIN", np.degrees(PHASE_CENTRE[0]), -CELL / 3600),
        (2, "DEC--SIN", np.degrees(PHASE_CENTRE[1]), CELL / 3600),
        (3, "FREQ", frequency, 128e6),
        (4, "STOKES", 1.0, 1.0),
    ):
        header[f"CTYPE{axis}"], header[f"CRVAL{axis}"], header[f"CDELT{axis}"] = kind, value, step
        header[f"CRPIX{axis}"] = PIXELS // 2 + 1 if axis < 3 else 1
    header["BMAJ"] = header["BMIN"] = BEAM / 3600
    header["RESTFRQ"], header["VLASSSPW"], header["VLASSRJ"] = frequency, str(spw), rejected
    stem = f"VLASS.spw{spw}"
    for name, part in (("IQU", image[:3]), ("V", image[3:])):
        for ending, pixels in (("subim.com", part), ("rms.subim", np.broadcast_to(scatter, part.shape))):
            path = folder / f"{stem}.{name}.iter3.image.pbcor.tt0.{ending}.fits"
            fits.writeto(path, pixels[:, None].astype(np.float32), header)


SKY = (
    Source("A", 84, -162, 0.15, -0.7, p=0.1, rm=35, chi0=20, v=0.01),
    Source("B", -180, 138, 0.09, -0.2, p=0.12, rm=-160, chi0=-50),
    Source("C", 168, 198, 0.06, -1.1),
    Source("E", 186, -12, 0.3, -0.8, p=0.2, rm=20, gauss=(60.0, 60.0, 0.0)),
)
SPWS = (2, 4, 7, 12, 17)


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("products")
    for spw in SPWS:
        _write_plane(folder, spw, SKY)
    return folder


def _save(folder: Path, sources: tuple[Source, ...]) -> Path:
    path = folder / "truth.json"
    path.write_text(json.dumps(_truth(sources)))
    return path


def test_what_is_in_the_planes_is_recovered(products: Path, tmp_path: Path) -> None:
    rows = recover(products, _save(tmp_path, SKY))
    assert [row for row in rows if not row.passed] == []
    quantities = {(row.source, row.quantity) for row in rows}
    assert ("B", "RM") in quantities and ("C", "RM") not in quantities
    assert {quantity for source, quantity in quantities if source == "A"} == {"I", "alpha", "p", "RM", "V/I"}


@pytest.mark.parametrize(
    ("quantity", "change"),
    [
        ("I", {"i0": 0.16}),
        ("alpha", {"alpha": -0.5}),
        ("p", {"p": 0.13}),
        ("RM", {"rm": 60.0}),
        ("V/I", {"v": 0.03}),
    ],
)
def test_what_is_not_in_the_planes_is_told(
    products: Path, tmp_path: Path, quantity: str, change: dict[str, float]
) -> None:
    other = Source.from_dict({**SKY[0].as_dict(), **change})
    rows = recover(products, _save(tmp_path, (other, *SKY[1:])))
    off = {(row.source, row.quantity) for row in rows if not row.passed}
    assert ("A", quantity) in off and {source for source, _ in off} == {"A"}


def test_rejected_planes_do_not_count(products: Path, tmp_path: Path) -> None:
    for path in products.iterdir():
        (tmp_path / path.name).symlink_to(path)
    _write_plane(tmp_path, 16, (Source("A", 84, -162, 5.0, 2.0),), rejected=True)
    assert all(row.passed for row in recover(tmp_path, _save(tmp_path, SKY)))


def test_the_sigma_of_a_peak_is_the_noise(products: Path, tmp_path: Path) -> None:
    rows = {(row.source, row.quantity): row for row in recover(products, _save(tmp_path, SKY))}
    weights = []
    for spw in SPWS:
        scatter = _noise_of(spw, PIXELS // 2 - 27, PIXELS // 2 - 14).item()
        weights.append((SKY[0].stokes(spw_frequencies(spw, 1))[0][0] / scatter) ** 2)
    assert rows["A", "V/I"].sigma == pytest.approx(sum(weights) ** -0.5, rel=0.05)


def test_noise_is_held_against_theory(products: Path, tmp_path: Path) -> None:
    facts = _truth(SKY)
    expected = 370.0 / np.sqrt(2 * 128e6 * 2 * 0.45 * 351 * 2)
    facts["sefd_jy"] *= SIGMA / expected  # receivers that give SIGMA in one field
    (tmp_path / "truth.json").write_text(json.dumps(facts))
    rows = noise(products, tmp_path / "truth.json")
    assert all(row.found == pytest.approx(row.truth, rel=0.05) for row in rows)
    assert [row.source for row in rows] == [f"spw{spw}" for spw in sorted(SPWS, key=str)]
    facts["sefd_jy"] *= 1.5
    (tmp_path / "other.json").write_text(json.dumps(facts))
    assert not any(row.passed for row in noise(products, tmp_path / "other.json"))


def test_too_few_planes_and_no_truth_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 kept planes"):
        recover(tmp_path, _save(tmp_path, SKY))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(DataError, match=r"bad\.json"):
        recover(tmp_path, tmp_path / "bad.json")


def test_the_command_prints_the_table(products: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ccip_batch.simulate.recovery", str(products), str(_save(tmp_path, SKY))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Recovered against the truth" in done.stdout and "alpha" in done.stdout


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the reference case")
def test_the_reference_products_are_recovered() -> None:
    products, truth = REFERENCE / "expected" / "fits", REFERENCE / "input" / "truth.json"
    points = [
        row for row in recover(products, truth) if row.source != "E"
    ]  # of two planes the resolved one is too faint
    assert [row for row in points if not row.passed] == []
    assert all(row.passed for row in noise(products, truth))
