"""What the receivers see: the sky through the primary beam, antenna phases, noise, interference; and the flags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccip_batch.casa.session import Casa
from ccip_batch.cube.axis import SPACING
from ccip_batch.simulate.beam import primary_beam
from ccip_batch.simulate.observation import INTEGRATION, PHASE_CENTRE, Field, spw_frequencies
from ccip_batch.simulate.presets import Flagged, Preset
from ccip_batch.simulate.sky import ARCSEC, LIGHT_SPEED, Source, direction_cosines

SEFD = 370.0
"""System equivalent flux density of an antenna at S band in Jy."""
PHASE_RMS = 25.0
"""Scatter of the antennas' phase errors in degrees."""
_RFI_JY = 40.0
_RFI_SHARE = 0.01
_VISIBILITIES_AT_ONCE = 2**20
"""64 MB an array of all correlations."""

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """The rows of one science spw: what of them the sky and the receivers depend on."""

    uvw: Floats
    """Shape (3, rows), metres."""
    antenna1: NDArray[np.int32]
    antenna2: NDArray[np.int32]
    field: NDArray[np.int32]
    scan: NDArray[np.int32]
    time: Floats

    @classmethod
    def of(cls, table: Any) -> Rows:
        """Read them from a (selected) main table."""
        return cls(*(table.getcol(name) for name in ("UVW", "ANTENNA1", "ANTENNA2", "FIELD_ID", "SCAN_NUMBER", "TIME")))

    def __getitem__(self, part: slice) -> Rows:
        """Some of them."""
        rows = (getattr(self, name)[part] for name in ("antenna1", "antenna2", "field", "scan", "time"))
        return Rows(self.uvw[:, part], *rows)

    @property
    def key(self) -> NDArray[np.int64]:
        """A number for each row that stands for its time and baseline, whatever the order of the rows."""
        tick = np.round(self.time / (INTEGRATION / 10)).astype(np.int64)
        return (tick * 1000 + self.antenna1) * 1000 + self.antenna2


