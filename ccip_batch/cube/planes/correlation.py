"""How far the noise of an image is correlated, as a share of its beam."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ccip_batch.cube.planes.noise import madrms

SMOOTHED = 2.0
"""Second moments of the autocorrelation of white noise that was smoothed by the beam, over those of the beam."""
_FEWEST = 1000
"""Beams that it takes to measure the correlation to some 3%."""
_CLIP = 4.0
"""Pixels beyond this many times the scatter are sources."""
_SIDE = 512
"""Pixels along a side of the part of an image that is measured."""


def central(shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the part of an image that `correlation` takes."""
    rows, columns = (slice(max(0, (size - _SIDE) // 2), (size + _SIDE) // 2) for size in shape)
    return rows, columns


def correlation(pixels: NDArray[np.float32], beam: NDArray[np.float64]) -> float:
    """Second moments of the noise's autocorrelation over those of the beam (square pixels, axes column and row).

    The noise of a dirty image is correlated as its beam is (1); noise that was white and then smoothed by the beam is
    correlated over more (2), as is taken where the image is too small to tell.
    """
    valid = np.isfinite(pixels)
    area = 2 * np.pi * np.sqrt(np.linalg.det(beam))
    if np.count_nonzero(valid) < _FEWEST * area:
        return SMOOTHED
    middle, level = np.median(pixels[valid]), madrms(pixels[valid])
    valid &= np.abs(pixels - middle) <= _CLIP * level
    noise = np.where(valid, pixels - middle, 0)
    size = [fft.next_fast_len(side + 32, real=True) for side in pixels.shape]
    products, pairs = (
        fft.irfft2(np.abs(fft.rfft2(image, size)) ** 2, size) for image in (noise, valid.astype(np.float64))
    )
    x, y = np.meshgrid(np.arange(-15, 16), np.arange(-15, 16))
    inverse = np.linalg.inv(beam)
    away = inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2
    with np.errstate(invalid="ignore", divide="ignore"):
        fall = -2 * np.log((products / pairs / (products[0, 0] / pairs[0, 0]))[y, x])
    # Between half a beam and the beam's half: closer, little has changed, and farther, noise is all there is.
    used = (away > 0.3) & (away < 1.4) & np.isfinite(fall) & (fall > 0)
    if not used.any():
        return SMOOTHED
    return float(np.clip(np.sum(away[used] ** 2) / np.sum(away[used] * fall[used]), 1.0, SMOOTHED))
