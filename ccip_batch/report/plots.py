"""The plots, as SVG files that follow the reader's light or dark colours, each with its numbers as CSV beside it."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ccip_batch.convergence import IterationResult
from ccip_batch.images import STOKES
from ccip_batch.report.facts import NodeFacts, PlaneFacts, RunFacts
from ccip_batch.report.rotation import Rotation, angle_errors, angles, fit_rotation, lambda_squared
from ccip_batch.stages.analyzestokescubes import REFERENCE_HZ, Place

_INK, _FAINT, _WASH = "#010203", "#010204", "#010205"
"""Stand for the page's colours until the SVG is written."""
_STYLE = (
    "<style>:root{--ink:#1d2733;--faint:#8b98a5;--wash:#e3e9ef}"
    "@media (prefers-color-scheme:dark){:root{--ink:#e3e9ef;--faint:#7b8794;--wash:#313b46}}"
    "@media print{:root{--ink:#000;--faint:#777;--wash:#ddd}}</style>"
)
COLOURS = {"I": "#3f83e0", "Q": "#d9782b", "U": "#2f9e64", "V": "#b35ad0"}
MARKERS = {"I": "o", "Q": "s", "U": "^", "V": "D"}
_BRIGHT = (0.25, 0.9)
"""The part of the colour map that shows on light and on dark."""
_FOUND, _MODEL, _BAD = "#3f83e0", "#d9782b", "#d6455d"
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "axes.grid": True,
    "grid.color": _WASH,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.markersize": 4.5,
}


@dataclass(frozen=True)
class Plot:
    """A plot that was written."""

    name: str
    """Its files are `plots/<name>.svg` and `plots/<name>.csv`."""
    title: str
    text: str
    """What it shows, in words that serve without the picture too."""


