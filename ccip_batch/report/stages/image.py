"""Stages 7 to 10, which the node of every plane runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ccip_batch.casa.images import STOKES, Statistics
from ccip_batch.imaging.convergence import IterationResult
from ccip_batch.job.config import CUTOUT_ARCSEC
from ccip_batch.report.facts import PlaneFacts, RunFacts
from ccip_batch.report.stages.parts import Block, Columns, Stage, beam_text, of_planes, shaded, table, text
from ccip_batch.report.tables import WORST, Cell, limits, number
from ccip_batch.stages.editimlist import PlaneTarget
from ccip_batch.stages.makecutoutimages import LOW_RMS_JY, CutoutResult, CutoutStatistics
from ccip_batch.stages.makeimages import ODD_STOPS, PlaneImages, result_of
from ccip_batch.stages.makermsimages import RmsResult
from ccip_batch.stages.pbcor import PbcorResult


@dataclass(frozen=True)
class _Iteration:
    """One iteration of a plane."""

    target: PlaneTarget
    images: PlaneImages
    call: dict[str, Any]
    """Its tclean parameters."""
    result: IterationResult

    @property
    def is_odd(self) -> bool:
        """Whether somebody should look at why it stopped."""
        return self.result.stopcode in ODD_STOPS and self.result.iteration > 0

    @property
    def image(self) -> str:
        """The image that it made."""
        name = f"{self.images.imagename.rsplit('.iter', 1)[0]}.iter{self.result.iteration}"
        return result_of({**self.call, "imagename": name})


_ITERATIONS: Columns[_Iteration] = (
    ("spw", lambda one: text(one.target.spw)),
    ("frequency (GHz)", lambda one: number(one.target.reffreq_ghz, ".3f")),
    ("beam (arcsec, deg)", lambda one: beam_text(one.images.beam)),
    ("bandwidth (MHz)", lambda one: number(one.target.nominal_bandwidth_hz, ".0f", 1e-6)),
    ("fractional (%)", lambda one: number(one.target.nominal_bandwidth_hz / one.target.reffreq_ghz / 1e9, ".1f", 100)),
    ("nterms", lambda one: number(one.call["nterms"], ".0f")),
    ("iteration", lambda one: text(f"iter{one.result.iteration}")),
    ("clean mask", lambda one: text(one.result.cleanmask)),
    ("major cycles", lambda one: number(one.result.major_cycles, ".0f")),
    ("iterations", lambda one: number(one.result.iterations, ".0f")),
    ("stopped by", lambda one: Cell(one.result.stop_reason, one.result.stop_reason, 4 if one.is_odd else 0)),
    ("image", lambda one: text(one.image)),
)


def makeimages(facts: RunFacts) -> Stage:
    """Stage 7: every iteration of every plane."""
    iterations = [
        _Iteration(plane.target, plane.images, facts.job.iteration(one.iteration), one)
        for plane in facts.planes
        if plane.images and plane.target
        for one in plane.images.iterations
    ]
    warnings = [f"spw {one.target.spw}: iter{one.result.iteration} was stopped by: {one.result.stop_reason}"
                for one in iterations if one.is_odd]  # fmt: skip
    good = "every cleaning call reached its threshold or its iteration limit"
    stage = Stage(
        "makeimages",
        "Stage 7, makeimages",
        "check the stop reasons" if warnings else good,
        "attention" if warnings else "good",
        blocks=[table("Iterations", _ITERATIONS, iterations)] if iterations else (),
        warnings=warnings,
    )
    return of_planes(stage, facts, "makeimages")


def _statistics(title: str, found: Iterable[tuple[str, PbcorResult | RmsResult]], keys: Sequence[str]) -> Block:
    """Statistics of each plane and Stokes parameter in mJy/beam, outliers over the planes shaded."""

    def cell(stokes: str, key: str) -> Callable[[tuple[str, PbcorResult | RmsResult]], Cell]:
        def of(row: tuple[str, PbcorResult | RmsResult]) -> Cell:
            statistics: Statistics = row[1].statistics[stokes]
            return number(getattr(statistics, key), ".3g", 1e3)

        return of

    columns: Columns[tuple[str, PbcorResult | RmsResult]] = (
        ("spw", lambda row: text(row[0])),
        *((f"{stokes} {key}", cell(stokes, key)) for stokes in STOKES for key in keys),
    )
    note = "mJy/beam; shaded at 3, 4, 5 and 6 robust sigma over the planes."
    return shaded(table(title, columns, found, note))


def pbcor(facts: RunFacts) -> Stage:
    """Stage 8: statistics of the corrected images."""
    found = [(plane.spw, plane.pbcor) for plane in facts.planes if plane.pbcor]
    stage = Stage(
        "pbcor",
        "Stage 8, pbcor",
        "image and residual divided by the primary beam",
        blocks=[_statistics("Corrected image", found, ("max", "min", "sigma", "madrms"))] if found else (),
    )
    return of_planes(stage, facts, "pbcor")


def _negative(stokes: str) -> Callable[[tuple[str, RmsResult]], Cell]:
    return lambda row: number(row[1].negative_pixels[stokes], ".0f")


_NEGATIVE: Columns[tuple[str, RmsResult]] = (
    ("spw", lambda row: text(row[0])),
    *((stokes, _negative(stokes)) for stokes in STOKES),
)


def makermsimages(facts: RunFacts) -> Stage:
    """Stage 9: statistics of the rms images, and their pixels below zero."""
    found = [(plane.spw, plane.rms) for plane in facts.planes if plane.rms]
    note = "The cubic interpolation undershoots near bright sources: such pixels do not measure the noise."
    blocks = [
        _statistics("rms images", found, ("max", "min", "mean", "median", "sigma", "madrms")),
        table("Pixels below zero", _NEGATIVE, found, note),
    ]
    stage = Stage("makermsimages", "Stage 9, makermsimages", "rms of every plane", blocks=blocks if found else ())
    return of_planes(stage, facts, "makermsimages")


@dataclass(frozen=True)
class _Cutout:
    """The cutouts of a plane in one Stokes parameter."""

    plane: PlaneFacts
    result: CutoutResult
    stokes: str

    @property
    def of(self) -> CutoutStatistics:
        """Their statistics."""
        return self.result.statistics[self.stokes]


def _low_rms(one: _Cutout) -> Cell:
    low = 100 * one.of.rms_low_fraction
    return replace(number(low, ".1f"), level=WORST if low == 0 else limits(low, (80, 50, 20), below=True))


_CUTOUTS: Columns[_Cutout] = (
    ("spw", lambda one: text(one.plane.spw)),
    ("Stokes", lambda one: text(one.stokes)),
    ("image peak", lambda one: number(one.of.image.peak, ".4g", 1e3)),
    ("image MAD rms", lambda one: number(one.of.image.madrms, ".3g", 1e3)),
    ("peak / MAD rms", lambda one: number(one.of.image.peak_over_madrms, ".1f")),
    ("residual peak", lambda one: number(one.of.residual.peak, ".3g", 1e3)),
    ("residual MAD rms", lambda one: number(one.of.residual.madrms, ".3g", 1e3)),
    ("residual peak / MAD rms", lambda one: number(one.of.residual.peak_over_madrms, ".1f")),
    ("rms max", lambda one: number(one.of.rms_max, ".3g", 1e3)),
    ("rms median", lambda one: number(one.of.rms_median, ".3g", 1e3)),
    (f"rms below {LOW_RMS_JY * 1e3:g} (%)", _low_rms),
    ("masked (%)", lambda one: number(one.of.masked_fraction, ".1f", 100)),
    ("beam (arcsec, deg)", lambda one: beam_text(one.result.beam)),
    ("pb max", lambda one: number(one.of.pb_max, ".3f")),
    ("pb min", lambda one: number(one.of.pb_min, ".3f")),
    ("pb median", lambda one: number(one.of.pb_median, ".3f")),
)


def makecutoutimages(facts: RunFacts) -> Stage:
    """Stage 10: statistics of the cutouts."""
    rows = [
        _Cutout(plane, plane.cutouts, stokes)
        for plane in facts.planes
        if plane.cutouts
        for stokes in plane.cutouts.statistics
    ]
    note = (
        "mJy/beam; image and residual not corrected for the primary beam, inside its mask; the peak is the value "
        "furthest from 0."
    )
    stage = Stage(
        "makecutoutimages",
        "Stage 10, makecutoutimages",
        f"the square degree and {(CUTOUT_ARCSEC - 3600) / 60:g} arcmin of every plane",
        blocks=[table("Cutouts", _CUTOUTS, rows, note)] if rows else (),
    )
    return of_planes(stage, facts, "makecutoutimages")
