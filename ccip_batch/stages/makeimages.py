"""Stage 7, hif_makeimages: image and clean one spw group in full Stokes, iter0 to iter3.

iter0 makes psf, weights and the dirty image, which is its residual; iter1 cleans inside the tier-1 mask, iter2 inside
the tier-2 mask, iter3 wherever the primary beam is above pbmask.

A checkpoint has the model alone. To go on from it, the call of iter0 is made with that model in place: it makes psf, pb
and weight as it did the first time, and the residual that the last major cycle left; all have the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ccip_batch.casa.checks import check_beam, check_mask, check_planes
from ccip_batch.casa.images import RestoringBeam, image_shape, restoring_beam
from ccip_batch.casa.memory import spared
from ccip_batch.casa.session import Casa
from ccip_batch.errors import CasaError
from ccip_batch.imaging.checkpoint import Checkpoint, State, pixel_sum
from ccip_batch.imaging.convergence import STOP_REASONS, Convergence, IterationResult, joined, read_convergence
from ccip_batch.run.results import StageResult

CLEAN_MASKS = ("tier-1", "tier-2", "pb")
"""What iter1, iter2 and iter3 clean inside, by name."""
LAST_ITERATION = len(CLEAN_MASKS)
_LIMIT_OF_MAJOR_CYCLES = 9
_LIMIT_OF_ITERATIONS = 1
ODD_STOPS = (4, 5, 6, 7, _LIMIT_OF_MAJOR_CYCLES)
"""Stop codes of a cleaning call after which somebody should look at the plane (`STOP_REASONS` has their meaning)."""


class PlaneImages(StageResult):
    """The images of a plane."""

    stage: ClassVar[str] = "makeimages"
    imagename: str
    """Name of the last iteration's images without `.image.tt0` and the like."""
    shape: list[int]
    beam: RestoringBeam
    """Of Stokes I of the psf."""
    iterations: list[IterationResult]


@dataclass(frozen=True)
class Saves:
    """When and where the imaging is saved."""

    checkpoint: Checkpoint
    interval_s: float
    """A cleaning call is cut at a major cycle when about so much time has passed; this changes no bit."""
    saved: Callable[[], None]
    """Called after each save but the last: the place to end the process, if a pool wants that. What is left to do after
    the last one takes no longer than going on from it."""


def makeimages(
    casa: Casa,
    name: str,
    selection: Mapping[str, Any],
    parameters: Callable[[int], Mapping[str, Any]],
    masks: Sequence[str],
    saves: Saves,
    after: Callable[[int, str], None],
) -> PlaneImages:
    """Image a plane in the current folder, from its last checkpoint on if there is one.

    name: of the plane's images, without `.iter<n>`. selection: tclean parameters that select data (vis, field, spw,
    scan, antenna, datacolumn) and `reffreq`; they win over `parameters`, which gives those of the workflow's table for
    an iteration. masks: the tier-1 and tier-2 mask. saves: when and where
    the imaging is saved. after: called with the iteration and its imagename when its images are whole and before they
    are saved. Raises CasaError if an iteration left no image or no beam was fitted, DataError if a mask is empty or of
    another part of the sky.
    """

    def call_of(iteration: int, imagename: str) -> dict[str, Any]:
        return {"imagename": imagename, **parameters(iteration), **selection}

    state = saves.checkpoint.load()
    if state:
        casa.cut_script(state.script_bytes)
        with casa.unrecorded():
            saves.checkpoint.restore_model(state, Path(f"{name}.iter{state.iteration}.model.tt0"))
            _make_again(casa, name, call_of, masks, state)
    plane = _Cleaning(casa, saves, state)
    for iteration in range(len(plane.results), LAST_ITERATION + 1):
        imagename = f"{name}.iter{iteration}"
        resumed = state is not None and state.iteration == iteration
        if iteration and not resumed:
            _hand_over(casa, f"{name}.iter{iteration - 1}", imagename)
        cleanmask, mask = _clean_mask(casa, imagename, iteration, masks, f"{imagename}.psf.tt0")
        call = {**call_of(iteration, imagename), **mask}
        plane.iterate(iteration, cleanmask, call, state if resumed else None)
        check_planes(casa, result_of(call))
        if iteration == 0:
            psf = f"{imagename}.psf.tt0"
            check_beam(casa, psf, restoring_beam(casa, psf))
        after(iteration, imagename)
        plane.save(imagename, ended=True)
    imagename = f"{name}.iter{LAST_ITERATION}"
    return PlaneImages(
        imagename=imagename,
        shape=image_shape(casa, f"{imagename}.image.tt0"),
        beam=restoring_beam(casa, f"{imagename}.psf.tt0"),
        iterations=plane.results,
    )


