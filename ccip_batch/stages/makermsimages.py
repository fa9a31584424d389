"""Stage 9, hifv_makermsimages: the noise around every pixel of the corrected image."""

from __future__ import annotations

from ccip_batch.casa import Casa
from ccip_batch.images import STOKES, Statistics, read_plane
from ccip_batch.model import Model
from ccip_batch.sanity import check_statistics


class RmsResult(Model):
    """The rms image of a plane; statistics in Jy/beam, keyed by Stokes."""

    image: str
    statistics: dict[str, Statistics]
    negative_pixels: dict[str, int]
    """Pixels below zero, where the cubic interpolation undershoots near bright sources: no estimate of the noise."""


def makermsimages(casa: Casa, pbcor_image: str) -> RmsResult:
    """Make `<pbcor_image>.rms`: 1.4826 x MAD in boxes of 60 arcsec, every 10 pixels, interpolated (imdev)."""
    target = f"{pbcor_image}.rms"
    casa.task(
        "imdev",
        imagename=pbcor_image,
        outfile=target,
        grid=[10, 10],
        anchor="ref",
        xlength="60arcsec",
        ylength="60arcsec",
        interp="cubic",
        stattype="xmadm",
        statalg="chauvenet",
        zscore=-1,
        maxiter=-1,
        overwrite=True,
    )
    statistics, negative = {}, {}
    for index, stokes in enumerate(STOKES):
        values, valid = read_plane(casa, target, index)
        statistics[stokes] = Statistics.of(values[valid])
        negative[stokes] = int((values[valid] < 0).sum())
    check_statistics(target, statistics)
    return RmsResult(image=target, statistics=statistics, negative_pixels=negative)
