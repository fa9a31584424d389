"""What is known of the squares and planes of a campaign, column by column: an epoch has half a million planes."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ccip_batch.campaign.report.plane_list import PlaneList
from ccip_batch.campaign.state import CampaignState
from ccip_batch.campaign.summary import PlaneSummary, read_summary
from ccip_batch.campaign.table import Square
from ccip_batch.report.tables import deviations

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
AT_HZ = 3e9
"""Beams are compared as if they were of this frequency: they shrink as it grows."""
IMAGED = ("kept", "imaged")
"""States of planes whose beam and noise count."""
MEASURES = ("kept", "rms", "beam", "flagged")
"""By what squares are compared."""
_IN_NAME = re.compile(r"J(\d\d)(\d\d)(\d\d(?:\.\d+)?)([+-])(\d\d)(\d\d)(\d\d)")
_ONE_PLANE = 1.0
"""Squares mostly lose the same number of planes; so one more or less counts as a standard deviation."""


@dataclass(frozen=True)
class Planes:
    """All planes: one value a plane, NaN if it is not known."""

    square: Integers
    """Which square, as in `CampaignState.table.squares`."""
    spw: Integers
    """Which of `spws`."""
    state: Integers
    """Which of `states`."""
    frequency: Floats
    """Hz."""
    beam: Floats
    """Major axis times frequency, over AT_HZ, arcsec; of planes that are IMAGED."""
    rms: Floats
    """Jy/beam, Stokes I; of planes that are IMAGED."""
    flagged: Floats
    """Fraction."""
    spws: Sequence[str]
    """Spw groups, by frequency."""
    states: Sequence[str]


@dataclass(frozen=True)
class Squares:
    """All squares of the table, one value each; NaN, or -1 for counts, if it is not known."""

    ra: Floats
    dec: Floats
    """Degrees."""
    kept: Integers
    planes: Integers
    """How many planes were kept, of how many."""
    cpu_s: Floats
    ended: Floats
    """Seconds since 1970."""
    has_report: npt.NDArray[np.bool_]
    rms: Floats
    """Median of the planes, Jy/beam."""
    beam: Floats
    """Median of the planes, arcsec at AT_HZ."""
    flagged: Floats
    """Median of the planes."""
    deviations: dict[str, Floats]
    """By measure: robust standard deviations from the median of all squares."""


@dataclass(frozen=True)
class CampaignFacts:
    """All that the page tells."""

    state: CampaignState
    squares: Squares
    planes: Planes


@dataclass
class _Numbering:
    """Gives each text a number."""

    numbers: dict[str, int] = field(default_factory=dict)

    def of(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


class _Growing:
    """The columns of planes while squares are read."""

    def __init__(self) -> None:
        self.spws, self.states = _Numbering(), _Numbering()
        self.square, self.spw, self.state = array("q"), array("q"), array("q")
        self.numbers: dict[str, array[float]] = {name: array("d") for name in ("frequency", "beam", "rms", "flagged")}

    def add(self, square: int, plane: PlaneSummary) -> None:
        self.square.append(square)
        self.spw.append(self.spws.of(plane.spw))
        self.state.append(self.states.of(plane.state))
        counts, frequency = plane.state in IMAGED, plane.frequency_hz
        beam = plane.beam_major_arcsec if counts and frequency else None
        values = {
            "frequency": frequency,
            "beam": beam * frequency / AT_HZ if beam and frequency else None,
            "rms": plane.rms_i_jy if counts else None,
            "flagged": plane.flagged_fraction,
        }
        for name, value in values.items():
            self.numbers[name].append(np.nan if value is None else value)

    def planes(self) -> Planes:
        """The columns, with the spw groups in order of frequency; those of unknown frequency come last, by name."""
        spw, names = np.array(self.spw, np.int64), list(self.spws.numbers)
        arrays = {name: np.array(values, float) for name, values in self.numbers.items()}
        medians = group_medians(arrays["frequency"], spw, len(names))
        order = sorted(range(len(names)), key=lambda i: (np.isnan(medians[i]), medians[i], names[i]))
        rank = np.argsort(np.array(order, np.int64))
        return Planes(
            square=np.array(self.square, np.int64),
            spw=rank[spw] if len(spw) else spw,
            state=np.array(self.state, np.int64),
            spws=[names[i] for i in order],
            states=list(self.states.numbers),
            **arrays,
        )


class _Reader:
    """Reads the squares one after the other."""

    def __init__(self, state: CampaignState, planes: PlaneList) -> None:
        number = len(state.table.squares)
        self._state, self._list = state, planes
        self.planes = _Growing()
        self.ra, self.dec, self.cpu_s, self.ended = np.full((4, number), np.nan)
        self.kept, self.number = np.full((2, number), -1, np.int64)
        self.has_report = np.zeros(number, bool)

    def read(self, index: int, square: Square) -> None:
        self.ra[index], self.dec[index] = _place_in(square.name)
        entry = self._state.entries.get(square.name)
        if entry is None:
            return
        run = self._state.campaign.folder.run(square.name, square.tile)
        self.has_report[index] = (run / "report" / "index.html").is_file()
        if entry.state in ("done", "failed"):
            self.ended[index], self.cpu_s[index] = entry.time, entry.cpu_s
        summary = read_summary(run)
        counts = summary.counts() if summary else entry.planes
        if counts:
            self.kept[index], self.number[index] = counts.get("kept", 0), sum(counts.values())
        if summary is None:
            return
        if 0 <= summary.ra_deg <= 360 and abs(summary.dec_deg) <= 90:
            self.ra[index], self.dec[index] = summary.ra_deg, summary.dec_deg
        self._list.add(square, summary)
        for plane in summary.planes:
            self.planes.add(index, plane)

    def squares(self, planes: Planes) -> Squares:
        """The columns of squares, when all are read."""
        number = len(self.ra)
        beam = group_medians(planes.beam, planes.square, number)
        flagged = group_medians(planes.flagged, planes.square, number)
        # the noise of a plane is compared with that of its spw: else a square without the noisy ones would seem quiet
        usual = group_medians(planes.rms, planes.spw, len(planes.spws))
        relative = group_medians(planes.rms / usual[planes.spw], planes.square, number)
        compared = {
            "kept": deviations(np.where(self.kept < 0, np.nan, self.kept), least=_ONE_PLANE),
            "rms": deviations(relative),
            "beam": deviations(beam),
            "flagged": deviations(flagged),
        }
        return Squares(
            ra=self.ra,
            dec=self.dec,
            kept=self.kept,
            planes=self.number,
            cpu_s=self.cpu_s,
            ended=self.ended,
            has_report=self.has_report,
            rms=group_medians(planes.rms, planes.square, number),
            beam=beam,
            flagged=flagged,
            deviations=compared,
        )


def gather(state: CampaignState, planes: PlaneList) -> CampaignFacts:
    """Read what the squares left, once; their planes are written to the list as they are read."""
    reader = _Reader(state, planes)
    for index, square in enumerate(state.table.squares):
        reader.read(index, square)
    read = reader.planes.planes()
    return CampaignFacts(state, reader.squares(read), read)


def group_medians(values: Floats, group: Integers, number: int) -> Floats:
    """The median of the known values of each group; NaN for a group without any. group: from 0 to number - 1."""
    known = np.isfinite(values)
    values, group = values[known], group[known]
    values = values[np.lexsort((values, group))]
    counts = np.bincount(group, minlength=number)
    first = np.cumsum(counts) - counts
    medians = np.full(number, np.nan)
    there = counts > 0
    low, high = (first + (counts - 1) // 2)[there], (first + counts // 2)[there]
    medians[there] = (values[low] + values[high]) / 2
    return medians


def _place_in(name: str) -> tuple[float, float]:
    """Right ascension and declination that a name such as VLASS3.1.cc.T16t21.J133335+164404 says, degrees."""
    found = _IN_NAME.search(name)
    if found is None:
        return np.nan, np.nan
    hours, minutes, seconds = (float(part) for part in found.groups()[:3])
    degrees, arcmin, arcsec = (float(part) for part in found.groups()[4:])
    ra, dec = 15 * (hours + minutes / 60 + seconds / 3600), degrees + arcmin / 60 + arcsec / 3600
    return (ra, -dec if found[4] == "-" else dec) if ra < 360 and dec <= 90 else (np.nan, np.nan)
