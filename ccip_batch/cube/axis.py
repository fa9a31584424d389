"""The frequency axis of a cube: where the survey's spectral windows lie, and the linear axis through given planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPACING = 128e6
"""Width of a spectral window of VLASS, and from each to the next, Hz."""
FIRST_SPW = 2
"""The first science spectral window; spws 0 and 1 are X-band pointing spws."""
_FIRST_CENTRE = 2028e6
_NEAR = 0.1
"""A frequency within this share of a channel of an axis is on it."""
_EXACT = 1.0
"""Planes within this many Hz of an axis lie exactly on it."""


def survey_frequency(spw: float) -> float:
    """The centre of a science spw (2 to 17) of VLASS, Hz: CRVAL3 of the archive's planes, tclean's `reffreq`."""
    return _FIRST_CENTRE + SPACING * (spw - FIRST_SPW)


def survey_offset(frequencies: Mapping[float, float]) -> float | None:
    """How far planes lie above the survey's frequencies, Hz, by spw (of a group: the mean of its spws).

    None if they are not at one offset, to a tenth of a channel: what they tell of other windows is then nothing.
    """
    offsets = np.array([frequency - survey_frequency(spw) for spw, frequency in frequencies.items()])
    if not offsets.size or np.abs(offsets - offsets.mean()).max() > _NEAR * SPACING:
        return None
    return float(offsets.mean())


@dataclass(frozen=True)
class LinearAxis:
    """Channels at equal steps, counted from 0, and which of them given frequencies are."""

    start: float
    """Of channel 0, Hz."""
    step: float
    """Hz."""
    places: tuple[int, ...]
    """The channel of each frequency."""
    off: NDArray[np.float64]
    """How far each frequency lies from its channel, Hz."""

    @property
    def count(self) -> int:
        """The number of channels."""
        return self.places[-1] + 1

    @property
    def fits(self) -> bool:
        """Whether every frequency is within a tenth of a channel of its place."""
        return bool(self.off.max() <= self._tolerance)

    @property
    def exact(self) -> bool:
        """Whether every frequency is at its place, to 1 Hz."""
        return bool(self.off.max() <= _EXACT)

    @property
    def _tolerance(self) -> float:
        return _NEAR * min(self.step, SPACING)

    def frequency(self, place: int) -> float:
        """Of a channel, Hz."""
        return self.start + self.step * place

    def place(self, frequency: float) -> int | None:
        """The channel that a frequency is on; None if it is on none."""
        place = round((frequency - self.start) / self.step)
        near = abs(frequency - self.frequency(place)) <= self._tolerance
        return place if near and 0 <= place < self.count else None


def linear_axis(frequencies: Sequence[float], width: float) -> LinearAxis:
    """The axis with the widest step that rising frequencies (Hz) fit; if they fit none, the one that was tried last.

    The step is about a whole number of spectral windows, at most the smallest gap. width: the step for one frequency
    alone.
    """
    axis = np.array(frequencies)
    if len(axis) == 1:
        return LinearAxis(float(axis[0]), width, (0,), np.zeros(1))
    for windows in range(max(1, round(float(np.diff(axis).min()) / SPACING)), 0, -1):
        found = _fitted(axis, windows * SPACING)
        if found.fits:
            break
    return found


def _fitted(axis: NDArray[np.float64], step: float) -> LinearAxis:
    """The axis of about this step: from end to end or, where that is not exact, by least squares."""
    # Gap by gap: over many channels an error of the step would add up to a channel.
    # However near two frequencies are, a channel is of one.
    places = np.concatenate([[0], np.cumsum(np.maximum(1, np.round(np.diff(axis) / step)))])
    start, step = float(axis[0]), float((axis[-1] - axis[0]) / places[-1])
    off = np.abs(start + step * places - axis)
    if off.max() > _EXACT:
        step, above = (float(value) for value in np.polyfit(places, axis - axis[0], 1))
        start += above
        off = np.abs(start + step * places - axis)
    return LinearAxis(start, step, tuple(int(place) for place in places), off)
