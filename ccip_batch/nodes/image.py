"""The nodes `image`: stages 7 to 10 for one plane."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from ccip_batch import processes
from ccip_batch.errors import ExitCode
from ccip_batch.imaging import previews
from ccip_batch.imaging.checkpoint import Checkpoint
from ccip_batch.imaging.cutout import Cutout
from ccip_batch.imaging.samples import take_samples
from ccip_batch.nodes.workspace import Workspace, plane_target, selection
from ccip_batch.run.results import Outcome
from ccip_batch.stages.exportvlassdata import ImagedPlane, export_native
from ccip_batch.stages.makecutoutimages import makecutoutimages
from ccip_batch.stages.makeimages import Saves, makeimages
from ccip_batch.stages.makermsimages import makermsimages
from ccip_batch.stages.pbcor import pbcor

_STARTED = time.monotonic()


def image(work: Workspace) -> Outcome:
    """Stages 7 to 10 for one plane, its native FITS files, and what `analyze` and the report need of its pixels."""
    plane, targets, split = plane_target(work)
    if plane.state != "imaged":
        return Outcome(summary=f"{plane.state}: {plane.reason}")

    casa, job = work.casa, work.job
    given = work.parent_out("restore")
    selected: dict[str, Any] = {
        "vis": f"{given}/{work.group.name}.ms",
        "spw": plane.spw,
        "datacolumn": "data",
        "reffreq": plane.reffreq,
        **selection(targets.fields, split.target_scans, len(split.antennas), split.target_intent),
    }
    masks = [f"{given}/tier1.mask", f"{given}/tier2.mask"]
    checkpoint = Checkpoint(work.folder.checkpoint, work.fingerprint)
    pictures = previews.PreviewWriter(casa, work.out / previews.NAME, checkpoint.folder / previews.NAME)
    images = work.stage(
        "makeimages",
        makeimages,
        casa,
        f"{plane.imagename}.IQUV",
        selected,
        job.iteration,
        masks,
        Saves(checkpoint, job.execution.checkpoint_interval, _leave_after_save),
        pictures.iteration,
    )
    cutout = Cutout.of(casa, f"{images.imagename}.image.tt0")
    corrected = work.stage("pbcor", pbcor, casa, images.imagename, cutout)
    work.stage("makermsimages", makermsimages, casa, corrected.image, cutout)
    cutouts = work.stage("makecutoutimages", makecutoutimages, casa, images.imagename, cutout)
    subim, rms_subim = cutouts.images["image.pbcor"], cutouts.images["image.pbcor.rms"]
    about = ImagedPlane(plane, split, job)
    native = work.stage("exportnative", export_native, casa, images.imagename, cutouts.images, about, work.out)
    samples = take_samples(
        casa,
        subim,
        rms_subim,
        images.imagename.replace(".iter3", ".iter2") + ".cleanmask",
        f"{images.imagename}.mask",
        (cutouts.blc[0], cutouts.blc[1]),
    )
    samples.save(work.out / "samples.npz")
    corner = (cutouts.blc[0], cutouts.blc[1])
    work.stage("previews", pictures.final, images.imagename, cutouts.images, corner, native.nominal_wcs)
    Path(subim).rename(work.out / "image.pbcor.subim")
    beam = images.beam
    return Outcome(
        summary=f"imaged: beam {beam.major_arcsec:.3g} x {beam.minor_arcsec:.3g} arcsec, peak {native.peak:.3g} Jy/beam"
    )


def _leave_after_save() -> None:
    """End with exit code 85 if the pool wants to have the checkpoint: it takes it, and starts the node again."""
    wanted = os.environ.get(processes.CHECKPOINT_VARIABLE, "")
    if wanted and time.monotonic() - _STARTED >= float(wanted):
        sys.exit(int(ExitCode.CHECKPOINT))
