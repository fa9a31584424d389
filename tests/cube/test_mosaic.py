"""Mosaics of squares: two neighbours agree in their overlap, sources have their flux, and what is no mosaic is told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from click.testing import CliRunner
from skies import CELL, CENTRE, Sky, Source, beam_at, sky_wcs, write_plane

from ccip_batch.cli import main
from ccip_batch.cube.beams import GaussianBeam, kernel
from ccip_batch.cube.cubes import make_cube
from ccip_batch.cube.mosaic import MosaicOptions, make_mosaics
from ccip_batch.cube.planes.noise import madrms
from ccip_batch.cube.planes.plane import find_planes
from ccip_batch.cube.resample import resample
from ccip_batch.errors import DataError

NOISE = 1e-3
SIZE = 96
APART = 60 * CELL
"""Degrees between neighbours, of which 28 pixels without borders overlap."""
FLUX = 0.2


def neighbour(centre: tuple[float, float], east: float = APART) -> tuple[float, float]:
    return (centre[0] + east / math.cos(math.radians(centre[1]))) % 360, centre[1]


def middle(centre: tuple[float, float]) -> tuple[float, float]:
    """A position in the overlap with the eastern neighbour."""
    return neighbour(centre, APART / 2 + 0.3 * CELL)


def write_square(
    folder: Path, name: str, centre: tuple[float, float], spws: tuple[int, ...], *, broad: float = 1.0,
    noise: float = NOISE, seed: int = 1, at: tuple[float, float] | None = None, rejected: tuple[int, ...] = (),
) -> Path:  # fmt: skip
    """A square with a source at a position of the sky, and beams broader than others'."""
    folder.mkdir()
    x, y = sky_wcs(centre).all_world2pix(*(at or middle(centre)), 0)
    sky = Sky([Source(float(x), float(y), FLUX, 0.5, 10.0, v=0.1)], noise=noise, size=SIZE, seed=seed)
    for spw in spws:
        major, minor, angle = beam_at(2e9 + 1e8 * spw, sky)
        write_plane(
            folder, spw, sky, name=name, centre=centre, rejected=spw in rejected, beam=(major * broad, minor, angle)
        )
    return folder


def pair(
    tmp_path: Path, centre: tuple[float, float] = CENTRE, spws: tuple[int, ...] = (5,), noise: float = NOISE
) -> list[Path]:
    at, east = middle(centre), neighbour(centre)
    return [
        write_square(tmp_path / "a", "west", centre, spws, at=at, noise=noise),
        write_square(tmp_path / "b", "east", east, spws, at=at, noise=noise, seed=2, broad=1.06),
    ]


def scale_rms(folder: Path, factor: float) -> None:
    for path in folder.glob("*.rms.subim.fits"):
        with fits.open(path, mode="update") as hdus:
            hdus[0].data *= np.float32(factor)


def image(files: list[Path], kind: str = "IQU", word: str = "") -> tuple[np.ndarray, fits.Header]:
    path = next(path for path in files if f".{kind}." in path.name and path.name.endswith(f"tt0{word}.subim.fits"))
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        return hdus[0].data[:, 0].astype(np.float64), hdus[0].header


def flux_at(values: np.ndarray, header: fits.Header, position: tuple[float, float]) -> float:
    """The amplitude of the header's beam at a position, by least squares."""
    x, y = WCS(header).celestial.all_world2pix(*position, 0)
    rows, columns = np.indices(values.shape)
    moments = np.linalg.inv(GaussianBeam(*(header[key] for key in ("BMAJ", "BMIN", "BPA"))).covariance())
    off = np.array([-(columns - x), rows - y]) * CELL
    shape = np.exp(-0.5 * np.einsum("iyx,ij,jyx->yx", off, moments, off))
    near = (shape > 0.05) & np.isfinite(values)
    assert near.sum() > 60
    return float((values * shape)[near].sum() / (shape**2)[near].sum())


def test_a_source_in_the_overlap_has_its_flux(tmp_path: Path) -> None:
    files = make_mosaics(pair(tmp_path, noise=0.0), tmp_path / "out")
    values, header = image(files)
    found = [flux_at(plane, header, middle(CENTRE)) for plane in values]
    polarised = math.hypot(found[1], found[2])
    assert found[0] == pytest.approx(FLUX, rel=2e-3) and polarised == pytest.approx(FLUX / 2, rel=2e-3)
    values, header = image(files, "V")
    assert flux_at(values[0], header, middle(CENTRE)) == pytest.approx(FLUX / 10, rel=2e-3)
    assert header["NSQUARES"] == 2 and header["VLASSPL"] == "V" and header["CRVAL4"] == 4


