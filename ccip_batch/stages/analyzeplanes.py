"""All planes together: rejection after imaging, stage 11, the common beam."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from ccip_batch.casa.images import RestoringBeam
from ccip_batch.casa.session import Casa
from ccip_batch.imaging.common_beam import casa_common_beam
from ccip_batch.imaging.flux_jumps import Flux, FluxJump, find_jumps
from ccip_batch.imaging.plane_rejection import ImagedPlane, Judgement, judge
from ccip_batch.imaging.samples import Samples
from ccip_batch.job.config import RejectAfter
from ccip_batch.run.results import NodeResult, StageResult
from ccip_batch.stages.analyzestokescubes import PlaneSamples, StokesAnalysis, analyzestokescubes
from ccip_batch.stages.editimlist import CubeTargets
from ccip_batch.stages.exportvlassdata import NativeExport
from ccip_batch.stages.makecutoutimages import CutoutResult
from ccip_batch.stages.makeimages import PlaneImages


class CubeAnalysis(StageResult):
    """The cube as a whole."""

    stage: ClassVar[str] = "analyzestokescubes"
    judgements: list[Judgement]
    """Of the planes that were imaged."""
    not_imaged: dict[str, str]
    """Planes that are empty or rejected before imaging, and why."""
    failed: list[str]
    """Planes that are missing because their imaging failed."""
    stokes: StokesAnalysis
    common_beam: RestoringBeam | None
    """Of all imaged planes, rejected ones too; None if no plane was imaged."""
    kept_common_beam: RestoringBeam | None
    """Of the kept planes alone, which can be smaller."""
    flux_jumps: tuple[FluxJump, ...] = ()
    """Kept planes whose Stokes I is not what the other kept planes predict. They stay kept; look at them."""

    def sentence(self) -> str:
        """How many planes were kept, rejected, not imaged or failed, and which look odd."""
        rejected = [one.spw for one in self.judgements if not one.kept]
        kept = len(self.judgements) - len(rejected)
        parts = [f"{kept} plane{'' if kept == 1 else 's'} kept"]
        for groups, what in (
            (rejected, "rejected after imaging"),
            (self.not_imaged, "not imaged"),
            (self.failed, "failed"),
        ):
            parts += [f"{len(groups)} {what} (spw {'; '.join(groups)})"] if groups else []
        parts += [jump.sentence() for jump in self.flux_jumps]
        return ", ".join(parts)


def analyze_planes(
    casa: Callable[[], Casa],
    targets: CubeTargets,
    images: Mapping[str, tuple[NodeResult, Path]],
    failed: Sequence[str],
    rejection: RejectAfter,
) -> CubeAnalysis:
    """Judge and compare all imaged planes.

    casa: gives the session, which is needed only if there are planes. targets: all planes of the cube. images: for each
    spw group that was imaged, the result of its node and the file of its samples. failed: groups whose imaging failed.
    rejection: the thresholds.
    """
    facts, samples, exports = [], {}, {}
    cutouts: dict[str, CutoutResult] = {}
    for plane in targets.planes:
        if plane.spw not in images:
            continue
        result, path = images[plane.spw]
        facts.append(
            ImagedPlane(
                spw=plane.spw,
                frequency_hz=plane.reffreq_ghz * 1e9,
                beam=result.of(PlaneImages).beam,
                flagged_fraction=plane.flagged_fraction,
            )
        )
        samples[plane.spw] = Samples.load(path)
        exports[plane.spw] = result.of(NativeExport)
        cutouts[plane.spw] = result.of(CutoutResult)

    judgements = judge(facts, rejection)
    kept = {one.spw for one in judgements if one.kept}
    rows = [
        PlaneSamples(
            spw=fact.spw,
            frequency_hz=fact.frequency_hz,
            kept=fact.spw in kept,
            rms_median={stokes: one.rms_median for stokes, one in cutouts[fact.spw].statistics.items()},
            samples=samples[fact.spw],
        )
        for fact in facts
    ]
    header = next(iter(exports.values())).nominal_wcs if exports else {}
    beams = {spw: cutout.beam for spw, cutout in cutouts.items()}
    kept_beams = [beam for spw, beam in beams.items() if spw in kept]
    stokes = analyzestokescubes(rows, header)
    return CubeAnalysis(
        judgements=judgements,
        not_imaged={plane.spw: f"{plane.state}: {plane.reason}" for plane in targets.planes if plane.state != "imaged"},
        failed=list(failed),
        stokes=stokes,
        flux_jumps=_flux_jumps(stokes),
        common_beam=casa_common_beam(casa(), list(beams.values())) if beams else None,
        kept_common_beam=casa_common_beam(casa(), kept_beams) if kept_beams else None,
    )


def _flux_jumps(stokes: StokesAnalysis) -> tuple[FluxJump, ...]:
    """The jumps at all places, each plane once.

    The noise is that of the place, but no more than three times the median: next to a bright source, where a box holds
    few beams, the rms image has the source in it.
    """
    jumps: dict[str, FluxJump] = {}
    for place in stokes.places:
        fluxes = [
            Flux(plane.spw, plane.frequency_hz, flux, float(np.clip(plane.rms or 0.0, median, 3 * median)))
            for plane in place.planes
            if plane.kept and (flux := plane.pixel["I"]) is not None and (median := plane.rms_median["I"]) > 0
        ]
        for jump in find_jumps(place.name, fluxes):
            jumps.setdefault(jump.spw, jump)
    return tuple(jumps.values())