class _Cleaning:
    """The cleaning of a plane: one call an iteration, or several that are cut between major cycles."""

    def __init__(self, casa: Casa, saves: Saves, state: State | None) -> None:
        self.casa = casa
        self.saves = saves
        self.results = list(state.results) if state else []
        self.cycle_s = state.cycle_s if state else 0.0
        self._start(0, None)

    def _start(self, iteration: int, state: State | None) -> None:
        self.iteration = iteration
        self.iterations = state.iterations if state else 0
        self.major_cycles = state.major_cycles if state else 0
        self.convergence: dict[str, Convergence] = dict(state.convergence) if state else {}

    def iterate(self, iteration: int, cleanmask: str, call: Mapping[str, Any], state: State | None) -> None:
        """Make an iteration, or the rest of one that was saved in the middle."""
        self._start(iteration, state)
        stopcode = self._part(call)
        while stopcode is None:
            self.save(call["imagename"], ended=False)
            stopcode = self._part(call)
        self.results.append(
            IterationResult(
                iteration=iteration,
                cleanmask=cleanmask,
                iterations=self.iterations,
                major_cycles=self.major_cycles,
                stopcode=stopcode,
                stop_reason=STOP_REASONS.get(stopcode, f"code {stopcode}"),
                convergence=self.convergence,
            )
        )

    def _part(self, call: Mapping[str, Any]) -> int | None:
        """Call tclean for as many major cycles as fit the interval; returns its stop code, None if it was cut."""
        part = dict(call)
        cut = False
        if "nmajor" in part:
            left = part["nmajor"] - self.major_cycles
            part["nmajor"] = min(left, max(1, int(self.saves.interval_s / self.cycle_s))) if self.cycle_s else left
            part["niter"] -= self.iterations
            cut = part["nmajor"] < left
            self.casa.remove(f"{part['imagename']}.mask")  # tclean must make it again from the one it is given
        started = time.monotonic()
        record = _tclean(self.casa, part)
        cycles = int(record["nmajordone"])
        self.cycle_s = (time.monotonic() - started) / max(1, cycles)
        self.iterations += int(record["iterdone"])
        self.major_cycles += cycles
        self.convergence = joined(self.convergence, read_convergence(record))
        stopcode = int(record["stopcode"])
        if cut and stopcode == _LIMIT_OF_MAJOR_CYCLES:
            return None if self.iterations < call["niter"] else _LIMIT_OF_ITERATIONS
        return stopcode

    def save(self, imagename: str, ended: bool) -> None:
        """Save the model as it is now."""
        checkpoint = self.saves.checkpoint
        state = State(
            fingerprint=checkpoint.fingerprint,
            iteration=self.iteration,
            ended=ended,
            iterations=self.iterations,
            major_cycles=self.major_cycles,
            convergence=self.convergence,
            results=self.results,
            cycle_s=self.cycle_s,
            script_bytes=self.casa.script_bytes(),
            model=checkpoint.save_model(Path(f"{imagename}.model.tt0")),
            residual=pixel_sum(Path(f"{imagename}.residual.tt0")),
        )
        checkpoint.save(state)
        if not (ended and self.iteration == LAST_ITERATION):
            self.saves.saved()


def _make_again(
    casa: Casa, name: str, call_of: Callable[[int, str], dict[str, Any]], masks: Sequence[str], state: State
) -> None:
    """Make the images and masks that there were when the model, which is here again, was saved.

    call_of: tclean's parameters for an iteration and an imagename. The others are those of `makeimages`.
    """
    imagename = f"{name}.iter{state.iteration}"
    _tclean(casa, call_of(0, imagename))
    if pixel_sum(Path(f"{imagename}.residual.tt0")) != state.residual:
        print("The residual has other bits than when it was saved; other processors may round otherwise.", flush=True)
    for iteration in range(1, state.iteration + int(state.ended)):
        _clean_mask(casa, f"{name}.iter{iteration}", iteration, masks, f"{imagename}.psf.tt0")
    if state.ended and state.iteration == LAST_ITERATION:  # makes the mask, finds no time left to clean, and restores
        _tclean(casa, {**call_of(LAST_ITERATION, imagename), "nmajor": 0})


def _tclean(casa: Casa, call: Mapping[str, Any]) -> Any:
    """Call tclean with little memory, and see that it leaves an image; gives what it returns."""
    width, height = call["imsize"]
    with spared(width * height) as memory:
        record = casa.task("tclean", **call)
    if memory.why_not:
        print(f"CASA takes more memory than necessary: {memory.why_not}", flush=True)
    if not Path(result_of(call)).is_dir():
        raise CasaError(f"tclean left no {result_of(call)}; see casa.log.")
    return record


def result_of(call: Mapping[str, Any]) -> str:
    """The image that a tclean call must leave: the restored one if it makes one, else the residual."""
    return f"{call['imagename']}.{'image' if call['restoration'] else 'residual'}.tt0"


def _hand_over(casa: Casa, before: str, now: str) -> None:
    """Give an iteration the images that tclean goes on from, and drop the others of the one before.

    NRAO's pipeline copies image and residual and keeps those of every iteration; here nothing reads them again,
    and tclean makes its image anew. The `.mask` must go: tclean must not find one under the name it uses.
    """
    for kind in ("model", "pb", "psf", "residual", "sumwt", "weight"):
        casa.move(f"{before}.{kind}.tt0", f"{now}.{kind}.tt0")
    casa.remove(f"{before}.image.tt0")
    casa.remove(f"{before}.mask")


def _clean_mask(
    casa: Casa, imagename: str, iteration: int, masks: Sequence[str], template: str
) -> tuple[str, dict[str, str]]:
    """Name of the mask for the report, and tclean's parameter for it; copies the SE mask into the current folder.

    imagename: of the iteration `iteration`. masks: the tier-1 and tier-2 mask. template: an image of the plane, whose
    pixels the mask gets.
    """
    if iteration == 0:
        return "none", {}
    if iteration == LAST_ITERATION:
        return "pb", {}
    source = masks[iteration - 1]
    target = f"{imagename}.cleanmask"
    casa.remove(target)
    if image_shape(casa, source)[:2] == image_shape(casa, template)[:2]:
        casa.copy(source, target)
    else:
        casa.task(
            "imregrid",
            imagename=source,
            template=template,
            output=target,
            axes=[0, 1],
            interpolation="nearest",
        )
    check_mask(casa, source, target, template)
    return Path(source).name, {"mask": target}
