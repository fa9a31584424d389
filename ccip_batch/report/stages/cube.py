"""Stages 11 and 12: the planes compared, and their FITS files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ccip_batch.imaging.samples import BOX
from ccip_batch.report.facts import PlaneFacts, RunFacts
from ccip_batch.report.stages.parts import Block, Columns, Stage, of_node, pairs, table, text
from ccip_batch.report.tables import WORST, Cell, limits, number
from ccip_batch.report.words import count, duration
from ccip_batch.stages.analyzeplanes import CubeAnalysis
from ccip_batch.stages.analyzestokescubes import REFERENCE_HZ, Place, PlaneAtPlace, PowerLaw
from ccip_batch.stages.splitgroups import SplitResult


@dataclass(frozen=True)
class _Outcome:
    """What became of a plane."""

    spw: str
    state: Cell
    why: str
    major_arcsec: float | None = None
    """Axes of the beam that it should have; None if it was not imaged."""
    minor_arcsec: float | None = None


def _outcomes(analysis: CubeAnalysis) -> Iterator[_Outcome]:
    """First the planes that were imaged, then those that were not, then those that failed."""
    for one in analysis.judgements:
        state = replace(text("kept" if one.kept else "rejected"), level=0 if one.kept else 5)
        expected = one.expected_major_arcsec, one.expected_minor_arcsec
        yield _Outcome(one.spw, state, one.reason or "as expected", *expected)
    for spw, reason in analysis.not_imaged.items():
        yield _Outcome(spw, text("not imaged"), reason)
    for spw in analysis.failed:
        yield _Outcome(spw, Cell("failed", "failed", WORST), "its node failed")


_OUTCOMES: Columns[_Outcome] = (
    ("spw", lambda one: text(one.spw)),
    ("", lambda one: one.state),
    ("why", lambda one: text(one.why)),
    ("expected major (arcsec)", lambda one: number(one.major_arcsec, ".2f")),
    ("expected minor (arcsec)", lambda one: number(one.minor_arcsec, ".2f")),
)


def analyzestokescubes(facts: RunFacts) -> Stage:
    """Stage 11: the plane rejection after imaging, the planes at both places, the common beam."""
    analysis = facts.analysis
    warnings = _warnings(analysis) if analysis else []
    stage = Stage(
        "analyzestokescubes",
        "Stage 11, analyzestokescubes",
        analysis.sentence() if analysis else "",
        "attention" if warnings else "good",
        blocks=_comparison(analysis) if analysis else (),
        warnings=warnings,
        parameters={"plane rejection": facts.job.plane_rejection.after_imaging.model_dump()},
    )
    return of_node(stage, facts.nodes["analyze"], "analyzestokescubes")


def _comparison(analysis: CubeAnalysis) -> list[Block]:
    beams = {"all imaged planes": analysis.common_beam, "kept planes alone": analysis.kept_common_beam}
    words = {
        name: f"{beam.major_arcsec:.3f} × {beam.minor_arcsec:.3f} arcsec, {beam.pa_deg:.2f} deg"
        for name, beam in beams.items()
        if beam
    }
    return [
        table("Plane rejection after imaging", _OUTCOMES, _outcomes(analysis)),
        *(_place(place) for place in analysis.stokes.places),
        pairs("Common beam", words),
    ]


def _warnings(analysis: CubeAnalysis) -> list[str]:
    rejected = [one.spw for one in analysis.judgements if not one.kept]
    warnings = [f"rejected, and left out of the fits: spw {', '.join(rejected)}"] if rejected else []
    warnings += [jump.sentence() for jump in analysis.flux_jumps]
    return warnings + ([analysis.stokes.note] if analysis.stokes.note else [])


@dataclass(frozen=True)
class _Flux:
    """A plane at a place, and the power law there; Jy/beam."""

    plane: PlaneAtPlace
    law: PowerLaw | None

    @property
    def over_rms(self) -> float | None:
        """Stokes I of the box over the median rms."""
        intensity, rms = self.plane.mean["I"], self.plane.rms_median["I"]
        return intensity / rms if intensity is not None and rms > 0 else None

    @property
    def model(self) -> float | None:
        """Stokes I that the power law gives."""
        return self.law.flux_jy * self.law.ratio(self.plane.frequency_hz) if self.law else None

    @property
    def residual(self) -> float | None:
        """Stokes I of the pixel less that of the power law."""
        pixel, model = self.plane.pixel["I"], self.model
        return pixel - model if pixel is not None and model is not None else None

    @property
    def percent(self) -> float | None:
        """The residual over the model, percent."""
        return 100 * self.residual / self.model if self.residual is not None and self.model else None


def _over_rms(row: _Flux) -> Cell:
    return replace(number(row.over_rms, ".1f"), level=limits(row.over_rms, (10, 7.5, 5, 3), below=True))


def _percent(row: _Flux) -> Cell:
    size = abs(row.percent) if row.percent is not None else None
    return replace(number(row.percent, ".1f"), level=limits(size, (5, 10, 20, 30), below=False))


_FLUXES: Columns[_Flux] = (
    ("spw", lambda row: text(row.plane.spw)),
    ("frequency (GHz)", lambda row: number(row.plane.frequency_hz, ".3f", 1e-9)),
    ("", lambda row: text("kept" if row.plane.kept else "rejected")),
    ("median rms I", lambda row: number(row.plane.rms_median["I"], ".3g", 1e3)),
    ("I", lambda row: number(row.plane.mean["I"], ".4g", 1e3)),
    ("I / rms", _over_rms),
    ("model I", lambda row: number(row.model, ".4g", 1e3)),
    ("residual", lambda row: number(row.residual, ".3g", 1e3)),
    ("residual (%)", _percent),
    ("Q", lambda row: number(row.plane.mean["Q"], ".3g", 1e3)),
    ("U", lambda row: number(row.plane.mean["U"], ".3g", 1e3)),
    ("V", lambda row: number(row.plane.mean["V"], ".3g", 1e3)),
    ("I of the pixel", lambda row: number(row.plane.pixel["I"], ".4g", 1e3)),
)


def _place(place: Place) -> Block:
    law = place.power_law
    fit = (
        f" Fit: {law.flux_jy * 1e3:.4g} mJy/beam at {REFERENCE_HZ / 1e9:g} GHz, alpha {law.alpha:+.3f}." if law else ""
    )
    note = (
        f"mJy/beam. I, Q, U, V: mean of {BOX} x {BOX} pixels, as in NRAO's table (it loses 10 to 32% of a point "
        f"source); model and residual: for the pixel itself, to which the power law is fitted.{fit}"
    )
    title = f"{place.name[0].upper()}{place.name[1:]}: RA {place.ra_deg:.6f}°, Dec {place.dec_deg:+.6f}°"
    return table(title, _FLUXES, [_Flux(plane, law) for plane in place.planes], note)


_SIZES: Columns[tuple[str, int]] = (
    ("spw", lambda row: text(row[0])),
    ("MB", lambda row: number(row[1], ".1f", 1e-6)),
)


def exportvlassdata(facts: RunFacts) -> Stage:
    """Stage 12: the FITS files. The nodes of the planes and `publish` share it."""
    publish = facts.nodes["publish"]
    nodes = [*(plane.export for plane in facts.planes), publish]
    files = [len(found) for plane in facts.planes if (found := exported(plane))]
    failed = [node.node.name for node in nodes if node.failure]
    ended = [node.result for node in nodes if node.result]
    split = facts.nodes["restore"].found(SplitResult)
    return Stage(
        "exportvlassdata",
        "Stage 12, exportvlassdata",
        f"{sum(files)} FITS files of {len(files)} planes" + (f"; failed: {', '.join(failed)}" if failed else ""),
        "bad" if failed else "good" if publish.result else "waiting",
        f"{duration(sum(r.usage.wall_s for r in ended))} in {count(len(ended), 'node')}" if ended else "",
        blocks=[table("Measurement sets of the planes", _SIZES, split.bytes.items())] if split else (),
        nodes=nodes,
    )


def exported(plane: PlaneFacts) -> list[tuple[str, int, str]]:
    """(name, bytes, checksum) of the FITS files of a plane."""
    return [(file.name, file.bytes, file.sha256) for file in plane.export.result.files] if plane.export.result else []
