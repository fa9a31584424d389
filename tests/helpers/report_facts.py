"""Facts of more planes than a small run has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ccip_batch.report.facts import PlaneFacts, RunFacts

FREQUENCIES = [2.0, 2.2, 2.5, 2.8, 3.1, 3.4, 3.7, 4.0]
UNEVEN = [1.0, 1.004, 0.996, 1.002, 0.998, 1.001, 0.999, 1.003]
"""Factors that are not all the same, as measured values are."""


def many_planes(facts: RunFacts, change: Callable[[int, str, Any], None]) -> RunFacts:
    """Planes with the results of one real plane, which `change` may change: it gets number, record and result."""
    plane = next(plane for plane in facts.planes if plane.spw == "10")
    assert plane.target
    planes = []
    for number, frequency in enumerate(FREQUENCIES):
        records = [record.model_copy(deep=True) for record in plane.image.records]
        target = plane.target.model_dump() | {"reffreq_ghz": frequency}
        change(number, "target", target)
        for record in records:
            change(number, record.name, record.result)
        planes.append(
            PlaneFacts(
                spw=str(number),
                label=f"spw{number:02d}",
                image=replace(plane.image, records=records),
                export=plane.export,
                target=plane.target.model_validate(target),
                judgement=plane.judgement,
                state=plane.state,
                reason=plane.reason,
            )
        )
    return replace(facts, planes=planes)
