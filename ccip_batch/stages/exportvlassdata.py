"""Stage 12, hifv_exportvlassdata: archive-ready FITS files of a plane.

The native set (image and rms, with the position correction) needs nothing of other planes; the common-beam set and the
mark of rejection do. So they are written by different nodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from astropy.io import fits

from ccip_batch.casa.images import RestoringBeam, read_plane
from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.casa.session import Casa
from ccip_batch.cube.planes.spw_ranges import as_ranges
from ccip_batch.errors import DataError
from ccip_batch.imaging.position_correction import MARK, PositionCorrection, position_correction
from ccip_batch.job.config import ResolvedJob
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
from ccip_batch.stages.makeimages import LAST_ITERATION

_CELESTIAL = tuple(f"{key}{axis}" for axis in (1, 2) for key in ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CUNIT"))
STOKES_SETS: tuple[StokesSet, ...] = ("IQU", "V")
IMAGE_TYPE = "INTENSITY_PBCOR_TT0"
RMS_TYPE = "RMS_TT0"
_EDGE_OF_PB = (0.1, 0.3)
"""Response of the primary beam where DATARMS is measured."""
_LONGEST_VALUE = 68
"""Characters of a text in a header card."""


class Levels(Model):
    """Of a plane's images, Jy/beam."""

    peak: float
    """Peak of Stokes I in the cutout: VLASSPK."""
    rms: float
    """Median of the Stokes I rms in the cutout: VLASSRMS."""
    data_rms: float | None = None
    """Rms of all Stokes before the correction for the primary beam, where nothing was cleaned: DATARMS. None if there
    is no such place, and in results of older versions."""


class NativeExport(Levels, StageResult):
    """The native FITS files of a plane, VLASSRJ not yet decided."""

    stage: ClassVar[str] = "exportnative"
    files: list[ProductFile]
    correction: PositionCorrection
    nominal_ra_deg: float
    nominal_dec_deg: float
    nominal_wcs: dict[str, float | str]
    """Celestial FITS keywords of the cutout at its nominal position."""


class PlaneExport(Model):
    """The final FITS files of a plane."""

    native: list[ProductFile]
    common: list[ProductFile]


@dataclass(frozen=True)
class ImagedPlane:
    """What the headers of a plane tell of how it was made."""

    target: PlaneTarget
    summary: MsSummary
    """Of the measurement set of stage 3."""
    job: ResolvedJob


def export_native(
    casa: Casa, imagename: str, cutouts: Mapping[str, str], plane: ImagedPlane, folder: Path
) -> NativeExport:
    """Write IQU and V of the corrected cutout and of its rms, position-corrected, into a folder.

    imagename: of the plane's last images, without `.image.tt0`. cutouts: CASA images in the current folder, by kind
    (`image.pbcor`, `image.pbcor.rms`). folder: where the files go.
    """
    image, rms = cutouts["image.pbcor"], cutouts["image.pbcor.rms"]
    levels = _levels(casa, imagename, image, rms)
    ra, dec = _reference(casa, image)
    summary = plane.summary
    correction = position_correction(casa, ra, dec, summary.start_mjd, summary.end_mjd, plane.target.reffreq_ghz * 1e9)
    files, wcs = [], {}
    for source, kind in ((image, IMAGE_TYPE), (rms, RMS_TYPE)):
        for stokes in STOKES_SETS:
            raw = export_stokes(casa, source, stokes)
            if any(MARK in line for line in raw.history):
                raise DataError(f"{source} has been position-corrected before; it must come from stage 10.")
            header = fits.getheader(raw.path)
            wcs = {key: header[key] for key in _CELESTIAL}
            cards = {**plane_cards(plane, stokes, kind, levels), **_correction_cards(correction, ra, dec)}
            history = [*raw.history, *correction.history(ra, dec)]
            files.append(write_product(raw.path, folder / product_name(source, stokes), cards, history))
            raw.path.unlink()
    return NativeExport(
        files=files,
        correction=correction,
        nominal_ra_deg=ra,
        nominal_dec_deg=dec,
        nominal_wcs=wcs,
        **levels.model_dump(),
    )


def export_common(
    casa: Casa,
    image: str,
    beam: RestoringBeam,
    native: NativeExport,
    plane: ImagedPlane,
    rejected: bool,
    folder: Path,
    trace: Mapping[str, Card],
) -> list[ProductFile]:
    """Convolve a plane to the common beam, move it to its nominal position, write `.com.fits` of IQU and V.

    image: the corrected cutout, a CASA image. beam: the common one. native: the plane's native export. rejected:
    whether the plane is. folder: where the files go. trace: the cards that tell where the file comes from.
    """
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
        raw = export_stokes(casa, moved, stokes, optical=True)
        cards = plane_cards(plane, stokes, IMAGE_TYPE, native) | {"VLASSRJ": _rejected_card(rejected), **trace}
        files.append(write_product(raw.path, folder / product_name(moved, stokes), cards, raw.history))
        raw.path.unlink()
    casa.remove(convolved)
    casa.remove(moved)
    return files


