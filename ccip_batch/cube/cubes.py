"""I, Q and U cubes in one beam and on one grid, from the planes of a run or of the archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike, NDArray

from ccip_batch.cube.beams import BeamReport, GaussianBeam, common_beam, compare_common_beams, kernel
from ccip_batch.cube.channels import AxisKind, Channel, Channels, choose_channels, missing
from ccip_batch.cube.convolve import Grid, Shift, Transfer, nominal_grid, shift_of
from ccip_batch.cube.planes.noise import scatter
from ccip_batch.cube.planes.plane import Plane, find_planes
from ccip_batch.cube.planes.search import selected_groups
from ccip_batch.cube.write import (
    CubeFile,
    add_history,
    base_header,
    beam_table,
    free_space,
    frequency_table,
    set_beam,
    set_frequency,
)
from ccip_batch.errors import DataError, ResourceError
from ccip_batch.records import whole_file


@dataclass(frozen=True)
class Options:
    """How a cube is made."""

    beam: GaussianBeam | Literal["native"] | None = None
    """Beam of the cube: the smallest common beam of its planes if None; `native`: each plane keeps its own."""
    axis: AxisKind = "auto"
    """The frequency axis: `linear`, gaps filled with blank planes; `table`; `auto`: linear where frequencies fit."""
    blank_missing: bool = False
    """Give rejected and missing spectral windows a blank plane, also those beyond the first and the last plane."""
    include_rejected: bool = False
    """Take rejected planes too."""
    spws: Sequence[str] | None = None
    """Only these groups, such as `["2", "3_4"]` or `["2,3,4"]` (`selected_groups`)."""
    interpolation: str = "linear"
    """`linear`, as in the `.com` products, or `exact` (convolve.Transfer says what differs)."""
    workers: int = 2
    """Threads; each takes a Stokes parameter."""
    overwrite: bool = False
    """Replace cubes that are there."""
    states: Mapping[str, str] | None = None
    """What became of each group in the run of the planes, such as `rejected: beam`; None: only the files tell."""


@dataclass(frozen=True)
class CubeResult:
    """What make_cube wrote."""

    cubes: dict[str, Path]
    """By Stokes parameter."""
    frequencies: Path
    noise: Path
    """Noise of Q and U, one line a channel, as RM-Tools takes it with -n."""
    beam: GaussianBeam | None
    """Of all planes; None: each has its own."""
    channels: list[Channel]
    beams: BeamReport
    left_out: dict[str, str]
    """Groups that are not in the cube, or blank, and why."""
    warnings: list[str] = field(default_factory=list)


def make_cube(
    source: Path, out: Path, options: Options | None = None, progress: Callable[[str], None] | None = None
) -> CubeResult:
    """Write `<imagename>.{I,Q,U}.cube.fits`, `.frequencies.txt` (Hz) and `.noise.txt` (Jy/beam) into folder `out`.

    source: a run folder, or any folder with its planes or the archive's (`find_planes`). Each cube has its image in the
    primary HDU, axes RA, DEC, FREQ, STOKES; blank pixels are NaN. Where frequencies are not a linear axis they are an
    array (CTYPE3 `FREQ-TAB`, table WCS-TAB). Table PLANES has a row a channel: frequency (Hz), spw, state, beam before
    convolution (deg), rms (Jy/beam; median of the rms image), rms in the cube, weight (1/rms^2), shift (pixels), file.
    `rms in the cube` is the rms times the factor by which the convolution changed the image's scatter (MAD).
    One plane and Stokes a thread is in memory at a time. Raises DataError if the planes make no cube, if no plane
    is kept or if outputs exist; ResourceError if there is no space on the disk.
    """
    options = options or Options()
    if options.interpolation not in ("linear", "exact"):
        raise DataError(f"interpolation is linear or exact, not {options.interpolation!r}.")
    warnings: list[str] = []
    found = find_planes(source, "IQU", options.spws, warnings.append)
    report, planes, more = _choose(found, options.include_rejected)
    warnings += more
    beam = None if options.beam == "native" else _beam_for(planes, options.beam)
    chosen = choose_channels(found, planes, options.spws, options.axis, blank_missing=options.blank_missing)
    warnings += chosen.warnings
    if any(plane.rms_window is None for plane in planes):
        warnings.append("Planes without an rms image: their noise is the scatter (MAD) of the image itself.")
    grid = nominal_grid(planes)
    name = planes[0].imagename
    cubes = {stokes: out / f"{name}.{stokes}.cube.fits" for stokes in "IQU"}
    frequencies, noise = out / f"{name}.frequencies.txt", out / f"{name}.noise.txt"
    size = len(chosen.all) * int(np.prod(grid.shape)) * 12
    _check_out(out, [*cubes.values(), frequencies, noise], size, options.overwrite)
    work = _Work(planes, chosen, grid, beam, options.interpolation)
    with ExitStack() as stack:
        files = {stokes: stack.enter_context(CubeFile(path, work.header(stokes))) for stokes, path in cubes.items()}
        rms = work.write(files, options.workers, progress or (lambda line: None))
        for stokes, file in files.items():
            file.finish(work.tables(rms[stokes]))
        polarised = [float(np.mean([q[1], u[1]])) for q, u in zip(rms["Q"], rms["U"], strict=True)]
        _write_texts({frequencies: (work.frequencies, "%.6f"), noise: (polarised, "%.6e")})
        for file in files.values():  # once there is nothing more to be written
            file.put()
    left_out = _left_out(found, planes, options)
    return CubeResult(cubes, frequencies, noise, beam, chosen.all, report, left_out, warnings)


def _write_texts(columns: Mapping[Path, tuple[ArrayLike, str]]) -> None:
    """Write a text file for each column of numbers, in a format; all or none."""
    with ExitStack() as stack:
        for file, (numbers, form) in [(stack.enter_context(whole_file(path)), what) for path, what in columns.items()]:
            np.savetxt(file, numbers, fmt=form)


def _choose(found: list[Plane], include_rejected: bool) -> tuple[BeamReport, list[Plane], list[str]]:
    """Both common beams, the planes to take, and what to tell the user about them."""
    kept = [plane for plane in found if not plane.rejected]
    rejected = [plane for plane in found if plane.rejected]
    if not kept and not include_rejected:
        raise DataError("Every plane is rejected (VLASSRJ = T); include rejected planes to make a cube of them.")
    report = compare_common_beams(
        {plane.group: plane.beam for plane in kept or rejected}, {plane.group: plane.beam for plane in rejected}
    )
    warnings = [report.sentence()] if report.widened_by else []
    return report, found if include_rejected else kept, warnings


def _beam_for(planes: list[Plane], given: GaussianBeam | None) -> GaussianBeam:
    smallest = common_beam([plane.beam for plane in planes])
    if given is None:
        return smallest
    larger = [plane.group for plane in planes if kernel(plane.beam, given) is None]
    if larger:
        raise DataError(
            f"The given beam, {given}, does not hold the beams of spw {', '.join(larger)}; "
            f"the smallest that does is {smallest}."
        )
    return given


def _left_out(found: list[Plane], planes: list[Plane], options: Options) -> dict[str, str]:
    """Groups that are not among `planes`, and why: as `options.states` says or, without it, as the files tell."""
    if options.states is not None:
        there = options.states.keys() | {plane.group for plane in found}
        wanted = set(there if options.spws is None else selected_groups(options.spws, there))
        taken = {plane.group for plane in planes}
        return {group: why for group, why in options.states.items() if group in wanted - taken}
    channels, unknown = missing(found, options.spws)
    rejected = {plane.group: "rejected (VLASSRJ = T)" for plane in found if plane not in planes}
    return rejected | dict.fromkeys([*(channel.group for channel in channels), *unknown], "no file")


def _check_out(out: Path, files: list[Path], size: int, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; name a folder for the cubes with --out.")
    out.mkdir(parents=True, exist_ok=True)
    there = [path.name for path in files if path.exists()]
    if there and not overwrite:
        raise DataError(f"{out} already has {', '.join(there)}; choose another folder, or give --overwrite.")
    if free_space(out) < size:
        raise ResourceError(f"The cubes take {size / 1e9:.1f} GB, {out} has {free_space(out) / 1e9:.1f} GB left.")


class _Work:
    """The cubes of one set of channels: their headers, their planes one after the other, their tables."""

    def __init__(
        self, planes: list[Plane], chosen: Channels, grid: Grid, beam: GaussianBeam | None, interpolation: str
    ) -> None:
        """planes: those in the cube. chosen: its channels. grid, beam: the cube's; without a beam each plane keeps its
        own. interpolation: `linear` or `exact`."""
        self._planes, self._chosen, self._grid, self._beam = planes, chosen, grid, beam
        self._interpolation = interpolation
        self._shifts = {plane.group: shift_of(plane.wcs, grid) for plane in planes}

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Of the channels, Hz: each plane's own."""
        return np.array([channel.frequency for channel in self._chosen.all])

    def header(self, stokes: str) -> fits.Header:
        """The header of one cube."""
        header = base_header(self._planes, self._grid, stokes)
        header["NAXIS3"] = len(self._chosen.all)
        if self._beam is None:
            header.set("CASAMBM", True, "Each channel has its beam (table BEAMS)", after="EXTEND")
        else:
            set_beam(header, self._beam)
        axis = self._chosen.axis
        if axis is not None:
            values: dict[str, str | float] = {"CRVAL3": axis.start, "CDELT3": axis.step, "CRPIX3": 1.0, "CUNIT3": "Hz"}
        else:
            # Axis 3 counts channels from 1; the array FREQ of table WCS-TAB says what each is (FITS WCS paper III, 6).
            values = {"CTYPE3": "FREQ-TAB", "CRVAL3": 1.0, "CDELT3": 1.0, "CRPIX3": 1.0, "CUNIT3": "Hz"}
            values |= {"PS3_0": "WCS-TAB", "PS3_1": "FREQ", "PV3_1": 1, "PV3_2": 1, "PV3_3": 1}
        ends = self.frequencies[[0, -1]]
        set_frequency(header, values, float(ends.mean()))
        beam = "Planes in their own beams (table BEAMS)" if self._beam is None else "Planes convolved to this beam"
        add_history(
            header,
            f"{beam} and moved to the nominal grid by {self._interpolation} interpolation (position corrections "
            "applied). Table PLANES has each plane's own values.",
        )
        if axis is not None and not axis.exact:
            add_history(
                header,
                f"Planes lie up to {axis.off.max():.0f} Hz beside the linear frequency axis; PLANES has their own "
                "frequencies.",
            )
        for channel in self._chosen.all:
            if channel.plane is None:
                spw = channel.group.replace("_", ",") or "-"
                add_history(header, f"Blank: {channel.frequency / 1e6:.3f} MHz, spw {spw}, {channel.state}")
        return header

    def write(
        self, files: Mapping[str, CubeFile], workers: int, say: Callable[[str], None]
    ) -> dict[str, list[tuple[float, float]]]:
        """Append every channel to the cubes; returns rms before and in the cube (Jy/beam) by Stokes and channel."""
        rms: dict[str, list[tuple[float, float]]] = {stokes: [] for stokes in files}
        count = len(self._chosen.all)
        with ThreadPoolExecutor(max(1, min(workers, len(files)))) as pool:
            for number, channel in enumerate(self._chosen.all, 1):
                where = f"{channel.frequency / 1e6:.1f} MHz, spw {channel.group or '-'}"
                say(f"{number}/{count}: {where}, {channel.state}")
                work = _ChannelWork(channel, self._beam, self._grid, self._shifts, self._interpolation)
                for stokes, measured in zip(
                    files, pool.map(lambda s, w=work: w.write(s, files[s]), files), strict=True
                ):
                    rms[stokes].append(measured)
        return rms

    def tables(self, rms: list[tuple[float, float]]) -> list[fits.BinTableHDU]:
        """The tables of one cube; rms: of its channels, as `write` returns it."""
        channels = self._chosen.all
        tables = [] if self._chosen.axis is not None else [frequency_table(self.frequencies)]
        if self._beam is None:
            tables.append(beam_table([_own_beam(channels, number) for number in range(len(channels))]))
        return [*tables, _planes_table(channels, rms, self._shifts)]


