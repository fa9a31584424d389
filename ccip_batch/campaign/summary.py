"""What a square that has ended leaves for the report of its campaign: a small record beside its run folder's files."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ccip_batch.job.phase_centre import parse_direction
from ccip_batch.records import Model
from ccip_batch.report.facts import PlaneFacts, gather
from ccip_batch.run.run import Run

NAME = "summary.json"
"""In the run folder of a square."""


class PlaneSummary(Model):
    """A plane of a square. What is not known is None."""

    spw: str
    """As CASA selects it: `3,4`."""
    state: str
    """As in the report of the square: kept, rejected, rejected before imaging, empty, failed, ..."""
    reason: str
    frequency_hz: float | None
    beam_major_arcsec: float | None
    beam_minor_arcsec: float | None
    beam_pa_deg: float | None
    rms_i_jy: float | None
    """Median of the rms image of Stokes I, Jy/beam."""
    peak_i_jy: float | None
    flagged_fraction: float | None
    file: str
    """Name of its IQU image; empty without one."""
    sha256: str


class SquareSummary(Model):
    """A square that has ended."""

    name: str
    tile: str
    imagename: str
    ra_deg: float
    dec_deg: float
    """Phase centre, J2000 or ICRS as in its parameter list."""
    state: str
    """`done` or `failed`."""
    cause: str
    ended: float
    """Seconds since 1970, UTC."""
    wall_s: float
    cpu_s: float
    products: str
    """Folder of its products."""
    products_bytes: int
    planes: tuple[PlaneSummary, ...]

    def counts(self) -> dict[str, int]:
        """How many planes are in which state."""
        states = [plane.state for plane in self.planes]
        return {state: states.count(state) for state in dict.fromkeys(states)}


def summarize(run: Run, name: str, tile: str, *, state: str, cause: str, products: Path, ended: float) -> SquareSummary:
    """The summary of a square from what its nodes left. products: the folder where these are now."""
    facts = gather(run)
    _, ra, dec = parse_direction(run.job.phasecenter)
    published = run.result("publish")
    return SquareSummary(
        name=name,
        tile=tile,
        imagename=run.job.imagename,
        ra_deg=ra,
        dec_deg=dec,
        state=state,
        cause=cause,
        ended=ended,
        wall_s=facts.wall_s,
        cpu_s=facts.cpu_s,
        products=str(products),
        products_bytes=sum(file.bytes for file in published.files) if published else 0,
        planes=tuple(_plane(plane) for plane in facts.planes),
    )


def read_summary(run: Path) -> SquareSummary | None:
    """The summary in a run folder; None without one, or if it is damaged."""
    try:
        return SquareSummary.model_validate_json((run / NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def _plane(plane: PlaneFacts) -> PlaneSummary:
    beam, native, target = (plane.images.beam if plane.images else None), plane.native, plane.target
    image = (
        next((file for file in native.files if ".IQU." in file.name and ".rms." not in file.name), None)
        if native
        else None
    )
    return PlaneSummary(
        spw=plane.spw,
        state=plane.state,
        reason=plane.reason,
        frequency_hz=target.reffreq_ghz * 1e9 if target else None,
        beam_major_arcsec=beam.major_arcsec if beam else None,
        beam_minor_arcsec=beam.minor_arcsec if beam else None,
        beam_pa_deg=beam.pa_deg if beam else None,
        rms_i_jy=native.rms if native else None,
        peak_i_jy=native.peak if native else None,
        flagged_fraction=target.flagged_fraction if target else None,
        file=image.name if image else "",
        sha256=image.sha256 if image else "",
    )
