"""Stage 8, hifv_pbcor: divide image and residual by the primary beam."""

from __future__ import annotations

from ccip_batch.casa import Casa
from ccip_batch.images import STOKES, Statistics, read_plane
from ccip_batch.model import Model
from ccip_batch.sanity import check_statistics


class PbcorResult(Model):
    """Names and statistics (Jy/beam, keyed by Stokes) of the corrected images."""

    image: str
    residual: str
    statistics: dict[str, Statistics]


def pbcor(casa: Casa, imagename: str) -> PbcorResult:
    """Make `.image.pbcor.tt0` and `.image.residual.pbcor.tt0` of a plane's last iteration."""
    targets = {"image": f"{imagename}.image.pbcor.tt0", "residual": f"{imagename}.image.residual.pbcor.tt0"}
    for kind, target in targets.items():
        casa.task(
            "impbcor",
            imagename=f"{imagename}.{kind}.tt0",
            pbimage=f"{imagename}.pb.tt0",
            outfile=target,
            mode="divide",
            cutoff=-1.0,
        )
    statistics = {}
    for index, stokes in enumerate(STOKES):
        values, valid = read_plane(casa, targets["image"], index)
        statistics[stokes] = Statistics.of(values[valid])
    check_statistics(targets["image"], statistics)
    return PbcorResult(statistics=statistics, **targets)
