"""Stage 10, hif_makecutoutimages: the central square degree and a margin, and what the table of it says."""

from __future__ import annotations

import math

import numpy as np

from ccip_batch.casa import Casa
from ccip_batch.errors import CasaError
from ccip_batch.images import STOKES, Beam, Mask, Pixels, image_shape, madrms, read_plane, restoring_beam
from ccip_batch.model import Model

SIDE_ARCSEC = 3600.0 + 120.0
"""Side of a cutout: 1 degree + 2 arcmin."""
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


class CutoutResult(Model):
    """The cutouts of a plane."""

    images: dict[str, str]
    """Keyed by kind (`image.pbcor`, `image.pbcor.rms`, ...)."""
    blc: list[int]
    trc: list[int]
    beam: Beam
    statistics: dict[str, CutoutStatistics]
    """Keyed by Stokes."""


def cutout_box(shape: tuple[int, int], cell_arcsec: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """((x, y) of the bottom left, (x, y) of the top right pixel) of the cutout, both inside."""
    side = math.floor(SIDE_ARCSEC / cell_arcsec + 0.5)
    if all(n <= side for n in shape):
        return (0, 0), (shape[0] - 1, shape[1] - 1)
    lower = [max(0, n // 2 - side // 2) for n in shape]
    upper = [min(n - 1, n // 2 + side // 2 - 1) for n in shape]
    return (lower[0], lower[1]), (upper[0], upper[1])


def makecutoutimages(casa: Casa, imagename: str) -> CutoutResult:
    """Make the `.subim` of the plane's images. They cover the same pixels."""
    first = f"{imagename}.image.tt0"
    with casa.image(first) as tool:
        cell = abs(math.degrees(float(tool.coordsys().increment(type="direction")["numeric"][0]))) * 3600.0
    shape = image_shape(casa, first)
    blc, trc = cutout_box((shape[0], shape[1]), cell)
    images = {}
    for kind in KINDS:
        source = f"{imagename}.{kind}.tt0" if not kind.endswith(".rms") else f"{imagename}.image.pbcor.tt0.rms"
        images[kind] = f"{source}.subim"
        casa.task(
            "imsubimage",
            imagename=source,
            outfile=images[kind],
            box=f"{blc[0]},{blc[1]},{trc[0]},{trc[1]}",
            overwrite=True,
        )
    return CutoutResult(
        images=images,
        blc=list(blc),
        trc=list(trc),
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
