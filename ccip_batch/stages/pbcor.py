"""Stage 8, hifv_pbcor: divide image and residual by the primary beam.

NRAO's pipeline does so with the whole images. Here it is done with what the cutouts of stage 10 are made of, the cutout
and its margin: at the survey's size a quarter of the pixels.
"""

from __future__ import annotations

from typing import ClassVar

from ccip_batch.casa.checks import check_statistics
from ccip_batch.casa.images import STOKES, Statistics, box_text, read_plane
from ccip_batch.casa.session import Casa
from ccip_batch.imaging.cutout import Cutout
from ccip_batch.run.results import StageResult


class PbcorResult(StageResult):
    """Names and statistics of the corrected images."""

    stage: ClassVar[str] = "pbcor"
    image: str
    residual: str
    statistics: dict[str, Statistics]
    """Of the cutout of the image, Jy/beam, keyed by Stokes."""


def pbcor(casa: Casa, imagename: str, cutout: Cutout) -> PbcorResult:
    """Make `.image.pbcor.tt0` and `.image.residual.pbcor.tt0` of a plane's last iteration.

    They have the pixels of `cutout.wide`.
    """
    sources = {kind: f"{imagename}.{kind}.tt0" for kind in ("image", "residual", "pb")}
    if not cutout.is_wide_whole:
        for kind, whole in sources.items():
            sources[kind] = f"{whole}.wide"
            casa.task("imsubimage", imagename=whole, outfile=sources[kind], box=box_text(cutout.wide), overwrite=True)
    targets = {"image": f"{imagename}.image.pbcor.tt0", "residual": f"{imagename}.image.residual.pbcor.tt0"}
    for kind, target in targets.items():
        casa.task("impbcor", imagename=sources[kind], pbimage=sources["pb"], outfile=target, mode="divide", cutoff=-1.0)
    if not cutout.is_wide_whole:
        for source in sources.values():
            casa.remove(source)
    statistics = {}
    for index, stokes in enumerate(STOKES):
        values, valid = read_plane(casa, targets["image"], index, cutout.inside)
        statistics[stokes] = Statistics.of(values[valid])
    check_statistics(targets["image"], statistics)
    return PbcorResult(statistics=statistics, **targets)
