"""FITS products: their names, their headers, and writing them so that a file under its name is whole."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from astropy.io import fits
from astropy.time import Time

from ccip_batch.casa.checks import check_fits
from ccip_batch.casa.session import Casa
from ccip_batch.errors import CasaError
from ccip_batch.products.history import casa_history, folded, unfolded
from ccip_batch.records import Model
from ccip_batch.run.checksums import ProductFile

StokesSet = Literal["IQU", "V"]

Card = tuple[Any, str]
"""Value and comment of a header keyword."""


class ImageName(Model):
    """The parts of an imagename `VLASS<epoch>.cc.<tile>.<J2000 name>.<..>.<..>.v<version>`.

    A part is empty if the name has another form; the object is always the fifth dotted component, if there is one.
    """

    epoch: str
    tile: str
    object: str
    version: str

    @classmethod
    def parse(cls, imagename: str) -> ImageName:
        """Read an imagename, with or without what follows the version."""
        parts = imagename.split(".")
        found = re.match(r"VLASS(\d+\.\d+)\.[^.]+\.([^.]+)\.", imagename)
        version = re.search(r"\.v(\d+)(?:\.|$)", imagename)
        return cls(
            epoch=found[1] if found else "",
            tile=found[2] if found else "",
            object=parts[4] if len(parts) > 4 else "",
            version=version[1] if version else "",
        )


def product_name(image: str, stokes: StokesSet) -> str:
    """Name of the FITS file of a CASA image: `<name>.IQUV.iter3.<kind>` -> `<name>.<stokes>.iter3.<kind>.fits`."""
    return image.replace(".IQUV.", f".{stokes}.", 1) + ".fits"


@dataclass(frozen=True)
class RawFits:
    """A FITS file as CASA wrote it, in the current folder."""

    path: Path
    history: Sequence[str]
    """What CASA did to make it; the file has none."""


def export_stokes(casa: Casa, image: str, stokes: StokesSet, *, optical: bool = False) -> RawFits:
    """Export some Stokes planes of an image as FITS into the current folder.

    optical: give the alternative velocity axis by the optical definition (VELREF = 1), as the archive's `.com.fits` do;
    their native files have the radio definition (257). CASA truncates a file without a word when the disk is full, so
    its size is checked. Raises CasaError.
    """
    part = f"{image}.{stokes}"
    name = f"{part}.raw.fits"
    casa.task("imsubimage", imagename=image, outfile=part, stokes=stokes, overwrite=True)
    casa.task("exportfits", imagename=part, fitsimage=name, optical=optical, history=False, overwrite=True)
    history = casa_history(casa, part)
    casa.remove(part)
    check_whole(Path(name))
    return RawFits(Path(name), history)


def check_whole(path: Path) -> None:
    """Raise CasaError if a FITS file with one image is shorter than its header says."""
    try:
        header = fits.getheader(path)
    except (OSError, fits.VerifyError) as error:
        raise CasaError(f"{path.name} is not a whole FITS file (is the disk full?): {error}") from error
    size = abs(header["BITPIX"]) // 8
    for axis in range(header["NAXIS"]):
        size *= header[f"NAXIS{axis + 1}"]
    whole = len(header.tostring()) + -(-size // 2880) * 2880
    if path.stat().st_size < whole:
        raise CasaError(f"{path.name} has {path.stat().st_size} of {whole} bytes: is the disk full?")


def write_product(source: Path, target: Path, cards: Mapping[str, Card], history: Sequence[str] = ()) -> ProductFile:
    """Copy a FITS image with some header cards set and HISTORY lines added, and with checksums.

    Values stay as they are, bit for bit. The target appears under its name only when it is whole. Raises CasaError if a
    Stokes plane is blank, zero, or not the one of VLASSPL.
    """
    partial = target.with_name(f".{target.name}.part")
    with fits.open(source, memmap=True, do_not_scale_image_data=True) as hdus:
        given = hdus[0].header
        old = unfolded([str(line) for line in given.get("HISTORY", [])])
        # CASA's history has a thousand cards; taken out or added one by one, each has astropy go through all the others
        header = fits.Header([card for card in given.cards if card.keyword != "HISTORY"], copy=True)
        for keyword, card in cards.items():
            header[keyword] = card
        header.extend([fits.Card("HISTORY", line) for line in folded([*old, *history])], end=True)
        product = fits.PrimaryHDU(hdus[0].data, header, do_not_scale_image_data=True)
        product.header.set("EXTEND", True, "File may contain extensions", after=f"NAXIS{header['NAXIS']}")
        product.writeto(partial, overwrite=True, output_verify="exception", checksum=True)
    check_whole(partial)
    check_fits(partial, str(header["VLASSPL"]))
    written = ProductFile.of(partial)
    partial.replace(target)
    return written.model_copy(update={"name": target.name})


def fits_time(mjd: float) -> str:
    """A UTC time as FITS writes it, without a time zone: `2020-08-05T23:44:45.503497`."""
    return str(Time(mjd, format="mjd", scale="utc", precision=6).isot)