@dataclass(frozen=True)
class Table:
    """The numbers of a plot. Column names end with their unit."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Plots:
    """Writes plots into a folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def figure(
        self, name: str, width: float, height: float, rows: int = 1, columns: int = 1, fitted: bool = True
    ) -> Iterator[list[Axes]]:
        """A figure (inches) that is written when the block ends. fitted: its margins follow from its labels."""
        with matplotlib.rc_context({**_RC, "figure.constrained_layout.use": fitted}):
            figure = Figure(figsize=(width, height))
            if not fitted:  # much quicker: for the figures that there is one of a plane
                figure.subplots_adjust(left=0.09, right=0.99, bottom=0.17, top=0.92, wspace=0.22)
            yield list(figure.subplots(rows, columns, squeeze=False).flat)
            out = io.StringIO()
            figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = out.getvalue()
        for stands_for, variable in ((_INK, "--ink"), (_FAINT, "--faint"), (_WASH, "--wash")):
            text = text.replace(stands_for, f"var({variable})")
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], count=1, flags=re.DOTALL)
        text = text.replace(">", f">{_STYLE}", 1)
        (self._folder / f"{name}.svg").write_text(text, encoding="utf-8")

    def table(self, name: str, table: Table) -> None:
        """Write the numbers of a plot."""
        with (self._folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(table.columns)
            writer.writerows([["" if value is None else value for value in row] for row in table.rows])


def sefd() -> tuple[np.ndarray, np.ndarray]:
    """Frequency (GHz) and system equivalent flux density (Jy) of the VLA's S band, as measured by NRAO."""
    text = (files("ccip_batch.report") / "vla_sefd_sband.csv").read_text(encoding="utf-8")
    figures = np.array([[float(cell) for cell in line.split(",")] for line in text.splitlines()[1:]])
    return figures[:, 0] / 1000, figures[:, 1]


def make_plots(facts: RunFacts, folder: Path) -> list[Plot]:
    """Make all plots for which there are results."""
    plots = Plots(folder)
    makers: list[Callable[[RunFacts, Plots], list[Plot]]] = [_flags, _beams, _noise, _stokes, _pb_histogram]
    return [plot for maker in makers for plot in maker(facts, plots)]


def _flags(facts: RunFacts, plots: Plots) -> list[Plot]:
    if facts.targets is None or not facts.targets.flags.fields:
        return []
    flags, rejection = facts.targets.flags, facts.job.plane_rejection.before_imaging
    grid = np.array([[math.nan if value is None else value for value in row] for row in flags.fraction], float)
    fields, groups = grid.shape
    above = (grid > rejection.flagpct_thresh).sum(axis=0)
    with plots.figure("flags", max(5.0, 1.6 + 0.42 * groups), min(9.0, max(2.6, 1.2 + 0.2 * fields))) as (axes,):
        mesh = axes.imshow(grid, aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        axes.grid(False)
        axes.set_xticks(range(groups), [group.replace(",", "+") for group in flags.groups])
        for tick, count in zip(axes.get_xticklabels(), above, strict=True):
            if count >= rejection.nfield_thresh:
                tick.set_color(_BAD)
                tick.set_fontweight("bold")
        if fields <= 40:
            axes.set_yticks(range(fields), [f"{n} ({i})" for i, n in zip(flags.fields, flags.names, strict=True)])
        else:
            axes.set_ylabel("field")
        for column, count in enumerate(above):
            axes.annotate(
                str(count), (column, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3),
                textcoords="offset points", ha="center", fontsize=8,
                color=_BAD if count >= rejection.nfield_thresh else _INK,
            )  # fmt: skip
        axes.set_xlabel("spw group")
        mesh.axes.figure.colorbar(mesh, ax=axes, label="flagged fraction", pad=0.02)
    rows = [
        (flags.fields[y], flags.names[y], group, flags.fraction[y][x])
        for x, group in enumerate(flags.groups)
        for y in range(fields)
    ]
    plots.table("flags", Table(("field", "name", "spw_group", "flagged_fraction"), rows))
    red = [g for g, count in zip(flags.groups, above, strict=True) if count >= rejection.nfield_thresh]
    text = (
        f"Each field within 1800 arcsec of the phase centre, each spw group. On top: how many fields are flagged to "
        f"more than {rejection.flagpct_thresh:g}; {rejection.nfield_thresh} of them reject a plane before imaging"
        f"{' (red: spw ' + ', '.join(red) + ')' if red else ''}."
    )
    return [Plot("flags", "Flagged fraction, field by spw group", text)]


def _beams(facts: RunFacts, plots: Plots) -> list[Plot]:
    planes = [plane for plane in facts.planes if plane.images and plane.target]
    if not planes:
        return []
    frequencies = [plane.target.reffreq_ghz for plane in planes if plane.target]
    rejection = facts.job.plane_rejection.after_imaging
    rows = []
    with plots.figure("beams", 7.2, 4.6, rows=2) as (axes, below):
        for axis, marker in (("major", "o"), ("minor", "v")):
            expected = [
                (p.frequency_ghz, getattr(p.judgement, f"expected_{axis}_arcsec")) for p in planes if p.judgement
            ]
            if expected:
                x, y = np.array(expected, float).T
                at = np.linspace(x.min() * 0.985, x.max() * 1.015, 80)
                curve = y[0] * x[0] / at
                axes.plot(at, curve, color=_FAINT, lw=1)
                axes.fill_between(at, curve * (1 - rejection.beamdev_thresh), curve * (1 + rejection.beamdev_thresh),
                                  color=_FAINT, alpha=0.18, lw=0)  # fmt: skip
            for plane, frequency in zip(planes, frequencies, strict=True):
                assert plane.images is not None
                kept = plane.state != "rejected"
                axes.plot(
                    frequency, getattr(plane.images.beam, f"{axis}_arcsec"), marker, ls="",
                    color=_FOUND if axis == "major" else _MODEL, mfc=None if kept else "none",
                )  # fmt: skip
            axes.plot([], [], marker, color=_FOUND if axis == "major" else _MODEL, label=f"{axis} axis")
        axes.set_ylabel("beam (arcsec)")
        axes.legend(ncols=2)
        below.bar(frequencies, [p.target.flagged_fraction for p in planes if p.target],
                  width=0.05, color=_FOUND)  # fmt: skip
        below.axhline(rejection.flagpct_thresh, color=_BAD, lw=1, ls="--")
        below.set_ylim(0, 1)
        below.set_ylabel("flagged fraction")
        below.set_xlabel("frequency (GHz)")
        for plane in planes:
            assert plane.images is not None and plane.target is not None
            beam, judged = plane.images.beam, plane.judgement
            rows.append((plane.spw, plane.frequency_ghz, beam.major_arcsec, beam.minor_arcsec, beam.pa_deg,
                         judged.expected_major_arcsec if judged else None,
                         judged.expected_minor_arcsec if judged else None,
                         plane.target.flagged_fraction, plane.state))  # fmt: skip
    plots.table("beams", Table(("spw", "frequency_ghz", "major_arcsec", "minor_arcsec", "pa_deg",
                                "expected_major_arcsec", "expected_minor_arcsec", "flagged_fraction", "state"),
                               rows))  # fmt: skip
    text = (
        f"Major and minor axis of each plane, the beam expected from the reference plane (a line) and "
        f"{rejection.beamdev_thresh:.0%} to both sides, beyond which a plane is rejected. Rejected planes are hollow. "
        "Below: the flagged fraction and its limit."
    )
    return [Plot("beams", "Beam against frequency", text)]


def _noise(facts: RunFacts, plots: Plots) -> list[Plot]:
    planes = [plane for plane in facts.planes if plane.cutouts and plane.frequency_ghz]
    if not planes:
        return []
    frequency = np.array([plane.frequency_ghz for plane in planes], float)
    at, density = sefd()
    medians: dict[str, list[float]] = {s: [] for s in STOKES}
    spreads: dict[str, list[float]] = {s: [] for s in STOKES}
    for plane in planes:
        assert plane.cutouts is not None
        for stokes in STOKES:
            medians[stokes].append(plane.cutouts.statistics[stokes].rms_median * 1e3)
            spreads[stokes].append(plane.cutouts.statistics[stokes].image.madrms * 1e3)
    here = np.interp(frequency, at, density)
    scale = float(np.median(np.concatenate([np.array(medians[s]) / here for s in "QUV"])))
    near = (at > frequency.min() - 0.1) & (at < frequency.max() + 0.1)
    with plots.figure("rms", 7.2, 6.2, rows=2) as (axes, below):
        axes.plot(at[near], density[near] * scale, color=_FAINT, lw=1.2, label="VLA SEFD, scaled")
        for target, values in ((axes, medians), (below, spreads)):
            for stokes in STOKES:
                target.plot(frequency, values[stokes], MARKERS[stokes], ls="-", lw=0.6, color=COLOURS[stokes],
                            label=f"Stokes {stokes}")  # fmt: skip
        axes.set_ylabel("median rms (mJy/beam)")
        axes.legend(ncols=3)
        below.set_ylabel("MAD rms of the image (mJy/beam)")
        below.set_xlabel("frequency (GHz)")
    columns = ["spw", "frequency_ghz", "scaled_sefd_mjy_beam"]
    columns += [f"rms_median_{s}_mjy_beam" for s in STOKES] + [f"madrms_{s}_mjy_beam" for s in STOKES]
    rows = [
        [p.spw, p.frequency_ghz, here[i] * scale, *(medians[s][i] for s in STOKES), *(spreads[s][i] for s in STOKES)]
        for i, p in enumerate(planes)
    ]
    plots.table("rms", Table(columns, rows))
    text = (
        "Above: the median of the rms cutout, with the system equivalent flux density of the VLA's S band, scaled to "
        f"the median of Q, U and V over the planes ({scale * 1e3:.3g} uJy/beam a Jy). Below: the MAD rms of the image, "
        "not corrected for the primary beam."
    )
    return [Plot("rms", "Noise against frequency", text)]


@dataclass(frozen=True)
class Polarisation:
    """A place's fractional Stokes parameters, from the pixel itself; arrays over the planes that have them."""

    spw: list[str]
    kept: np.ndarray
    frequency: np.ndarray
    """Hz."""
    q: np.ndarray
    u: np.ndarray
    """Fractions of I."""
    error: np.ndarray
    """Standard error of either, from the median rms of Q and U."""

    @property
    def lambda2(self) -> np.ndarray:
        """m2."""
        return lambda_squared(self.frequency)

    @property
    def chi(self) -> np.ndarray:
        """Angle, rad."""
        return angles(self.q, self.u)

    @property
    def chi_error(self) -> np.ndarray:
        """Its standard error, rad."""
        return angle_errors(self.q, self.u, self.error)

    def fit(self) -> Rotation | None:
        """Rotation measure from the kept planes."""
        kept = self.kept
        return fit_rotation(self.lambda2[kept], self.chi[kept], self.chi_error[kept])


def polarisation(place: Place) -> Polarisation:
    """The planes of a place with a positive Stokes I."""
    rows = [
        row
        for row in place.planes
        if (row.pixel["I"] or 0) > 0 and row.pixel["Q"] is not None and row.pixel["U"] is not None
    ]
    intensity = np.array([row.pixel["I"] for row in rows], float)
    return Polarisation(
        spw=[row.spw for row in rows],
        kept=np.array([row.kept for row in rows], bool),
        frequency=np.array([row.frequency_hz for row in rows], float),
        q=np.array([row.pixel["Q"] for row in rows], float) / intensity,
        u=np.array([row.pixel["U"] for row in rows], float) / intensity,
        error=np.array([(row.rms_median["Q"] + row.rms_median["U"]) / 2 for row in rows], float) / intensity,
    )


def _stokes(facts: RunFacts, plots: Plots) -> list[Plot]:
    places = facts.analysis.stokes.places if facts.analysis else []
    if not places or not any(polarisation(place).spw for place in places):
        return []
    made = [_qu(places, plots), _flux(places, plots), _angle(places, plots)]
    return made


def _qu(places: Sequence[Place], plots: Plots) -> Plot:
    rows: list[Sequence[Any]] = []
    with plots.figure("qu", 8.2, 3.9, columns=len(places)) as all_axes:
        for axes, place in zip(all_axes, places, strict=True):
            data = polarisation(place)
            low, high = data.frequency.min() / 1e9, data.frequency.max() / 1e9
            norm = matplotlib.colors.Normalize(low, high if high > low else low + 1)
            colours = matplotlib.colormaps["plasma"](
                _BRIGHT[0] + norm(data.frequency / 1e9) * (_BRIGHT[1] - _BRIGHT[0])
            )
            axes.plot(data.q, data.u, color=_WASH, lw=1)
            for i, colour in enumerate(colours):
                axes.errorbar(data.q[i], data.u[i], data.error[i], data.error[i], marker="o", color=colour,
                              mfc=colour if data.kept[i] else "none", lw=0.8)  # fmt: skip
            axes.axhline(0, color=_FAINT, lw=0.7)
            axes.axvline(0, color=_FAINT, lw=0.7)
            axes.set_aspect("equal", adjustable="datalim")
            axes.set_title(place.name)
            axes.set_xlabel("Q/I")
            axes.set_ylabel("U/I")
            rows += [
                (place.name, data.spw[i], data.frequency[i] / 1e9, data.q[i], data.u[i], data.error[i], data.kept[i])
                for i in range(len(data.spw))
            ]
            mappable = matplotlib.cm.ScalarMappable(norm, matplotlib.colors.LinearSegmentedColormap.from_list(
                "part", matplotlib.colormaps["plasma"](np.linspace(*_BRIGHT, 64))))  # fmt: skip
        axes.figure.colorbar(mappable, ax=all_axes, label="frequency (GHz)", shrink=0.9)
    plots.table("qu", Table(("place", "spw", "frequency_ghz", "q_over_i", "u_over_i", "error", "kept"), rows))
    return Plot(
        "qu", "Fractional U against Q", "One point a plane, at the two places of stage 11; rejected planes are hollow."
    )


def _flux(places: Sequence[Place], plots: Plots) -> Plot:
    rows: list[Sequence[Any]] = []
    texts = []
    with plots.figure("flux", 8.2, 3.7, columns=len(places)) as all_axes:
        for axes, place in zip(all_axes, places, strict=True):
            good = [row for row in place.planes if (row.pixel["I"] or 0) > 0]
            x = np.array([row.frequency_hz for row in good]) / 1e9
            y = np.array([row.pixel["I"] for row in good], float) * 1e3
            error = np.array([row.rms_median["I"] for row in good]) * 1e3
            for i, row in enumerate(good):
                axes.errorbar(
                    x[i], y[i], error[i], marker="o", color=_FOUND, mfc=_FOUND if row.kept else "none", lw=0.8
                )
            axes.set_xscale("log")
            axes.set_yscale("log")
            at = np.geomspace(x.min() * 0.97, x.max() * 1.03, 60)
            noise = np.interp(at, x, 2 * error)
            bottom = min(y.min() * 0.8, noise.min() if noise.max() > 0.3 * y.min() else y.min() * 0.8)
            axes.fill_between(at, bottom, np.maximum(noise, bottom), color=_FAINT, alpha=0.3, lw=0)
            law = place.power_law
            if law:
                axes.plot(at, law.flux_jy * 1e3 * (at * 1e9 / REFERENCE_HZ) ** law.alpha, color=_MODEL, lw=1.3)
                texts.append(
                    f"{place.name}: I at 3 GHz {law.flux_jy * 1e3:.4g}{_pm(law.flux_error_jy, 1e3)} mJy/beam, "
                    f"alpha {law.alpha:+.3f}{_pm(law.alpha_error)}"
                )
            axes.set_ylim(bottom=bottom)
            axes.set_xlim(at[0], at[-1])
            _plain_ticks(axes)
            axes.set_title(place.name)
            axes.set_xlabel("frequency (GHz)")
            axes.set_ylabel("I (mJy/beam)")
            rows += [
                (place.name, row.spw, x[i], y[i], error[i],
                 law.flux_jy * 1e3 * (row.frequency_hz / REFERENCE_HZ) ** law.alpha if law else None, row.kept)
                for i, row in enumerate(good)
            ]  # fmt: skip
    plots.table(
        "flux", Table(("place", "spw", "frequency_ghz", "i_mjy_beam", "rms_mjy_beam", "fit_mjy_beam", "kept"), rows)
    )
    text = (
        "Stokes I of the peak pixel and the power law that fits the kept planes. "
        f"{'; '.join(texts)}{'. ' if texts else ''}Below the grey line: less than 2 sigma."
    )
    return Plot("flux", "Flux against frequency", text)


def _plain_ticks(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(matplotlib.ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
        axis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))


def _angle(places: Sequence[Place], plots: Plots) -> Plot:
    rows: list[Sequence[Any]] = []
    texts = []
    with plots.figure("rotation", 8.2, 5.4, rows=2, columns=len(places)) as all_axes:
        for number, place in enumerate(places):
            upper, lower = all_axes[number], all_axes[number + len(places)]
            data = polarisation(place)
            fit = data.fit()
            chi, error = data.chi, data.chi_error
            if fit:
                chi = chi + np.pi * np.round((fit.angle(data.lambda2) - chi) / np.pi)
                at = np.linspace(data.lambda2.min(), data.lambda2.max(), 50)
                upper.plot(at * 1e4, np.degrees(fit.angle(at)), color=_MODEL, lw=1.3)
                texts.append(
                    f"{place.name}: RM {fit.rm:+.1f}{_pm(fit.rm_error, digits=1)} rad/m², angle at zero wavelength "
                    f"{math.degrees(fit.chi0):.1f}°"
                    + (f", reduced chi² {fit.reduced_chi2:.2g}" if fit.reduced_chi2 is not None else "")
                )
            fraction = np.hypot(data.q, data.u)
            for i, kept in enumerate(data.kept):
                face = _FOUND if kept else "none"
                upper.errorbar(data.lambda2[i] * 1e4, math.degrees(chi[i]), math.degrees(error[i]), marker="o",
                               color=_FOUND, mfc=face, lw=0.8)  # fmt: skip
                lower.errorbar(data.lambda2[i] * 1e4, fraction[i], data.error[i], marker="o", color=_FOUND, mfc=face,
                               lw=0.8)  # fmt: skip
                rows.append((place.name, data.spw[i], data.lambda2[i], math.degrees(chi[i]), math.degrees(error[i]),
                             math.degrees(fit.angle(data.lambda2[i])) if fit else None, fraction[i], data.error[i],
                             bool(kept)))  # fmt: skip
            upper.set_title(place.name)
            upper.set_ylabel("angle (degrees)")
            lower.set_ylabel("polarised fraction")
            lower.set_ylim(bottom=0)
            lower.set_xlabel("wavelength² (cm²)")
    columns = ("place", "spw", "lambda_squared_m2", "angle_deg", "angle_error_deg", "fit_deg", "fraction",
               "fraction_error", "kept")  # fmt: skip
    plots.table("rotation", Table(columns, rows))
    text = (
        "Polarisation angle, unwrapped along the fit of the kept planes, and polarised fraction (not corrected for "
        f"noise bias). {'; '.join(texts)}{'.' if texts else ''}"
    )
    return Plot("rotation", "Polarisation angle and fraction against wavelength squared", text)


def _pm(error: float | None, scale: float = 1.0, digits: int = 3) -> str:
    if error is None:
        return ""
    value = error * scale
    return f" ± {value:.{digits}f}" if scale == 1.0 else f" ± {value:.2g}"


def _pb_histogram(facts: RunFacts, plots: Plots) -> list[Plot]:
    found = []
    edges = np.linspace(0, 1.05, 43)
    for plane in facts.planes:
        previews = plane.previews()
        if previews and "pb" in previews:
            values = previews.arrays["pb"][0].astype(np.float32)
            found.append((plane, np.histogram(values[values > 0], edges)[0] / max(1, np.isfinite(values).sum())))
    if not found:
        return []
    with plots.figure("pb", 7.2, 3.0) as (axes,):
        colours = matplotlib.colormaps["plasma"](np.linspace(*_BRIGHT, len(found)))
        for (plane, counts), colour in zip(found, colours, strict=True):
            axes.stairs(counts, edges, color=colour, label=f"spw {plane.spw}")
        axes.set_xlabel("primary beam response")
        axes.set_ylabel("fraction of the pixels")
        if len(found) <= 18:
            axes.legend(ncols=3)
    rows = [(plane.spw, edges[i], edges[i + 1], counts[i]) for plane, counts in found for i in range(len(counts))]
    plots.table("pb", Table(("spw", "from", "to", "fraction"), rows))
    return [
        Plot(
            "pb", "Histogram of the primary beam", "How much of each cutout has which response of the mosaic, Stokes I."
        )
    ]


def convergence(plane: PlaneFacts, iterations: Sequence[IterationResult], plots: Plots) -> Plot | None:
    """Peak residual and model flux of a plane, a major cycle and Stokes; None if nothing was cleaned."""
    cleaned = [one for one in iterations if one.convergence and one.iteration > 0]
    if not cleaned:
        return None
    name = f"convergence_{plane.label}"
    rows: list[Sequence[Any]] = []
    with plots.figure(name, 7.2, 3.0, columns=2, fitted=False) as (left, right):
        offset = 0
        for one in cleaned:
            length = 0
            for stokes, course in one.convergence.items():
                cycles = np.arange(len(course.peak_residual_jy)) + offset + 1
                length = max(length, len(cycles))
                peaks = np.array(course.peak_residual_jy) * 1e3
                flux = np.array(course.model_flux_jy) * 1e3
                style: dict[str, Any] = {"marker": MARKERS[stokes], "ms": 2.5, "lw": 0.9, "color": COLOURS[stokes]}
                first = stokes if one is cleaned[0] else None
                left.plot(cycles, np.abs(peaks), label=first, **style)
                right.plot(cycles, flux, **style)
                rows += [
                    (one.iteration, stokes, int(cycles[i]), course.iterations[i], peaks[i], flux[i])
                    for i in range(len(cycles))
                ]
            for axes in (left, right):
                if offset:
                    axes.axvline(offset + 0.5, color=_FAINT, lw=0.8, ls=":")
            left.annotate(f"iter{one.iteration}", (offset + 0.6, 1.0), xycoords=("data", "axes fraction"),
                          fontsize=7.5, xytext=(0, 2), textcoords="offset points")  # fmt: skip
            offset += length
        left.set_yscale("log")
        left.set_ylabel("peak residual (mJy/beam)")
        right.set_ylabel("model flux (mJy)")
        right.set_yscale("symlog", linthresh=1.0)
        for axes in (left, right):
            axes.set_xlabel("major cycle")
        left.legend(ncols=4)
    columns = ("iteration", "stokes", "major_cycle", "minor_iterations", "peak_residual_mjy_beam", "model_flux_mjy")
    plots.table(name, Table(columns, rows))
    return Plot(name, f"Convergence of spw {plane.spw}", "Peak residual and model flux after each major cycle.")


_KIND_COLOURS = {
    "restore": "#d9782b",
    "image": "#3f83e0",
    "analyze": "#b35ad0",
    "export": "#2f9e64",
    "publish": "#8b98a5",
}


def gantt(nodes: Sequence[NodeFacts], plots: Plots) -> Plot | None:
    """When each node ran, its stages told apart."""
    timed = [facts for facts in nodes if facts.started is not None]
    if not timed:
        return None
    zero = min(facts.started for facts in timed if facts.started is not None)
    rows: list[Sequence[Any]] = []
    longest = max((e.ended - zero for f in timed if (e := f.failure or f.result)), default=1.0)
    unit, seconds = ("h", 3600.0) if longest > 7200 else ("min", 60.0) if longest > 180 else ("s", 1.0)
    with plots.figure("gantt", 8.2, 0.9 + 0.24 * len(timed)) as (axes,):
        for row, facts in enumerate(timed):
            assert facts.started is not None
            end = facts.failure or facts.result
            colour = _BAD if facts.failure else _KIND_COLOURS[facts.node.kind]
            last = end.ended if end else max((r.started + r.elapsed_s for r in facts.records), default=facts.started)
            axes.barh(row, (last - facts.started) / seconds, 0.62, (facts.started - zero) / seconds, color=colour,
                      alpha=0.35)  # fmt: skip
            for number, record in enumerate(facts.records):
                axes.barh(row, record.elapsed_s / seconds, 0.62, (record.started - zero) / seconds, color=colour,
                          alpha=1.0 if number % 2 == 0 else 0.7)  # fmt: skip
                rows.append((facts.node.name, record.name, record.started - zero, record.elapsed_s, record.cpu_s))
        axes.set_yticks(range(len(timed)), [facts.node.name for facts in timed])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"time since the first node began ({unit})")
    plots.table("gantt", Table(("node", "stage", "start_s", "elapsed_s", "cpu_s"), rows))
    text = "A bar a node, its stages in two shades; pale: time outside stages, such as the start of CASA; red: failed."
    return Plot("gantt", "When each node ran", text)
