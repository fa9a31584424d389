"""I, Q and U cubes in one beam and on one grid, from the planes of a run or of the archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike, NDArray

from ccip_batch.cube.beams import BeamReport, GaussianBeam, common_beam, compare_common_beams, kernel
from ccip_batch.cube.convolve import Grid, Shift, Transfer, nominal_grid, shift_of
from ccip_batch.cube.noise import scatter
from ccip_batch.cube.plane_search import selected_groups
from ccip_batch.cube.planes import Plane, find_planes
from ccip_batch.cube.write import CubeFile, base_header, free_space, frequency_table
from ccip_batch.errors import DataError, ResourceError
from ccip_batch.records import whole_file

SPACING = 128e6
"""Hz between neighbouring spectral windows of one baseband of VLASS."""
_BASEBANDS = (range(2, 10), range(10, 18))
_REGULAR = 1e-4
"""A frequency this share of the step off a linear axis is on it."""


@dataclass(frozen=True)
class Options:
    """How a cube is made."""

    beam: GaussianBeam | None = None
    """Beam of the cube; the smallest common beam of its planes if None."""
    blank_missing: bool = False
    """Give rejected and missing spectral windows (of 2 to 17) a blank plane."""
    regular: bool = False
    """A linear frequency axis, gaps filled with blank planes, where the spacing allows."""
    include_rejected: bool = False
    """Take rejected planes too."""
    spws: Sequence[str] | None = None
    """Only these groups, such as `["2", "3_4"]`."""
    interpolation: str = "linear"
    """`linear`, as in the `.com` products, or `exact` (convolve.Transfer says what differs)."""
    workers: int = 2
    """Threads; each takes a Stokes parameter."""
    overwrite: bool = False
    """Replace cubes that are there."""
    states: Mapping[str, str] | None = None
    """What became of each group in the run of the planes, such as `rejected: beam`; None: only the files tell."""


@dataclass(frozen=True)
class Channel:
    """One plane of a cube."""

    frequency: float
    """Hz."""
    group: str
    state: str
    """`kept`, `rejected`, `missing` (no file), or `filler` (a step of a linear axis at which there is no spw)."""
    plane: Plane | None
    """None: blank."""


@dataclass(frozen=True)
class CubeResult:
    """What make_cube wrote."""

    cubes: dict[str, Path]
    """By Stokes parameter."""
    frequencies: Path
    noise: Path
    """Noise of Q and U, one line a channel, as RM-Tools takes it with -n."""
    beam: GaussianBeam
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
    primary HDU, axes RA, DEC, FREQ, STOKES; blank pixels are NaN. Frequencies are an array (CTYPE3 `FREQ-TAB`, table
    WCS-TAB) unless `options.regular`. Table PLANES has a row a channel: frequency (Hz), spw, state, beam before
    convolution (deg), rms (Jy/beam; median of the rms image), rms in the cube, weight (1/rms^2), shift (pixels), file.
    `rms in the cube` is the rms times the factor by which the convolution changed the image's scatter (MAD).
    One plane and Stokes a thread is in memory at a time. Raises DataError if the planes make no cube, if no plane
    is kept or if outputs exist; ResourceError if there is no space on the disk.
    """
    options = options or Options()
    say = progress or (lambda line: None)
    if options.interpolation not in ("linear", "exact"):
        raise DataError(f"interpolation is linear or exact, not {options.interpolation!r}.")
    warnings: list[str] = []
    found = find_planes(source, "IQU", options.spws, warnings.append)
    report, planes, more = _choose(found, options.include_rejected)
    warnings += more
    beam = _beam_for(planes, options.beam)
    channels, more = _channels(found, planes, options)
    warnings += more
    grid = nominal_grid(planes)
    shifts = {plane.group: shift_of(plane.wcs, grid) for plane in planes}
    without_rms = [plane.group for plane in planes if plane.rms_window is None]
    if without_rms:
        warnings.append("Planes without an rms image: their noise is the scatter (MAD) of the image itself.")
    name = planes[0].imagename
    cubes = {stokes: out / f"{name}.{stokes}.cube.fits" for stokes in "IQU"}
    frequencies, noise = out / f"{name}.frequencies.txt", out / f"{name}.noise.txt"
    size = len(channels) * int(np.prod(grid.shape)) * 12
    _check_out(out, [*cubes.values(), frequencies, noise], size, options.overwrite)

    axis = np.array([channel.frequency for channel in channels])
    rms: dict[str, list[tuple[float, float]]] = {stokes: [] for stokes in "IQU"}
    with ExitStack() as stack:
        files = {
            stokes: stack.enter_context(CubeFile(path, _header(planes, grid, stokes, beam, options, channels)))
            for stokes, path in cubes.items()
        }
        pool = stack.enter_context(ThreadPoolExecutor(max(1, min(options.workers, 3))))
        for number, channel in enumerate(channels, 1):
            say(
                f"{number}/{len(channels)}: {channel.frequency / 1e6:.1f} MHz, "
                f"spw {channel.group or '-'}, {channel.state}"
            )
            work = _ChannelWork(channel, beam, grid, shifts, options.interpolation)
            for stokes, measured in zip("IQU", pool.map(lambda s, w=work: w.write(s, files[s]), "IQU"), strict=True):
                rms[stokes].append(measured)
        for stokes, file in files.items():
            tables = [_planes_table(channels, rms[stokes], shifts)]
            file.finish(tables if options.regular else [frequency_table(axis), *tables])
        polarised = [float(np.mean([q[1], u[1]])) for q, u in zip(rms["Q"], rms["U"], strict=True)]
        _write_texts({frequencies: (axis, "%.6f"), noise: (polarised, "%.6e")})
        for file in files.values():  # once there is nothing more to be written
            file.put()
    left_out = _left_out(found, planes, options)
    return CubeResult(cubes, frequencies, noise, beam, channels, report, left_out, warnings)


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