def test_neighbours_agree_in_their_overlap_within_noise(tmp_path: Path) -> None:
    """Each alone, on the grid of both: the other's weight is next to nothing."""
    squares = pair(tmp_path)
    alone = []
    for other in reversed(squares):
        scale_rms(other, 1e5)
        files = make_mosaics(squares, tmp_path / f"without_{other.name}")
        scale_rms(other, 1e-5)
        alone.append((image(files)[0], image(files, word=".rms")[0]))
    both = make_mosaics(squares, tmp_path / "both")
    values, noise = image(both)[0], image(both, word=".rms")[0]
    overlap = (alone[0][1] < 1) & (alone[1][1] < 1)
    assert overlap[0].sum() > 1500
    off = (alone[0][0] - alone[1][0])[overlap] / np.hypot(alone[0][1], alone[1][1])[overlap]
    print(f"difference / noise: mean {off.mean():.3f}, scatter {madrms(off):.3f}")
    assert abs(off.mean()) < 0.3 and madrms(off) == pytest.approx(1, abs=0.2)
    # The mean of both is in between, and its noise is that of two.
    expected = (alone[0][0] / alone[0][1] ** 2 + alone[1][0] / alone[1][1] ** 2) * noise**2
    assert values[overlap] == pytest.approx(expected[overlap], abs=1e-4 * NOISE)
    assert np.median(noise[overlap]) == pytest.approx(NOISE / math.sqrt(2), rel=0.1)
    weight, header = image(both, word=".weight")
    assert header["BUNIT"] == "beam2/Jy2"
    assert (weight > 0)[overlap].all() and weight[overlap] == pytest.approx(noise[overlap] ** -2, rel=1e-5)


@pytest.mark.parametrize("centre", [(359.995, 0.0), (0.0, 40.0), (120.0, 88.0)])
def test_squares_at_0_h_and_near_a_pole(tmp_path: Path, centre: tuple[float, float]) -> None:
    files = make_mosaics(pair(tmp_path, centre, noise=0.0), tmp_path / "out")
    values, header = image(files)
    assert values.shape[1] < 1.3 * SIZE and values.shape[2] < 2 * SIZE
    assert flux_at(values[0], header, middle(centre)) == pytest.approx(FLUX, rel=3e-3)


def test_a_square_a_degree_away_is_placed_to_a_thousandth_of_a_pixel() -> None:
    own, other = sky_wcs((50.0, 30.0)), sky_wcs((51.0, 30.5))
    other.wcs.crpix = 98 - np.array(other.all_world2pix(50.0, 30.0, 1))
    columns = np.tile(np.arange(400, dtype=np.float32), (400, 1))
    made = resample(columns, own, other, (300, 300), "linear")
    x, y = np.meshgrid(np.arange(300), np.arange(300))
    place = own.all_world2pix(*other.all_pix2world(x, y, 0), 0)[0]
    there = np.isfinite(made)
    assert there.sum() > 40_000 and np.abs(made - place)[there].max() < 1e-3


def test_beams(tmp_path: Path) -> None:
    squares = pair(tmp_path, spws=(5, 9), noise=0.0)
    beams = [plane.beam for square in squares for plane in find_planes(square)]
    own = make_mosaics(squares, tmp_path / "own")
    one = make_mosaics(squares, tmp_path / "one", MosaicOptions(common_beam=True))
    found = {name: [plane.beam for plane in find_planes(tmp_path / name)] for name in ("own", "one")}
    assert len(own) == len(one) == 12
    assert found["own"][0].area > 1.1 * found["own"][1].area and found["one"][0] == found["one"][1]
    assert all(kernel(beam, found["one"][0]) is not None for beam in beams)


def test_mosaics_make_cubes(tmp_path: Path) -> None:
    make_mosaics(pair(tmp_path, spws=(3, 9)), tmp_path / "out", MosaicOptions(name="field"))
    made = make_cube(tmp_path / "out", tmp_path / "cubes")
    assert [channel.group for channel in made.channels] == ["3", "9"] and not made.warnings
    assert made.cubes["Q"].name == "field.Q.cube.fits"