def _own_beam(channels: list[Channel], number: int) -> GaussianBeam:
    """A channel's beam; a blank one, which has none, gets the nearest plane's, as CASA has no table with gaps."""
    near = min(
        (other for other, channel in enumerate(channels) if channel.plane), key=lambda other: abs(other - number)
    )
    plane = channels[near].plane
    assert plane is not None
    return plane.beam


class _ChannelWork:
    """One channel's planes: read, convolve, shift, write, measure. `write` may run in several threads."""

    def __init__(
        self, channel: Channel, beam: GaussianBeam | None, grid: Grid, shifts: dict[str, Shift], interpolation: str
    ) -> None:
        """channel: the one to make. beam, grid: the cube's; None: the plane's own beam. shifts: of the planes, by
        group. interpolation: `linear` or `exact`."""
        self._plane, self._grid = channel.plane, grid
        if channel.plane is not None:
            plane = channel.plane
            self._transfer = Transfer(
                plane.beam, beam or plane.beam, plane.shape, grid, shifts[plane.group], interpolation
            )

    def write(self, stokes: str, file: CubeFile) -> tuple[float, float]:
        """Append one Stokes plane; returns rms before and in the cube (Jy/beam; NaN where it is blank)."""
        if self._plane is None:
            file.append(np.full(self._grid.shape, np.nan, dtype=np.float32))
            return np.nan, np.nan
        image = self._plane.read(stokes)
        before = scatter(image)
        moved = self._transfer.apply(image)
        del image
        file.append(moved)
        after = scatter(moved)
        del moved
        rms = self._plane.read_rms(stokes)
        if rms is None:
            return np.nan, after
        # imdev's cubic interpolation can give rms values of zero and below, which are not noise levels.
        good = rms[rms > 0]
        median = float(np.median(good)) if good.size else np.nan
        return median, median * after / before if before > 0 else np.nan