def _channels(found: list[Plane], planes: list[Plane], options: Options) -> tuple[list[Channel], list[str]]:
    channels = [Channel(p.frequency, p.group, "rejected" if p.rejected else "kept", p) for p in planes]
    warnings: list[str] = []
    if options.blank_missing:
        channels += [Channel(p.frequency, p.group, "rejected", None) for p in found if p not in planes]
        extra, unknown = _missing(found, options.spws)
        channels += extra
        if unknown:
            warnings.append(
                f"No blank plane for spw {', '.join(unknown)}: "
                "no plane of the same baseband (2-9, 10-17) tells the frequency."
            )
    channels.sort(key=lambda channel: channel.frequency)
    return (_on_linear_axis(channels) if options.regular else channels), warnings


def _missing(found: list[Plane], spws: Sequence[str] | None) -> tuple[list[Channel], list[str]]:
    """Blank channels for spectral windows without a file; frequency from the nearest one of the same baseband."""
    there = {spw for plane in found for spw in plane.spws}
    single = {plane.spws[0]: plane.frequency for plane in found if len(plane.spws) == 1}
    channels, unknown = [], []
    for baseband in _BASEBANDS:
        known = [spw for spw in baseband if spw in single]
        for spw in [] if spws is not None else [spw for spw in baseband if spw not in there]:
            if not known:
                unknown.append(str(spw))
                continue
            near = min(known, key=lambda other: abs(other - spw))
            channels.append(Channel(single[near] + (spw - near) * SPACING, str(spw), "missing", None))
    return channels, unknown


def _left_out(found: list[Plane], planes: list[Plane], options: Options) -> dict[str, str]:
    """Groups that are not among `planes`, and why: as `options.states` says or, without it, as the files tell."""
    if options.states is not None:
        wanted = set(selected_groups(options.spws)) if options.spws is not None else set(options.states)
        taken = {plane.group for plane in planes}
        return {group: why for group, why in options.states.items() if group in wanted - taken}
    channels, unknown = _missing(found, options.spws)
    rejected = {plane.group: "rejected (VLASSRJ = T)" for plane in found if plane not in planes}
    return rejected | dict.fromkeys([*(channel.group for channel in channels), *unknown], "no file")


