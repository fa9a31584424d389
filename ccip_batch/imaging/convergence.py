"""The course of a plane's cleaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccip_batch.casa.images import STOKES
from ccip_batch.records import Model

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


def read_convergence(record: Mapping[str, Any]) -> dict[str, Convergence]:
    """The course of a cleaning call, from what tclean returned with `fullsummary=True`."""
    planes = record.get("summaryminor", {}).get(0, {}).get(0, {})
    return {
        stokes: Convergence(
            iterations=[int(n) for n in planes[plane]["iterDone"]],
            peak_residual_jy=[float(x) for x in planes[plane]["peakRes"]],
            model_flux_jy=[float(x) for x in planes[plane]["modelFlux"]],
        )
        for plane, stokes in enumerate(STOKES)
        if plane in planes
    }


def joined(first: Mapping[str, Convergence], then: Mapping[str, Convergence]) -> dict[str, Convergence]:
    """The course of a cleaning that was cut between two major cycles."""
    nothing = Convergence(iterations=[], peak_residual_jy=[], model_flux_jy=[])
    return {
        stokes: Convergence(
            iterations=first.get(stokes, nothing).iterations + then[stokes].iterations,
            peak_residual_jy=first.get(stokes, nothing).peak_residual_jy + then[stokes].peak_residual_jy,
            model_flux_jy=first.get(stokes, nothing).model_flux_jy + then[stokes].model_flux_jy,
        )
        for stokes in then
    }