def _planes_table(
    channels: list[Channel], rms: list[tuple[float, float]], shifts: dict[str, Shift]
) -> fits.BinTableHDU:
    beams = [channel.plane.beam if channel.plane else None for channel in channels]
    moved = [shifts[channel.plane.group] if channel.plane else None for channel in channels]
    noise = np.array([after for _, after in rms])

    def text(name: str, values: list[str]) -> fits.Column:
        values = [value.encode("ascii", "backslashreplace").decode() for value in values]  # FITS has no other letters
        return fits.Column(name, f"{max(1, *map(len, values))}A", array=np.array(values))

    def number(name: str, unit: str, values: list[float] | NDArray[np.float64]) -> fits.Column:
        return fits.Column(name, "D", unit=unit, array=np.array(values, dtype=np.float64))

    with np.errstate(divide="ignore"):
        weight = np.where(np.isfinite(noise) & (noise > 0), noise**-2.0, 0.0)
    nan = float("nan")
    columns = [
        fits.Column("CHANNEL", "J", array=np.arange(1, len(channels) + 1)),
        number("FREQ", "Hz", [channel.frequency for channel in channels]),
        text("SPW", [channel.group.replace("_", ",") for channel in channels]),
        text("STATE", [channel.state for channel in channels]),
        number("BMAJ", "deg", [beam.major_deg if beam else nan for beam in beams]),
        number("BMIN", "deg", [beam.minor_deg if beam else nan for beam in beams]),
        number("BPA", "deg", [beam.pa_deg if beam else nan for beam in beams]),
        number("RMS", "Jy/beam", [before for before, _ in rms]),
        number("RMSCUBE", "Jy/beam", noise),
        number("WEIGHT", "beam2/Jy2", weight),
        number("DX", "pix", [shift.dx if shift else nan for shift in moved]),
        number("DY", "pix", [shift.dy if shift else nan for shift in moved]),
        text("FILE", [channel.plane.path.name if channel.plane else "" for channel in channels]),
    ]
    return fits.BinTableHDU.from_columns(columns, name="PLANES")
