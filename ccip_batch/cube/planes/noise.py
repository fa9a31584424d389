"""The noise of an image: its scatter, from the median absolute deviation, which sources hardly change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAD_TO_SIGMA = 1.4826
"""Standard deviation of normal noise over its median absolute deviation, to the digits that NRAO's tables use."""
_SAMPLES = 1_000_000
"""About as many pixels serve to measure a plane's scatter."""


def madrms(values: NDArray[Any]) -> float:
    """Robust standard deviation: 1.4826 x median absolute deviation from the median. nan for an empty array."""
    if not values.size:
        return float("nan")
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def scatter(image: NDArray[np.float32]) -> float:
    """`madrms` of a sample of the pixels of an image (rows, columns), blanks left out; nan if all are blank."""
    step = max(1, int(np.sqrt(image.size / _SAMPLES)))
    sample = image[::step, ::step]
    return madrms(sample[np.isfinite(sample)])
