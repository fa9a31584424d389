from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ccip_batch.errors import CasaError
from ccip_batch.products.fits import ImageName, check_whole, fits_time, product_name, write_product
from ccip_batch.products.history import unfolded
from ccip_batch.run.checksums import ProductFile

NAME = "VLASS2.1.cc.T10t02.J005000-023000.06.2048.v1"


def raw(folder: Path) -> Path:
    header = fits.Header({"CTYPE4": "STOKES", "CRVAL4": 1.0, "CDELT4": 1.0, "CRPIX4": 1.0, "VLASSPL": "I"})
    header["HISTORY"] = "History of image /scratch/dir_12/job/VLASS2.1.cc.T10t02.J005000-023000"
    header["HISTORY"] = ">.06.2048.v1.spw2.IQUV.iter3.image.tt0"
    header["HISTORY"] = 'vis         = "../../restore/out/spw02.ms"'
    data = np.arange(24, dtype=">f4").reshape(1, 1, 4, 6)
    data[0, 0, 0, 0] = np.nan
    path = folder / "raw.fits"
    fits.PrimaryHDU(data, header).writeto(path)
    return path


def test_names_of_products() -> None:
    image = f"{NAME}.spw3_4.IQUV.iter3.image.pbcor.tt0.subim"
    assert product_name(image, "IQU") == f"{NAME}.spw3_4.IQU.iter3.image.pbcor.tt0.subim.fits"


def test_parts_of_an_imagename() -> None:
    parts = ImageName.parse(f"{NAME}.spw2")
    assert (parts.epoch, parts.tile, parts.object, parts.version) == ("2.1", "T10t02", "J005000-023000", "1")


def test_an_imagename_of_another_form_has_empty_parts() -> None:
    parts = ImageName.parse("my.image")
    assert (parts.epoch, parts.tile, parts.object, parts.version) == ("", "", "", "")


def test_a_product_has_its_cards_and_the_same_pixels(tmp_path: Path) -> None:
    source = raw(tmp_path)
    product = write_product(source, tmp_path / "p.fits", {"VLASSRJ": (True, "rejected")}, ["one more line"])
    with fits.open(tmp_path / "p.fits") as hdus:
        assert hdus[0].header["VLASSRJ"] is True
        assert hdus[0].header["HISTORY"][-1] == "one more line"
        assert np.array_equal(hdus[0].data, fits.getdata(source), equal_nan=True)
    assert product == ProductFile.of(tmp_path / "p.fits")


def test_a_product_has_checksums_of_what_is_in_it(tmp_path: Path) -> None:
    write_product(raw(tmp_path), tmp_path / "p.fits", {"VLASSRJ": (True, "rejected")})
    marked = write_product(tmp_path / "p.fits", tmp_path / "q.fits", {"VLASSRJ": (False, "kept")})
    assert marked == ProductFile.of(tmp_path / "q.fits")
    for name in ("p.fits", "q.fits"):
        with warnings.catch_warnings(), fits.open(tmp_path / name, checksum=True) as hdus:
            warnings.simplefilter("error")
            assert hdus[0].verify_checksum() == hdus[0].verify_datasum() == 1
            assert hdus[0].header["EXTEND"] is True


def test_history_is_the_same_after_another_copy(tmp_path: Path) -> None:
    line = "imsubimage(imagename=" + ", ".join(f"a{n}.image" for n in range(30)) + ")"
    write_product(raw(tmp_path), tmp_path / "p.fits", {}, [line])
    write_product(tmp_path / "p.fits", tmp_path / "q.fits", {})
    cards = [list(map(str, fits.getheader(tmp_path / name)["HISTORY"])) for name in ("p.fits", "q.fits")]
    assert cards[0] == cards[1]
    assert unfolded(cards[1])[-1] == line
    assert f"History of image /scratch/dir_12/job/{NAME}.spw2.IQUV.iter3.image.tt0" in unfolded(cards[1])


@pytest.mark.filterwarnings("ignore:File may have been truncated")  # it was
def test_a_truncated_file_is_found(tmp_path: Path) -> None:
    path = raw(tmp_path)
    check_whole(path)
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - 2880)
    with pytest.raises(CasaError, match="disk full"):
        check_whole(path)


def test_times_have_no_time_zone() -> None:
    assert fits_time(59066.98941554974) == "2020-08-05T23:44:45.503497"
