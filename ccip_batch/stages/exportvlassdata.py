"""Stage 12, hifv_exportvlassdata: archive-ready FITS files of a plane.

The native set (image and rms, with the position correction) needs nothing of other planes; the common-beam set and the
mark of rejection do. So they are written by different nodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from astropy.io import fits

from ccip_batch.casa.images import RestoringBeam, read_plane
from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.casa.session import Casa
from ccip_batch.cube.spw_ranges import as_ranges
from ccip_batch.errors import DataError
from ccip_batch.imaging.position_correction import MARK, PositionCorrection, position_correction
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.products.fits import (
    Card,
    ImageName,
    StokesSet,
    export_stokes,
    fits_time,
    product_name,
    write_product,
)
from ccip_batch.records import Model
from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.results import StageResult
from ccip_batch.stages.editimlist import PlaneTarget

_CELESTIAL = tuple(f"{key}{axis}" for axis in (1, 2) for key in ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT"))
STOKES_SETS: tuple[StokesSet, ...] = ("IQU", "V")
IMAGE_TYPE = "INTENSITY_PBCOR_TT0"
RMS_TYPE = "RMS_TT0"


class NativeExport(StageResult):
    """The native FITS files of a plane, VLASSRJ not yet decided."""

    stage: ClassVar[str] = "exportnative"
    files: list[ProductFile]
    correction: PositionCorrection
    nominal_ra_deg: float
    nominal_dec_deg: float
    peak: float
    """Peak of Stokes I in the cutout, Jy/beam: VLASSPK."""
    rms: float
    """Median of the Stokes I rms in the cutout, Jy/beam: VLASSRMS."""
    nominal_wcs: dict[str, float | str]
    """Celestial FITS keywords of the cutout at its nominal position."""


class PlaneExport(Model):
    """The final FITS files of a plane."""

    native: list[ProductFile]
    common: list[ProductFile]


def export_native(
    casa: Casa, image: str, rms: str, target: PlaneTarget, summary: MsSummary, phasecenter: str, folder: Path
) -> NativeExport:
    """Write IQU and V of the corrected cutout and of its rms, position-corrected, into a folder.

    image, rms: the cutouts, CASA images in the current folder. target: the plane. summary: of the measurement set of
    stage 3. phasecenter: of the cube, as the parameter list has it. folder: where the files go.
    """
    peak, median_rms = _peak_and_rms(casa, image, rms)
    ra, dec = _reference(casa, image)
    correction = position_correction(casa, ra, dec, summary.start_mjd, summary.end_mjd, target.reffreq_ghz * 1e9)
    files, wcs = [], {}
    for source, kind in ((image, IMAGE_TYPE), (rms, RMS_TYPE)):
        for stokes in STOKES_SETS:
            raw = export_stokes(casa, source, stokes)
            header = fits.getheader(raw)
            if MARK in str(header.get("HISTORY", "")):
                raise DataError(f"{source} has been position-corrected before; it must come from stage 10.")
            wcs = {key: header[key] for key in _CELESTIAL}
            cards = {
                **plane_cards(target, summary, phasecenter, stokes, kind, peak, median_rms),
                **_correction_cards(correction, ra, dec),
            }
            name = product_name(source, stokes)
            files.append(write_product(Path(raw), folder / name, cards, correction.history(ra, dec)))
            Path(raw).unlink()
    return NativeExport(
        files=files,
        correction=correction,
        nominal_ra_deg=ra,
        nominal_dec_deg=dec,
        peak=peak,
        rms=median_rms,
        nominal_wcs=wcs,
    )


def export_common(
    casa: Casa,
    image: str,
    beam: RestoringBeam,
    native: NativeExport,
    cards_of: tuple[PlaneTarget, MsSummary, str],
    rejected: bool,
    folder: Path,
    trace: Mapping[str, Card],
) -> list[ProductFile]:
    """Convolve a plane to the common beam, move it to its nominal position, write `.com.fits` of IQU and V.

    image: the corrected cutout, a CASA image. beam: the common one. native: the plane's native export. cards_of: the
    plane, the measurement set of stage 3 and the phase centre. rejected: whether the plane is. folder: where the files
    go. trace: the cards that tell where the file comes from.
    """
    target, summary, phasecenter = cards_of
    name = Path(image).name
    convolved, moved = f"{name}.conv", f"{name}.com"
    casa.remove(convolved)
    casa.remove(moved)
    with casa.recorded_image(image) as tool:
        tool.convolve2d(
            outfile=convolved,
            axes=[0, 1],
            type="gauss",
            major=f"{beam.major_arcsec!r}arcsec",
            minor=f"{beam.minor_arcsec!r}arcsec",
            pa=f"{beam.pa_deg!r}deg",
            targetres=True,
            scale=-1,
        )
    ra, dec = native.correction.apply(native.nominal_ra_deg, native.nominal_dec_deg)
    casa.regrid_from(convolved, moved, [math.radians(ra), math.radians(dec)])
    files = []
    for stokes in STOKES_SETS:
        raw = export_stokes(casa, moved, stokes)
        cards = plane_cards(target, summary, phasecenter, stokes, IMAGE_TYPE, native.peak, native.rms)
        cards |= {"VLASSRJ": _rejected_card(rejected), **trace}
        target_name = product_name(moved, stokes)
        files.append(write_product(Path(raw), folder / target_name, cards))
        Path(raw).unlink()
    casa.remove(convolved)
    casa.remove(moved)
    return files


def mark_rejection(
    sources: Sequence[Path], rejected: bool, folder: Path, trace: Mapping[str, Card]
) -> list[ProductFile]:
    """Copy native files into a folder, with VLASSRJ as `analyze` decided it, and `trace` as in `export_common`."""
    cards = {"VLASSRJ": _rejected_card(rejected), **trace}
    return [write_product(source, folder / source.name, cards) for source in sources]


def plane_cards(
    target: PlaneTarget,
    summary: MsSummary,
    phasecenter: str,
    stokes: StokesSet,
    kind: str,
    peak: float,
    rms: float,
) -> dict[str, Card]:
    """The header cards that all products of a plane have in common.

    target: the plane. summary: of the measurement set of stage 3. phasecenter: of the cube. stokes: in the file. kind:
    VLASSITY. peak, rms: of Stokes I in the cutout, Jy/beam.
    """
    name = ImageName.parse(target.imagename)
    return {
        "OBJECT": (name.object, ""),
        "RADESYS": ("ICRS", ""),
        "DATE-OBS": (fits_time(summary.start_mjd), "First scan started"),
        "DATE-END": (fits_time(summary.end_mjd), "Last scan finished"),
        "VLASSITY": (kind, "VLASS image type"),
        "VLASSPT": ("VLASS-SE-CUBE", "VLASS product type"),
        "VLASSTN": (name.tile, "VLASS tile"),
        "VLASSEP": (name.epoch, "VLASS epoch"),
        "VLASSVR": (name.version, "VLASS version"),
        "VLASSPC": (phasecenter, "Phase centre"),
        "VLASSPL": (stokes, "Stokes parameters"),
        "VLASSSPW": (as_ranges(SpwGroup.parse(target.spw).spws), "Spectral windows"),
        "VLASSRMS": (rms, "Median of the Stokes I rms, Jy/beam"),
        "VLASSPK": (peak, "Peak of Stokes I, Jy/beam"),
        "VLASSBWN": (target.nominal_bandwidth_hz, "Nominal bandwidth, Hz"),
        "VLASSBW": (target.bandwidth_hz, "Bandwidth that is not flagged, Hz"),
        "VLASSWP": (0, "Planes of w-projection"),
    }


def _rejected_card(rejected: bool) -> Card:
    return rejected, "Plane rejected by its beam or flags"


def _correction_cards(correction: PositionCorrection, ra_deg: float, dec_deg: float) -> dict[str, Card]:
    ra, dec = correction.apply(ra_deg, dec_deg)
    return {
        "CRVAL1": (ra, ""),
        "CRVAL2": (dec, ""),
        "ZD": (correction.zenith_distance_deg, "Zenith distance, degrees"),
        "TELMJD": (correction.mjd, "Middle of the observation, MJD UTC"),
    }


def _peak_and_rms(casa: Casa, image: str, rms: str) -> tuple[float, float]:
    values, valid = read_plane(casa, image)
    noise, has_noise = read_plane(casa, rms)
    return float(values[valid].max()), float(np.median(noise[has_noise].astype(np.float64)))


def _reference(casa: Casa, image: str) -> tuple[float, float]:
    """Reference position, degrees, right ascension from 0 to 360."""
    with casa.image(image) as tool:
        ra, dec = tool.coordsys().referencevalue(type="direction", format="n")["numeric"][:2]
    return math.degrees(float(ra)) % 360.0, math.degrees(float(dec))
