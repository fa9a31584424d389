"""Cells of tables: a text to read, a number to sort by, and how far it lies from the other planes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ccip_batch.cube.planes.noise import MAD_TO_SIGMA

FloatArray = npt.NDArray[np.float64]
LEVELS = (3, 4, 5, 6)
"""Robust standard deviations from the median over the planes at which a value is shaded, as NRAO's are."""
WORST = LEVELS[-1]
_MIN_PLANES = 4
"""With fewer planes nothing is shaded: they do not show what is usual."""


@dataclass(frozen=True)
class Cell:
    """One cell."""

    text: str
    sort: float | str | None = None
    """What sorting goes by; None sorts last."""
    level: int = 0
    """Robust sigma that it deviates by, rounded down: 0 or one of LEVELS."""
    tip: str = ""
    """More words, for a tooltip and for screen readers."""
    deviation: float = 0.0

    @property
    def is_number(self) -> bool:
        """Whether it is typeset as a number."""
        return isinstance(self.sort, int | float) and not isinstance(self.sort, bool)


def number(value: float | None, form: str = ".3g", scale: float = 1.0) -> Cell:
    """A cell with a number times a scale; a dash if there is no finite number."""
    if value is None or not math.isfinite(value):
        return Cell("–")
    return Cell(format(value * scale, form), value * scale)


def shade(cells: Sequence[Cell], scales: Sequence[float] | None = None, more_is_worse: bool = False) -> list[Cell]:
    """Mark the cells whose number, times its scale if scales are given, is far from the median of all.

    more_is_worse: a number below the median is no reason to look.
    """
    scales = scales or [1.0] * len(cells)
    numbers = [
        cell.sort * scale if isinstance(cell.sort, int | float) else math.nan
        for cell, scale in zip(cells, scales, strict=True)
    ]
    marked = list(cells)
    for index, deviation in enumerate(deviations(np.array(numbers, float)).tolist()):
        if deviation and math.isfinite(deviation) and not (more_is_worse and deviation < 0):
            level = max((level for level in LEVELS if abs(deviation) >= level), default=0)
            tip = f"{deviation:+.1f} sigma from the median of the planes" if level else cells[index].tip
            marked[index] = replace(cells[index], level=level, tip=tip, deviation=deviation)
    return marked


def deviations(values: FloatArray, least: float = 0.0) -> FloatArray:
    """How many robust standard deviations each value lies from the median; NaN stays NaN.

    All are 0 if the values do not show what is usual: too few, or most of them equal. least: the smallest standard
    deviation that counts as one.
    """
    known = values[np.isfinite(values)]
    none = np.where(np.isfinite(values), 0.0, np.nan)
    if len(known) < _MIN_PLANES:
        return none
    median = float(np.median(known))
    sigma = max(least, float(MAD_TO_SIGMA * np.median(np.abs(known - median))))
    return none if sigma <= 1e-9 * max(abs(median), 1e-30) else (values - median) / sigma


def limits(value: float | None, bounds: Sequence[float], below: bool) -> int:
    """The level of a value by how many bounds it passes: 0 or one of LEVELS. below: smaller is worse."""
    if value is None:
        return 0
    passed = sum(1 for bound in bounds if (value < bound if below else value >= bound))
    return LEVELS[passed - 1] if passed else 0
