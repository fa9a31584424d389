"""Which pixels of a plane are its cutout, and which others its rms image is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ccip_batch.casa.images import Box, image_shape
from ccip_batch.casa.session import Casa
from ccip_batch.job.config import CUTOUT_ARCSEC

RMS_BOX_ARCSEC = 60
"""Side of the box in which the rms is taken around a pixel of the grid."""
RMS_GRID = 10
"""Pixels from one such pixel to the next; the rms of the others is interpolated."""


@dataclass(frozen=True)
class Cutout:
    """The cutout of a plane."""

    box: Box
    """Of the cutout, in the whole image."""
    wide: Box
    """Of the cutout and its margin, in the whole image."""
    is_wide_whole: bool
    """Whether the cutout and its margin are the whole image."""

    @property
    def inside(self) -> Box:
        """The cutout in an image of it and its margin."""
        (x, y), (left, bottom) = self.box[0], self.wide[0]
        return (x - left, y - bottom), (self.box[1][0] - left, self.box[1][1] - bottom)

    @classmethod
    def of(cls, casa: Casa, image: str) -> Cutout:
        """Of an image."""
        with casa.image(image) as tool:
            cell = abs(math.degrees(float(tool.coordsys().increment(type="direction")["numeric"][0]))) * 3600.0
        shape = image_shape(casa, image)
        return cls.from_shape((shape[0], shape[1]), cell)

    @classmethod
    def from_shape(cls, shape: tuple[int, int], cell_arcsec: float) -> Cutout:
        """Of an image of (x, y) pixels."""
        box = cutout_box(shape, cell_arcsec)
        more = rms_margin(cell_arcsec)
        (left, bottom), (right, top) = box
        wide = (
            (max(0, left - more), max(0, bottom - more)),
            (min(shape[0] - 1, right + more), min(shape[1] - 1, top + more)),
        )
        return cls(box, wide, wide == ((0, 0), (shape[0] - 1, shape[1] - 1)))


def cutout_box(shape: tuple[int, int], cell_arcsec: float) -> Box:
    """The pixels of the cutout of an image of (x, y) pixels."""
    side = math.floor(CUTOUT_ARCSEC / cell_arcsec + 0.5)
    if all(n <= side for n in shape):
        return (0, 0), (shape[0] - 1, shape[1] - 1)
    lower = [max(0, n // 2 - side // 2) for n in shape]
    upper = [min(n - 1, n // 2 + side // 2 - 1) for n in shape]
    return (lower[0], lower[1]), (upper[0], upper[1])


def rms_margin(cell_arcsec: float) -> int:
    """Pixels around the cutout that the rms of its own pixels depends on.

    Cubic interpolation takes two pixels of the grid on either side, and each of these the box around it. The margin is
    the same on all sides, so that the reference pixel stays in the middle: there imdev measures how many pixels its
    box has, and a box of a whole number of pixels could otherwise lose a row of them by a rounding error.
    """
    return math.ceil(round(RMS_BOX_ARCSEC / 2 / cell_arcsec, 6)) + 2 * RMS_GRID
