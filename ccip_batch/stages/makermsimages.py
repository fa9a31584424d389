"""Stage 9, hifv_makermsimages: the noise around every pixel of the corrected image."""

from __future__ import annotations

from typing import ClassVar

from ccip_batch.casa.checks import check_statistics
from ccip_batch.casa.images import STOKES, Statistics, read_plane
from ccip_batch.casa.session import Casa
from ccip_batch.imaging.cutout import RMS_BOX_ARCSEC, RMS_GRID, Cutout
from ccip_batch.run.results import StageResult


class RmsResult(StageResult):
    """The rms image of a plane. Pixel statistics are of the cutout, keyed by Stokes."""

    stage: ClassVar[str] = "makermsimages"
    image: str
    statistics: dict[str, Statistics]
    """Jy/beam."""
    negative_pixels: dict[str, int]
    """Pixels below zero, where the cubic interpolation undershoots near bright sources: no estimate of the noise."""


def makermsimages(casa: Casa, pbcor_image: str, cutout: Cutout) -> RmsResult:
    """Make `<pbcor_image>.rms`: 1.4826 x MAD in boxes of 60 arcsec, every 10 pixels, interpolated (imdev).

    pbcor_image: of the pixels of `cutout.wide`, as stage 8 leaves it. In the cutout the rms is that of the whole image,
    to the last bit of a float or the one before (the interpolation counts pixels from the image's corner).
    """
    target = f"{pbcor_image}.rms"
    casa.task(
        "imdev",
        imagename=pbcor_image,
        outfile=target,
        grid=[RMS_GRID, RMS_GRID],
        anchor="ref",
        xlength=f"{RMS_BOX_ARCSEC}arcsec",
        ylength=f"{RMS_BOX_ARCSEC}arcsec",
        interp="cubic",
        stattype="xmadm",
        statalg="chauvenet",
        zscore=-1,
        maxiter=-1,
        overwrite=True,
    )
    statistics, negative = {}, {}
    for index, stokes in enumerate(STOKES):
        values, valid = read_plane(casa, target, index, cutout.inside)
        statistics[stokes] = Statistics.of(values[valid])
        negative[stokes] = int((values[valid] < 0).sum())
    check_statistics(target, statistics)
    return RmsResult(image=target, statistics=statistics, negative_pixels=negative)