def test_rejected_planes_are_left_out(tmp_path: Path) -> None:
    at, told = middle(CENTRE), []
    west = write_square(tmp_path / "a", "west", CENTRE, (5, 9), at=at, rejected=(5,))
    east = write_square(tmp_path / "b", "east", neighbour(CENTRE), (5, 9), at=at)
    make_mosaics([west, east], tmp_path / "out", say=told.append)
    assert "left out: west spw 5: rejected (VLASSRJ = T)" in told
    five, nine = find_planes(tmp_path / "out")
    assert (five.header["NSQUARES"], nine.header["NSQUARES"]) == (1, 2) and five.shape == nine.shape
    assert not five.rejected


def test_the_header_says_nothing_of_one_square_alone(tmp_path: Path) -> None:
    name = "VLASS2.1.cc.T10t02.J005000-023000.06.2048.v1"
    for square, epoch in ((name, "2.1"), (name.replace("2.1", "3.1"), "3.1")):
        folder = tmp_path / epoch
        folder.mkdir()
        write_plane(folder, 5, Sky(noise=NOISE, header={"VLASSEP": epoch, "PROPCODE": "VLASS"}), name=square)
    header = image(make_mosaics([tmp_path / "2.1", tmp_path / "3.1"], tmp_path / "out"))[1]
    assert "VLASSEP" not in header and header["PROPCODE"] == "VLASS" and header["VLASSTN"] == "T10t02"
    assert header["RESTFRQ"] == header["CRVAL3"] and "resampled by cubic splines" in " ".join(header["HISTORY"])
    assert f"In the mosaic: {name}" in header["HISTORY"]


@pytest.mark.parametrize("name", ["", ".a", "a/b", "x y", "gr\u00fcn", "x" * 61])
def test_names_of_mosaics(tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(main, ["mosaic", str(tmp_path), "--out", str(tmp_path / "out"), "--name", name])
    assert done.exit_code == 11 and "Choose another with --name" in done.output


def test_squares_that_do_not_touch_are_told(tmp_path: Path) -> None:
    squares = [
        write_square(tmp_path / name, name, neighbour(CENTRE, east), (5,), at=neighbour(CENTRE, east))
        for name, east in (("one", 0.0), ("two", 0.9 * SIZE * CELL), ("three", 2.5 * SIZE * CELL))
    ]
    with pytest.raises(DataError, match="three: does not touch one, two"):
        make_mosaics(squares, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    make_mosaics(squares[:2], tmp_path / "out")
    far = write_square(tmp_path / "far", "far", (200.0, 40.0), (5,))
    with pytest.raises(DataError, match=r"degrees from the middle"):
        make_mosaics([squares[0], far], tmp_path / "out")


def test_what_is_no_mosaic(tmp_path: Path) -> None:
    west = write_square(tmp_path / "a", "west", CENTRE, (5,))
    same = write_square(tmp_path / "b", "west", neighbour(CENTRE), (5,))
    with pytest.raises(DataError, match="same image, west"):
        make_mosaics([west, same], tmp_path / "out")
    other = tmp_path / "c"
    other.mkdir()
    write_plane(other, 5, Sky(size=SIZE), name="east", centre=neighbour(CENTRE), frequency=2.5e9)
    with pytest.raises(DataError, match=r"spw 5 is at .* MHz in west"):
        make_mosaics([west, other], tmp_path / "out")


def test_the_command(tmp_path: Path) -> None:
    squares = pair(tmp_path, spws=(5, 9))
    for path in squares[1].glob("*.rms.*"):
        path.unlink()
    words = ["mosaic", *map(str, squares), "--out", str(tmp_path / "out"), "--spw", "5", "--name", "edge"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    stem = "edge.spw5.{}.iter3.image.pbcor.tt0{}.subim.fits"
    assert names == sorted(stem.format(kind, word) for kind in ("IQU", "V") for word in ("", ".rms", ".weight"))
    assert all(str(tmp_path / "out" / name) in done.output for name in names)
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 11 and "already has edge.spw5" in done.output
    assert CliRunner().invoke(main, [*words, "--overwrite"]).exit_code == 0
    done = CliRunner().invoke(main, [*words[:-4], "--spw", "7"])
    assert done.exit_code == 11 and "spw 7" in done.output
