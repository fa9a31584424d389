"""Stage by stage: what each stage was given, found and made, as tables of cells.

The modules are named after the nodes that run the stages.
"""

from __future__ import annotations

from ccip_batch.report.facts import RunFacts
from ccip_batch.report.stages import cube, image, restore
from ccip_batch.report.stages.cube import exported
from ccip_batch.report.stages.parts import Stage

__all__ = ["describe", "exported"]

_STAGES = (
    restore.importdata,
    restore.continuum,
    restore.transform,
    restore.restorepims,
    restore.flags,
    restore.cube,
    image.makeimages,
    image.pbcor,
    image.makermsimages,
    image.makecutoutimages,
    cube.analyzestokescubes,
    cube.exportvlassdata,
)


def describe(facts: RunFacts) -> list[Stage]:
    """All stages in the order of the workflow."""
    return [stage(facts) for stage in _STAGES]