def mark_rejection(
    sources: Sequence[Path], rejected: bool, folder: Path, trace: Mapping[str, Card]
) -> list[ProductFile]:
    """Copy native files into a folder, with VLASSRJ as `analyze` decided it, and `trace` as in `export_common`."""
    cards = {"VLASSRJ": _rejected_card(rejected), **trace}
    return [write_product(source, folder / source.name, cards) for source in sources]


def plane_cards(plane: ImagedPlane, stokes: StokesSet, kind: str, levels: Levels) -> dict[str, Card]:
    """The header cards that all products of a plane have in common. stokes: in the file. kind: VLASSITY."""
    target, summary = plane.target, plane.summary
    name = ImageName.parse(target.imagename)
    cards: dict[str, Card] = {"OBJECT": (name.object, "")} if name.object else {}  # else what the field is called stays
    return cards | {
        "RADESYS": ("ICRS", ""),
        "DATE-OBS": (fits_time(summary.start_mjd), "First scan started"),
        "DATE-END": (fits_time(summary.end_mjd), "Last scan finished"),
        "VLASSITY": (kind, "VLASS image type"),
        "VLASSPT": ("VLASS-SE-CUBE", "VLASS product type"),
        "VLASSTN": (name.tile, "VLASS tile"),
        "VLASSEP": (name.epoch, "VLASS epoch"),
        "VLASSVR": (name.version, "VLASS version"),
        "VLASSPC": (plane.job.phasecenter, "Phase centre"),
        "VLASSPL": (stokes, "Stokes parameters"),
        "VLASSSPW": (as_ranges(SpwGroup.parse(target.spw).spws), "Spectral windows"),
        "VLASSRMS": (levels.rms, "Median of the Stokes I rms, Jy/beam"),
        "VLASSPK": (levels.peak, "Peak of Stokes I, Jy/beam"),
        "VLASSBWN": (target.nominal_bandwidth_hz, "Nominal bandwidth, Hz"),
        "VLASSBW": (target.bandwidth_hz, "Bandwidth that is not flagged, Hz"),
        "VLASSWP": (0, "Planes of w-projection"),
        **_imaging_cards(plane, levels),
    }


def _imaging_cards(plane: ImagedPlane, levels: Levels) -> dict[str, Card]:
    """Cards that NRAO's pipeline of 2026 has as well; it takes them from the image as tclean made it."""
    target, call = plane.target, plane.job.iteration(LAST_ITERATION)
    image = f"{target.imagename}.IQUV.iter{LAST_ITERATION}.image.tt0"
    names = [image[at : at + _LONGEST_VALUE] for at in range(0, len(image), _LONGEST_VALUE)]
    spws = SpwGroup.parse(target.spw).spws
    cards: dict[str, Card] = {
        "CTRFRQ": (target.reffreq_ghz * 1e9, "Frequency of the image, Hz"),
        "EFFBW": (target.bandwidth_hz, "Effective bandwidth, Hz"),
        "SPECMODE": ("cont", "Continuum: one channel"),
        "ITER": (LAST_ITERATION, "Cleaning calls"),
        "WEIGHT": (call["weighting"], "Weighting of the visibilities"),
    }
    if call["weighting"] == "briggs":
        cards["ROBUST"] = (float(call["robust"]), "Robustness of the weighting")
    if levels.data_rms is not None:
        cards["DATARMS"] = (levels.data_rms, "Rms of IQUV off the sources, no pbcor, Jy/beam")
    cards |= {"SPW": (target.spw, "Spectral windows"), "NSPWNAM": (len(spws), "Names of spectral windows")}
    cards |= {f"SPWNAM{n:02d}": (plane.summary.spw(spw).name, "") for n, spw in enumerate(spws, 1)}
    cards["NFILNAM"] = (len(names), "Parts of the image's name")
    return cards | {f"FILNAM{n:02d}": (part, "") for n, part in enumerate(names, 1)}


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


def _levels(casa: Casa, imagename: str, image: str, rms: str) -> Levels:
    """imagename: of the plane's last images. image, rms: the cutouts."""
    values, valid = read_plane(casa, image)
    noise, has_noise = read_plane(casa, rms)
    return Levels(
        peak=float(values[valid].max()),
        rms=float(np.median(noise[has_noise].astype(np.float64))),
        data_rms=_rms_where_not_cleaned(casa, imagename),
    )


def _rms_where_not_cleaned(casa: Casa, imagename: str) -> float | None:
    """Rms of the four Stokes together at the edge of the primary beam, outside the clean mask; None if all is inside.

    The region and the clipping are those of NRAO's pipeline.
    """
    pb = f'"{imagename}.pb.tt0"'
    low, high = _EDGE_OF_PB
    region = f'("{imagename}.mask" < 0.1) && ({pb} > {low}) && ({pb} < {high})'
    with casa.image(f"{imagename}.image.tt0") as tool:
        found = tool.statistics(mask=region, algorithm="chauvenet", maxiter=5)
    return float(found["rms"][0]) if len(found["rms"]) else None


def _reference(casa: Casa, image: str) -> tuple[float, float]:
    """Reference position, degrees, right ascension from 0 to 360."""
    with casa.image(image) as tool:
        ra, dec = tool.coordsys().referencevalue(type="direction", format="n")["numeric"][:2]
    return math.degrees(float(ra)) % 360.0, math.degrees(float(dec))
