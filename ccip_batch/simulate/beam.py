"""The primary beam of the VLA at S band, as CASA's mosaic gridder has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# spw: coefficients of x**2, x**4, x**6, with x = distance in arcmin times frequency in GHz, of power relative to the
# centre. Fitted to `.pb` images of one field a spw (tclean, mosaic gridder, CASA 6.7.6.14) within x < 36, where they
# agree within 0.6% of the peak; further out the image shows the truncation of the gridder rather than a beam.
_COEFFICIENTS: dict[int, tuple[float, float, float]] = {
    2: (-0.0014312, 7.608e-07, -1.5319e-10),
    3: (-0.0013927, 7.1825e-07, -1.4114e-10),
    4: (-0.0013877, 7.1251e-07, -1.3954e-10),
    5: (-0.0013813, 7.0393e-07, -1.366e-10),
    6: (-0.0013823, 7.005e-07, -1.3397e-10),
    7: (-0.0013907, 7.0456e-07, -1.3585e-10),
    8: (-0.0014347, 7.681e-07, -1.5885e-10),
    9: (-0.0014395, 7.6263e-07, -1.5313e-10),
    10: (-0.0014555, 7.8285e-07, -1.6098e-10),
    11: (-0.0014765, 7.9446e-07, -1.6125e-10),
    12: (-0.0015008, 8.3394e-07, -1.7741e-10),
    13: (-0.0015125, 8.4599e-07, -1.8064e-10),
    14: (-0.0014953, 8.1982e-07, -1.6946e-10),
    15: (-0.0015047, 8.1712e-07, -1.6576e-10),
    16: (-0.0015351, 8.6187e-07, -1.821e-10),
    17: (-0.0015156, 8.3448e-07, -1.7214e-10),
}
_EDGE = 46.0
"""Value of x beyond which the beam is taken to be zero: about its first null."""


def primary_beam(spw: int, radius: Floats, frequency: Floats) -> Floats:
    """Power of the primary beam of a science spw (2 to 17), relative to its centre.

    radius: distance from the pointing direction in radians. frequency: in Hz. The two are broadcast.
    """
    x = np.degrees(radius) * 60.0 * frequency / 1e9
    square = x * x
    a, b, c = _COEFFICIENTS[spw]
    power = 1.0 + square * (a + square * (b + square * c))
    return np.where(x < _EDGE, np.clip(power, 0.0, 1.0), 0.0)
