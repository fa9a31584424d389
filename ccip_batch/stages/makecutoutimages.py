"""Stage 10, hif_makecutoutimages: the central square degree and a margin, and what the table of it says."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ccip_batch.casa.images import STOKES, Mask, Pixels, RestoringBeam, box_text, read_plane, restoring_beam
from ccip_batch.casa.session import Casa
from ccip_batch.cube.planes.noise import madrms
from ccip_batch.errors import CasaError
from ccip_batch.imaging.cutout import Cutout
from ccip_batch.records import Model
from ccip_batch.run.results import StageResult

LOW_RMS_JY = 800e-6
"""The table counts rms pixels from 0 to this value."""
KINDS = ("image", "residual", "image.pbcor", "image.pbcor.rms", "psf", "image.residual.pbcor", "pb")


class PeakStatistics(Model):
    """Of the pixels inside the primary beam's mask, Jy/beam."""

    peak: float
    """The value furthest from 0."""
    madrms: float
    peak_over_madrms: float | None


class CutoutStatistics(Model):
    """One Stokes plane of the cutouts."""

    image: PeakStatistics
    """Not corrected for the primary beam."""
    residual: PeakStatistics
    rms_max: float
    rms_median: float
    rms_low_fraction: float
    """Fraction of the unmasked rms pixels from 0 to 800 uJy/beam."""
    masked_fraction: float
    pb_max: float
    pb_min: float
    pb_median: float


class CutoutResult(StageResult):
    """The cutouts of a plane."""

    stage: ClassVar[str] = "makecutoutimages"
    images: dict[str, str]
    """Keyed by kind (`image.pbcor`, `image.pbcor.rms`, ...)."""
    blc: list[int]
    """(x, y) of the bottom left pixel in the whole image."""
    trc: list[int]
    """Of the top right pixel, which is inside."""
    beam: RestoringBeam
    statistics: dict[str, CutoutStatistics]
    """Keyed by Stokes."""


def makecutoutimages(casa: Casa, imagename: str, cutout: Cutout) -> CutoutResult:
    """Make the `.subim` of the plane's images. They cover the same pixels."""
    images = {}
    for kind in KINDS:
        source = f"{imagename}.{kind}.tt0" if not kind.endswith(".rms") else f"{imagename}.image.pbcor.tt0.rms"
        images[kind] = f"{source}.subim"
        box = cutout.inside if "pbcor" in kind else cutout.box  # what stages 8 and 9 made is not of the whole image
        casa.task("imsubimage", imagename=source, outfile=images[kind], box=box_text(box), overwrite=True)
    return CutoutResult(
        images=images,
        blc=list(cutout.box[0]),
        trc=list(cutout.box[1]),
        beam=restoring_beam(casa, images["image"]),
        statistics={stokes: _statistics(casa, images, index) for index, stokes in enumerate(STOKES)},
    )


def _statistics(casa: Casa, images: dict[str, str], stokes: int) -> CutoutStatistics:
    pb, inside = read_plane(casa, images["pb"], stokes)
    rms, valid = read_plane(casa, images["image.pbcor.rms"], stokes)
    good = rms[valid].astype(np.float64)
    if not good.size or not inside.any():
        raise CasaError(f"Stokes {STOKES[stokes]} of {images['image']} has no valid pixel.")
    return CutoutStatistics(
        image=_peak(*read_plane(casa, images["image"], stokes), inside),
        residual=_peak(*read_plane(casa, images["residual"], stokes), inside),
        rms_max=float(good.max()),
        rms_median=float(np.median(good)),
        rms_low_fraction=float(((good >= 0) & (good <= LOW_RMS_JY)).mean()),
        masked_fraction=float(1 - valid.mean()),
        pb_max=float(pb[inside].max()),
        pb_min=float(pb[inside].min()),
        pb_median=float(np.median(pb[inside])),
    )


def _peak(values: Pixels, valid: Mask, inside: Mask) -> PeakStatistics:
    good = values[valid & inside].astype(np.float64)
    peak = float(good[np.argmax(np.abs(good))])
    noise = madrms(good)
    return PeakStatistics(peak=peak, madrms=noise, peak_over_madrms=peak / noise if noise > 0 else None)
