"""Which channels a cube has: its planes, and blank ones for what is missing between or beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ccip_batch.cube.axis import FIRST_SPW, SPACING, LinearAxis, linear_axis, survey_frequency, survey_offset
from ccip_batch.cube.planes.plane import Plane
from ccip_batch.errors import DataError

AxisKind = Literal["auto", "linear", "table"]
"""The frequency axis: linear where planes fit one, always, or never."""
_LAST_SPW = 17


@dataclass(frozen=True)
class Channel:
    """One plane of a cube."""

    frequency: float
    """Hz."""
    group: str
    state: str
    """`kept`, `rejected`, `missing` (no file), or `filler` (a step of a linear axis for which no plane was asked)."""
    plane: Plane | None
    """None: blank."""


@dataclass(frozen=True)
class Channels:
    """The channels of a cube, in order of frequency."""

    all: list[Channel]
    axis: LinearAxis | None
    """None: frequencies are a table."""
    warnings: list[str]


def choose_channels(
    found: list[Plane], planes: list[Plane], spws: Sequence[str] | None, kind: AxisKind, *, blank_missing: bool
) -> Channels:
    """The channels of a cube of `planes`.

    found: all planes there are; those that are not among `planes` are rejected. spws: the groups asked for. kind: of
    the axis. blank_missing: give every rejected and missing window (of 2 to 17) a blank channel, also beyond the first
    and the last plane. Raises DataError if the axis shall be linear and planes do not fit one.
    """
    warnings: list[str] = []
    channels = [Channel(p.frequency, p.group, "rejected" if p.rejected else "kept", p) for p in planes]
    extra, unknown = missing(found, spws)
    blanks = [Channel(p.frequency, p.group, "rejected", None) for p in found if p not in planes] + extra
    if blank_missing:
        channels += blanks
        if unknown:
            warnings.append(
                f"No blank plane for spw {', '.join(unknown)}: the planes there are do not lie at the survey's steps "
                "of 128 MHz, so its frequency is not known."
            )
    channels.sort(key=lambda channel: channel.frequency)
    if kind == "table":
        return Channels(channels, None, warnings)
    width = float(planes[0].header.get("CDELT3", SPACING))
    axis = linear_axis([channel.frequency for channel in channels], width)
    if not axis.fits:
        why = _why_not(channels)
        if kind == "linear":
            raise DataError(
                f"No linear frequency axis: {why}. Choose other planes with --spw, or leave the axis uneven "
                "(--axis table)."
            )
        warnings.append(f"The frequency axis is a table (CTYPE3 FREQ-TAB), which few programs read: {why}.")
        return Channels(channels, None, warnings)
    if not axis.exact:
        warnings.append(
            f"Planes lie up to {axis.off.max() / 1e6:.3g} MHz beside the linear frequency axis; frequencies.txt and "
            "table PLANES have their own frequencies."
        )
    return Channels(_filled(channels, blanks, axis), axis, warnings)


def _why_not(channels: list[Channel]) -> str:
    """Which plane is furthest from the survey's steps, counted from the first plane."""
    above = np.array([channel.frequency - channels[0].frequency for channel in channels])
    off = np.abs(above - SPACING * np.round(above / SPACING))
    bad = channels[int(off.argmax())]
    return (
        f"spw {bad.group.replace('_', ',')} ({bad.frequency / 1e6:g} MHz) is {off.max() / 1e6:.3g} MHz off steps of "
        f"{SPACING / 1e6:g} MHz from {channels[0].frequency / 1e6:g} MHz"
    )


def _filled(channels: list[Channel], blanks: list[Channel], axis: LinearAxis) -> list[Channel]:
    """The channels of a linear axis: those given, and blank ones between, which say what is missing there."""
    at = dict(zip(axis.places, channels, strict=True))
    for blank in blanks:
        place = axis.place(blank.frequency)
        if place is not None and place not in at:
            at[place] = Channel(axis.frequency(place), blank.group, blank.state, None)
    return [at.get(n, Channel(axis.frequency(n), "", "filler", None)) for n in range(axis.count)]


def missing(found: list[Plane], spws: Sequence[str] | None) -> tuple[list[Channel], list[str]]:
    """Blank channels for science windows without a file, and windows whose frequency is not known.

    None if groups were asked for (`spws`). Frequencies are the survey's, at the offset of the planes there are.
    """
    if spws is not None:
        return [], []
    there = {spw for plane in found for spw in plane.spws}
    absent = [spw for spw in range(FIRST_SPW, _LAST_SPW + 1) if spw not in there]
    offset = survey_offset({sum(plane.spws) / len(plane.spws): plane.frequency for plane in found})
    if offset is None:
        return [], [str(spw) for spw in absent]
    return [Channel(survey_frequency(spw) + offset, str(spw), "missing", None) for spw in absent], []