def _on_linear_axis(channels: list[Channel]) -> list[Channel]:
    """The same channels with fillers between, on a linear axis. Raises DataError if the spacing does not allow it."""
    if len(channels) == 1:
        return channels
    axis = np.array([channel.frequency for channel in channels])
    step = float(np.min(np.diff(axis)))
    places = (axis - axis[0]) / step
    off = np.abs(places - np.round(places))
    if off.max() > _REGULAR:
        bad = int(np.argmax(off > _REGULAR))
        raise DataError(
            f"No regular cube: spw {channels[bad].group} ({axis[bad] / 1e6:g} MHz) is not a multiple of "
            f"{step / 1e6:g} MHz above {axis[0] / 1e6:g} MHz. The two basebands (spw 2-9 and 10-17) are regular each: "
            "choose one by spw, or leave the axis uneven."
        )
    at = {round(place): channel for place, channel in zip(places, channels, strict=True)}
    return [at.get(n, Channel(float(axis[0] + n * step), "", "filler", None)) for n in range(max(at) + 1)]


def _check_out(out: Path, files: list[Path], size: int, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; name a folder for the cubes with --out.")
    out.mkdir(parents=True, exist_ok=True)
    there = [path.name for path in files if path.exists()]
    if there and not overwrite:
        raise DataError(f"{out} already has {', '.join(there)}; choose another folder, or give --overwrite.")
    if free_space(out) < size:
        raise ResourceError(f"The cubes take {size / 1e9:.1f} GB, {out} has {free_space(out) / 1e9:.1f} GB left.")


def _header(
    planes: list[Plane],
    grid: Grid,
    stokes: str,
    beam: GaussianBeam,
    options: Options,
    channels: list[Channel],
) -> fits.Header:
    """The header of one cube.

    planes: those in it, whose observation it tells. grid, beam, stokes: of the cube. options: as for `make_cube`.
    channels: in the order of the frequency axis; blank ones are named in the history.
    """
    axis = np.array([channel.frequency for channel in channels])
    header = base_header(planes, grid, stokes)
    header["NAXIS3"] = len(axis)
    set_beam(header, beam)
    if options.regular:
        step = (
            float((axis[-1] - axis[0]) / (len(axis) - 1))
            if len(axis) > 1
            else float(planes[0].header.get("CDELT3", SPACING))
        )
        values = {"CTYPE3": "FREQ", "CRVAL3": float(axis[0]), "CDELT3": step, "CRPIX3": 1.0, "CUNIT3": "Hz"}
    else:
        # Axis 3 counts channels from 1; the array FREQ of table WCS-TAB says what each is (FITS WCS paper III, 6).
        values = {"CTYPE3": "FREQ-TAB", "CRVAL3": 1.0, "CDELT3": 1.0, "CRPIX3": 1.0, "CUNIT3": "Hz"}
        values |= {"PS3_0": "WCS-TAB", "PS3_1": "FREQ", "PV3_1": 1, "PV3_2": 1, "PV3_3": 1}
    after = "CTYPE3"
    for key, value in values.items():
        if key in header:
            header[key] = value
        else:
            header.set(key, value, after=after)
        after = key
    header["HISTORY"] = f"Planes in this beam: convolved, on the nominal grid by {options.interpolation} interpolation"
    header["HISTORY"] = "(position corrections applied). Table PLANES has each plane's own values."
    for channel in channels:
        if channel.plane is None:
            header["HISTORY"] = f"Blank: {channel.frequency / 1e6:.3f} MHz, spw {channel.group or '-'}, {channel.state}"
    return header


def set_beam(header: fits.Header, beam: GaussianBeam) -> None:
    """BMAJ, BMIN, BPA (deg)."""
    header.set("BMAJ", beam.major_deg, after="EXTEND")
    header.set("BMIN", beam.minor_deg, after="BMAJ")
    header.set("BPA", beam.pa_deg, after="BMIN")


class _ChannelWork:
    """One channel's planes: read, convolve, shift, write, measure. `write` may run in several threads."""

    def __init__(
        self, channel: Channel, beam: GaussianBeam, grid: Grid, shifts: dict[str, Shift], interpolation: str
    ) -> None:
        """channel: the one to make. beam, grid: the cube's. shifts: of the planes, by group. interpolation: `linear` or
        `exact`."""
        self._plane, self._grid = channel.plane, grid
        if channel.plane is not None:
            plane = channel.plane
            self._transfer = Transfer(plane.beam, beam, plane.shape, grid, shifts[plane.group], interpolation)

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
