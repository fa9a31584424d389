"""Files of a folder: compressed ones, common-beam ones and several of one plane; what is not taken is named."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner
from skies import CENTRE, NAME, Sky, Source, write_plane

from ccip_batch.cli import main
from ccip_batch.cube.planes.plane import find_planes
from ccip_batch.cube.spectra.catalogue import Position
from ccip_batch.cube.spectra.extract import extract
from ccip_batch.cube.vmean import mean_v_of
from ccip_batch.errors import DataError

PLACE = Position("S", *CENTRE)
SKY = Sky([Source(48, 48, 0.5, 0.3, v=0.1)], noise=1e-4, correct=False)
BEAM = (6e-3 / 3.6, 4e-3 / 3.6, 20.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Planes of spw 2 and 3 in one beam, with V and rms images."""
    folder = tmp_path / "planes"
    folder.mkdir()
    for spw in (2, 3):
        write_plane(folder, spw, SKY, beam=BEAM)
    return folder


def gz(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    path.unlink()
    return packed


def fz(path: Path) -> Path:
    """As fpack does: an empty primary HDU, the image in a table."""
    packed = path.with_name(path.name + ".fz")
    with fits.open(path) as hdus:
        image = fits.CompImageHDU(hdus[0].data, hdus[0].header, compression_type="GZIP_2", quantize_level=0)
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(packed)
    path.unlink()
    return packed


def link(path: Path) -> Path:
    store = path.parent.parent / "store"
    store.mkdir(exist_ok=True)
    shutil.move(path, store / path.name)
    path.symlink_to(store / path.name)
    return path


def capitals(path: Path) -> Path:
    return path.rename(path.with_name(path.name.replace(".fits", ".FITS")))


def gz_capitals(path: Path) -> Path:
    return capitals(gz(path)).rename(path.with_name(path.name.replace(".fits", ".FITS.GZ")))


def gz_in_disguise(path: Path) -> Path:
    return gz(path).rename(path)


@pytest.mark.parametrize("form", [gz, fz, link, capitals, gz_capitals, gz_in_disguise])
@pytest.mark.parametrize("which", ["*.spw3.IQU.*.tt0.subim.fits", "*.rms.*", "*.V.*", "*"])
def test_other_forms_of_files(folder: Path, form: Callable[[Path], Path], which: str) -> None:
    plain = extract(folder, [PLACE])
    for path in folder.glob(which):
        form(path)
    told: list[str] = []
    table = extract(folder, [PLACE], warn=told.append)
    assert told == [] and list(table["spw"]) == ["2", "3"]
    for column in plain.colnames:
        assert np.array_equal(table[column], plain[column], equal_nan=table[column].dtype.kind == "f"), column
    if which == "*":
        assert mean_v_of(folder, folder.parent).is_file()


@pytest.mark.parametrize("group", ["3,4", "3_4", "4,3", "03_04", "3+4"])
def test_groups_however_they_are_joined(folder: Path, group: str) -> None:
    for path in sorted(folder.glob("*.spw3.*")):
        path.rename(path.with_name(path.name.replace("spw3", f"spw{group}")))
    told: list[str] = []
    table = extract(folder, [PLACE], warn=told.append)
    assert list(table["spw"]) == ["2", "3,4"] and np.isfinite(table["V_err"]).all() and told == []
    assert [plane.group for plane in find_planes(folder, spws=["3,4"])] == ["3_4"]


def common(path: Path) -> Path:
    return path.rename(path.with_name(path.name.replace(".subim.", ".subim.com.")))


def test_common_beam_files_alone(folder: Path, tmp_path: Path) -> None:
    for path in sorted(folder.glob("*")):
        path.unlink() if ".rms." in path.name else common(path)
    done = CliRunner().invoke(main, ["cube", str(folder), "--out", str(tmp_path / "cubes")])
    assert done.exit_code == 0, done.output
    assert "warning: Common-beam files (.com) are taken for spw 2; 3" in done.stderr
    cube = fits.getdata(tmp_path / "cubes" / f"{NAME}.I.cube.fits")
    assert cube.shape[1] == 2 and cube[0, :, 48, 48] == pytest.approx(0.5, abs=1e-3)
    assert list(extract(folder, [PLACE])["V"]) == pytest.approx([0.05, 0.05], abs=1e-3)


def test_the_noise_and_v_of_a_plane_are_not_those_of_its_common_beam_file(folder: Path) -> None:
    common(next(folder.glob("*.spw3.IQU.*.tt0.subim.fits")))
    told: list[str] = []
    table = extract(folder, [PLACE], warn=told.append)
    assert np.isnan(table["I_err"][1]) and np.isnan(table["V"][1]) and np.isfinite(table["V"][0])
    assert any("it is the noise of the plane" in line for line in told)
    assert any(".spw3.V." in line and "another beam" in line for line in told)


def test_several_files_of_one_plane(folder: Path, tmp_path: Path) -> None:
    image = next(folder.glob("*.spw3.IQU.*.tt0.subim.fits"))
    (folder / f"{image.name}.gz").write_bytes(gzip.compress(b"another"))
    rms = next(folder.glob("*.spw3.IQU.*.rms.subim.fits"))
    shutil.copy(rms, folder / f"{rms.name}.fz")
    shutil.copy(image, folder / image.name.replace(".subim.", ".subim.com."))
    told: list[str] = []
    assert [plane.path for plane in find_planes(folder, warn=told.append)][1] == image
    assert f"{image.name}.gz is not taken: {image.name} is, which is the same plane." in told
    assert f"{rms.name}.fz is not taken: {rms.name} is, which is the same plane." in told
    assert "1 common-beam file(s) (.com) are not taken: the planes themselves are in the folder." in told
    assert len(told) == 3
    run = tmp_path / "run"
    shutil.copytree(folder, run / "products")
    told.clear()
    find_planes(run, warn=told.append)
    assert len(told) == 2  # both sets are there after every run


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.with_name(path.name + ".bz2").write_bytes(bz2.compress(path.read_bytes())), "unpack it"),
        (lambda path: path.with_name(path.name + ".part").write_bytes(b""), "fetch all of it"),
        (lambda path: path.with_name(path.name + ".1").write_bytes(b""), "rename it"),
        (lambda path: path.with_name(path.name.replace(".fits", " (1).fits")).write_bytes(b""), "rename it"),
        (lambda path: path.with_name(path.name.replace("spw3", "spw3-4")).write_bytes(b""), "rename it"),
        (lambda path: path.with_name(path.name.replace("IQU", "IQUV")).write_bytes(b""), "rename it"),
        (lambda path: path.with_name("my_spw3.fits").write_bytes(b""), "rename it"),
        (lambda path: path.with_name("my\nspw3.fits").write_bytes(b""), "cannot be printed"),
        (lambda path: path.mkdir(), "a folder"),
        (lambda path: os.mkfifo(path), "no file with data"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
    ],
)
def test_what_looks_like_a_plane_is_named(
    folder: Path, tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    image = next(folder.glob("*.spw3.IQU.*.tt0.subim.fits"))
    shutil.copy(image, tmp_path / "image")
    for path in folder.glob("*.spw3.*"):
        path.unlink()
    if reason == "unpack it":
        shutil.copy(tmp_path / "image", image)
    change(image)
    if reason == "unpack it":
        image.unlink()
    out = tmp_path / "s.ecsv"
    done = CliRunner().invoke(main, ["extract", str(folder), "--out", str(out), "--", *map(str, CENTRE)])
    assert done.exit_code == 0, done.output
    (line,) = (line for line in done.stderr.splitlines() if "is not taken" in line)
    assert line.startswith("warning: ") and "spw3" in line and reason in line
    assert list(Table.read(out)["spw"]) == ["2"]
    for path in folder.glob("*.spw2.*"):
        path.unlink()
    with pytest.raises(DataError, match=r"holds no plane named.*is not taken"):
        find_planes(folder)


def test_other_images_of_a_spectral_window_are_left_alone(folder: Path) -> None:
    for name in ("spw2.IQUV.iter3.pb.tt0.subim.fits", "spw2.IQU.iter3.image.pbcor.tt1.subim.fits", "notes.txt"):
        (folder / f"{NAME}.{name}").write_bytes(b"")
    told: list[str] = []
    find_planes(folder, warn=told.append)
    assert told == []


def test_a_plane_without_v(folder: Path) -> None:
    for path in folder.glob("*.spw3.V.*"):
        path.unlink()
    told: list[str] = []
    assert np.isnan(extract(folder, [PLACE], warn=told.append)["V"][1])
    assert told == ["No V plane for spw 3: V is blank (NaN) there."]


@pytest.mark.parametrize("form", [gz, fz])
def test_compressed_files_cut_short(folder: Path, form: Callable[[Path], Path]) -> None:
    path = form(next(folder.glob("*.spw3.IQU.*.tt0.subim.fits")))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="cut short"):
        find_planes(folder)


@pytest.mark.parametrize(("pack", "program"), [(bz2.compress, "bzip2"), (lzma.compress, "xz")])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_compressed_otherwise_than_the_name_says(
    folder: Path, pack: Callable[[bytes], bytes], program: str, ending: str
) -> None:
    image = next(folder.glob("*.spw3.IQU.*.tt0.subim.fits"))
    image.with_name(image.name + ending).write_bytes(pack(image.read_bytes()))
    if ending:
        image.unlink()
    with pytest.raises(DataError, match=rf"{image.name}.*{program}.*gzip"):
        find_planes(folder)


def test_gzip_in_several_parts(folder: Path) -> None:
    path = next(folder.glob("*.spw3.IQU.*.tt0.subim.fits"))
    whole = path.read_bytes()
    path.unlink()
    (folder / f"{path.name}.gz").write_bytes(gzip.compress(whole[:9000]) + gzip.compress(whole[9000:]))
    assert len(find_planes(folder)) == 2