def chunks(rows: int, channels: int) -> Iterator[tuple[int, int]]:
    """(start, number) of successive chunks of rows, of which some arrays of complex numbers fit into little memory."""
    most = max(1, _VISIBILITIES_AT_ONCE // channels)
    for start in range(0, rows, most):
        yield start, min(most, rows - start)


def noise(channels: int) -> float:
    """Noise in Jy of the real and of the imaginary part of a visibility: one channel, correlation and integration."""
    return float(SEFD / np.sqrt(2.0 * SPACING / channels * INTEGRATION))


def phase_errors(preset: Preset, scans: list[int], antennas: int, seed: int) -> dict[int, Floats]:
    """Phase errors in radians, one for each antenna, by scan; 0 for the first antenna, the reference."""
    random = np.random.default_rng([seed, 1])
    made = {}
    for scan in scans:
        phases = random.normal(0.0, np.radians(PHASE_RMS), antennas)
        phases[0] = 0.0
        made[scan] = phases
    return made


def model(sources: tuple[Source, ...], spw: int, channels: int, fields: list[Field], rows: Rows) -> Complexes:
    """Visibilities of sources without any error, shape (4 correlations, channels, rows), Jy.

    For each channel the exact sum over sources, seen through the primary beam of each field; no gridding. sources: the
    sky. spw: a science spw, in `channels` channels. fields: of the mosaic. rows: of that spw.
    """
    frequency = spw_frequencies(spw, channels)
    seen = np.zeros((4, channels, len(rows.time)), np.complex128)
    there = set(np.unique(rows.field).tolist())
    for field in (field for field in fields if field.id in there):
        chosen = np.flatnonzero(rows.field == field.id)
        waves = rows.uvw[:, chosen][:, None, :] * (frequency / LIGHT_SPEED)[None, :, None]
        for source in sources:
            east, north, n = direction_cosines(*source.direction(*PHASE_CENTRE), field.ra, field.dec)
            beam = primary_beam(spw, np.arccos(min(n, 1.0)), frequency)
            if not beam.any():
                continue
            fringe = np.exp(2j * np.pi * (waves[0] * east + waves[1] * north + waves[2] * (n - 1.0)))
            if source.gauss:
                fringe = fringe * _gaussian(source.gauss, waves[0], waves[1])
            i, q, u, v = (part * beam for part in source.stokes(frequency))
            for correlation, amplitude in enumerate((i + v, q + 1j * u, q - 1j * u, i - v)):
                seen[correlation][:, chosen] += amplitude[:, None] * fringe
    return seen


def _gaussian(gauss: tuple[float, float, float], u: Floats, v: Floats) -> Floats:
    major, minor, angle = gauss[0] * ARCSEC, gauss[1] * ARCSEC, np.radians(gauss[2])
    along = u * np.sin(angle) + v * np.cos(angle)
    across = u * np.cos(angle) - v * np.sin(angle)
    fade: Floats = np.exp(-(np.pi**2) / (4 * np.log(2)) * ((major * along) ** 2 + (minor * across) ** 2))
    return fade


def corrupt(seen: Complexes, rows: Rows, phases: dict[int, Floats], random: np.random.Generator) -> Complexes:
    """Visibilities as they are measured: with the antennas' phases (the same for R and L) and with thermal noise.

    seen: without errors, shape (4 correlations, channels, rows), Jy. rows: of the same. phases: by scan, radians.
    random: gives the noise.
    """
    table = np.zeros((max(phases) + 1, len(next(iter(phases.values())))))
    for scan, values in phases.items():
        table[scan] = values
    error = table[rows.scan, rows.antenna1] - table[rows.scan, rows.antenna2]
    sigma = noise(seen.shape[1])
    thermal = random.normal(0.0, sigma, seen.shape) + 1j * random.normal(0.0, sigma, seen.shape)
    measured: Complexes = seen * np.exp(1j * error) + thermal
    return measured


@dataclass(frozen=True)
class Interference:
    """Bursts in one channel of a spw, on some rows."""

    spw: int
    channel: int
    keys: NDArray[np.int64]
    """`Rows.key` of the rows."""
    values: NDArray[np.complex128]
    """What is added, shape (4 correlations, rows), Jy."""

    def find(self, rows: Rows) -> NDArray[np.int64]:
        """Where its rows are among those of a measurement set in any order of rows."""
        order = np.argsort(rows.key)
        return order[np.searchsorted(rows.key, self.keys, sorter=order)]

    def add(self, data: Complexes, rows: Rows, start: int) -> None:
        """Add what falls on the visibilities of a chunk of `rows`, whose first is `start`."""
        place = self.find(rows) - start
        here = (place >= 0) & (place < data.shape[2])
        data[:, self.channel, place[here]] += self.values[:, here]


def interference(preset: Preset, spw: int, rows: Rows, seed: int) -> Interference:
    """Draw the interference of a spw."""
    random = np.random.default_rng([seed, 3, spw])
    count = max(4, round(_RFI_SHARE * len(rows.time)))
    hit = np.sort(random.choice(len(rows.time), size=min(count, len(rows.time)), replace=False))
    values = _RFI_JY * np.exp(2j * np.pi * random.random((4, len(hit))))
    return Interference(spw, int(random.integers(preset.channels)), rows.key[hit], values)


def initial_flags(flagged: Flagged, fields: list[Field], rows: Rows, spw: int, seed: int) -> Bools:
    """Which rows of a spw are flagged in the PIMS: the exact share of the rows of each field, drawn at random.

    flagged: the shares. fields: of the mosaic, in order. rows: of spw `spw`. seed: of the draw.
    """
    random = np.random.default_rng([seed, 4, spw])
    heavy = round(flagged.fields * len(fields))
    chosen = np.zeros(len(rows.time), np.bool_)
    for number, field in enumerate(fields):
        mine = np.flatnonzero(rows.field == field.id)
        share = flagged.fraction if number < heavy else flagged.elsewhere
        chosen[random.permutation(mine)[: round(share * len(mine))]] = True
    return chosen


def fill(
    casa: Casa, path: str, preset: Preset, fields: list[Field], phases: dict[int, Floats], seed: int
) -> tuple[dict[int, float], list[Interference]]:
    """Fill DATA, FLAG, WEIGHT and SIGMA of a measurement set.

    path: the measurement set. preset: what is simulated. fields: of the mosaic. phases: the antennas' errors by scan,
    radians. seed: of noise, flags and interference. Returns the flagged fraction of each science spw, and the
    interference.
    """
    fractions: dict[int, float] = {}
    bursts: list[Interference] = []
    with casa.table(path, write=True) as table:
        ones = np.ones((4, table.nrows()))
        table.putcol("WEIGHT", ones)
        table.putcol("SIGMA", ones)
        for spw in preset.spws:
            part = table.query(f"DATA_DESC_ID == {spw}")
            rows = Rows.of(part)
            burst = interference(preset, spw, rows, seed) if spw in preset.rfi else None
            flagged = np.zeros(len(rows.time), np.bool_)
            if spw in preset.flagged:
                flagged = initial_flags(preset.flagged[spw], fields, rows, spw, seed)
            random = np.random.default_rng([seed, 2, spw])
            for start, number in chunks(len(rows.time), preset.channels):
                some = rows[start : start + number]
                data = corrupt(model(preset.sources, spw, preset.channels, fields, some), some, phases, random)
                if burst is not None:
                    burst.add(data, rows, start)
                part.putcol("DATA", data, start, number)
                flags = np.broadcast_to(flagged[start : start + number], data.shape)
                part.putcol("FLAG", np.ascontiguousarray(flags), start, number)
            part.putcol("FLAG_ROW", flagged)
            part.close()
            fractions[spw] = float(flagged.mean())
            bursts += [burst] if burst is not None else []
    return fractions, bursts
