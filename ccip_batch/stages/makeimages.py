"""Stage 7, hif_makeimages: image and clean one spw group in full Stokes, iter0 to iter3.

iter0 makes psf, weights and the dirty image; iter1 cleans inside the tier-1 mask, iter2 inside the tier-2 mask, iter3
wherever the primary beam is above pbmask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ccip_batch.casa import Casa
from ccip_batch.errors import CasaError
from ccip_batch.images import STOKES, Beam, image_shape, restoring_beam
from ccip_batch.model import Model

LAST_ITERATION = 3

STOP_REASONS = {
    0: "not stopped",
    1: "iteration limit",
    2: "threshold",
    3: "no iterations asked for",
    4: "no change of the peak residual over two major cycles",
    5: "peak residual grew more than 3 times since the last major cycle",
    6: "peak residual grew more than 3 times above its minimum",
    7: "empty mask",
    8: "n-sigma threshold",
    9: "limit of major cycles",
}
"""tclean's stop codes in words."""


class Convergence(Model):
    """Course of one cleaning call for one Stokes plane, an entry a major cycle."""

    iterations: list[int]
    peak_residual_jy: list[float]
    """At the end of the minor cycles, inside the mask, Jy/beam."""
    model_flux_jy: list[float]


class IterationResult(Model):
    """One of iter0 to iter3."""

    iteration: int
    cleanmask: str
    iterations: int
    major_cycles: int
    stopcode: int
    stop_reason: str
    convergence: dict[str, Convergence]
    """Keyed by Stokes."""


class PlaneImages(Model):
    """The images of a plane."""

    imagename: str
    """Name of the last iteration's images without `.image.tt0` and the like."""
    shape: list[int]
    beam: Beam
    """Of Stokes I of the psf."""
    iterations: list[IterationResult]


def makeimages(
    casa: Casa,
    name: str,
    selection: Mapping[str, Any],
    parameters: Callable[[int], Mapping[str, Any]],
    masks: Sequence[str],
    after: Callable[[int, str], None],
) -> PlaneImages:
    """Image a plane in the current folder.

    name: of the plane's images, without `.iter<n>`. selection: tclean parameters that select data (vis, field, spw,
    scan, antenna, datacolumn) and `reffreq`; they win over
    parameters, which gives those of the workflow's table for an iteration. masks: the
    tier-1 and tier-2 mask. after: called with the iteration and its imagename when its images are whole.
    Raises CasaError if an iteration left no image.
    """
    results = []
    for iteration in range(LAST_ITERATION + 1):
        imagename = f"{name}.iter{iteration}"
        if iteration:
            _hand_over(casa, f"{name}.iter{iteration - 1}", imagename)
        cleanmask, mask = _clean_mask(casa, imagename, iteration, masks)
        record = casa.task("tclean", imagename=imagename, **{**parameters(iteration), **selection, **mask})
        if not Path(f"{imagename}.image.tt0").is_dir():
            raise CasaError(f"tclean left no {imagename}.image.tt0; see casa.log.")
        results.append(_iteration_result(iteration, cleanmask, record))
        after(iteration, imagename)
    return PlaneImages(
        imagename=imagename,
        shape=image_shape(casa, f"{imagename}.image.tt0"),
        beam=restoring_beam(casa, f"{imagename}.psf.tt0"),
        iterations=results,
    )


def _hand_over(casa: Casa, before: str, now: str) -> None:
    """Give an iteration the images of the one before. Its `.mask` is dropped: tclean must not find one of its name."""
    for kind in ("model", "pb", "psf", "sumwt", "weight"):
        casa.move(f"{before}.{kind}.tt0", f"{now}.{kind}.tt0")
    for kind in ("image", "residual"):
        casa.copy(f"{before}.{kind}.tt0", f"{now}.{kind}.tt0")
    casa.remove(f"{before}.mask")


def _clean_mask(casa: Casa, imagename: str, iteration: int, masks: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Name of the mask for the report, and tclean's parameters for it."""
    if iteration == 0:
        return "none", {}
    if iteration == LAST_ITERATION:
        return "pb", {}
    source = masks[iteration - 1]
    target = f"{imagename}.cleanmask"
    if image_shape(casa, source)[:2] == image_shape(casa, f"{imagename}.psf.tt0")[:2]:
        casa.copy(source, target)
    else:
        casa.task(
            "imregrid",
            imagename=source,
            template=f"{imagename}.psf.tt0",
            output=target,
            axes=[0, 1],
            interpolation="nearest",
        )
    return Path(source).name, {"mask": target}


def _iteration_result(iteration: int, cleanmask: str, record: Mapping[str, Any]) -> IterationResult:
    stopcode = int(record["stopcode"])
    planes = record.get("summaryminor", {}).get(0, {}).get(0, {})
    return IterationResult(
        iteration=iteration,
        cleanmask=cleanmask,
        iterations=int(record["iterdone"]),
        major_cycles=int(record["nmajordone"]),
        stopcode=stopcode,
        stop_reason=STOP_REASONS.get(stopcode, f"code {stopcode}"),
        convergence={
            stokes: Convergence(
                iterations=[int(n) for n in planes[plane]["iterDone"]],
                peak_residual_jy=[float(x) for x in planes[plane]["peakRes"]],
                model_flux_jy=[float(x) for x in planes[plane]["modelFlux"]],
            )
            for plane, stokes in enumerate(STOKES)
            if plane in planes
        },
    )
