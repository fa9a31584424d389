"""Plots of the two places of stage 11: fractional U against Q, flux, polarisation angle and fraction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np

from ccip_batch.cube.polarisation import FEWEST, Rotation, fit_rotation, wavelength_squared
from ccip_batch.report.facts import RunFacts
from ccip_batch.report.plot import Plot
from ccip_batch.report.plots.canvas import (
    BRIGHT,
    FAINT,
    FOUND,
    MODEL,
    WASH,
    Plots,
    Table,
    plain_ticks,
)
from ccip_batch.stages.analyzestokescubes import REFERENCE_HZ, Place

_BOTH = "peak of Stokes I and of polarised intensity"
"""The name of both places where they are the same pixel."""


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
    """Standard error of q and of u, from the median rms of Q and U."""

    @property
    def lambda2(self) -> np.ndarray:
        """m2."""
        return wavelength_squared(self.frequency)

    @property
    def chi(self) -> np.ndarray:
        """Angle, degrees from -90 to 90."""
        angle: np.ndarray = np.degrees(np.arctan2(self.u, self.q) / 2)
        return angle

    @property
    def chi_error(self) -> np.ndarray:
        """Its standard error, degrees: at most the standard deviation of a random angle, 180 / sqrt(12)."""
        error = self.error / 2 / np.maximum(np.hypot(self.q, self.u), 1e-30)
        limited: np.ndarray = np.minimum(np.degrees(error), 180 / math.sqrt(12))
        return limited

    def fit(self) -> Rotation | None:
        """Rotation measure from the kept planes; None if these are too few."""
        kept = self.kept
        if np.count_nonzero(kept) < FEWEST:
            return None
        even = np.ones(np.count_nonzero(kept))  # the fraction is the same in all
        return fit_rotation(self.lambda2[kept], self.q[kept], self.u[kept], self.error[kept], even)


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


def at_places(facts: RunFacts, plots: Plots) -> list[Plot]:
    """The plots of all places at which any plane has a positive Stokes I; none without such a place."""
    found = [place for place in facts.analysis.stokes.places if polarisation(place).spw] if facts.analysis else []
    found = _once(found)
    return [make(found, plots) for make in (_qu, _flux, _angle)] if found else []


def _once(places: list[Place]) -> list[Place]:
    """The places, or one if both are the same pixel."""
    if len(places) < 2 or (places[0].x, places[0].y) != (places[1].x, places[1].y):
        return places
    return [places[0].model_copy(update={"name": _BOTH})]


def _width(places: Sequence[Place]) -> float:
    """Width of a figure with a column of panels a place, inch."""
    return 8.2 if len(places) > 1 else 5.2


def _qu(places: Sequence[Place], plots: Plots) -> Plot:
    rows: list[Sequence[Any]] = []
    with plots.figure("qu", (_width(places), 3.9), (1, len(places))) as all_axes:
        for axes, place in zip(all_axes, places, strict=True):
            data = polarisation(place)
            low, high = data.frequency.min() / 1e9, data.frequency.max() / 1e9
            norm = matplotlib.colors.Normalize(low, high if high > low else low + 1)
            colours = matplotlib.colormaps["plasma"](BRIGHT[0] + norm(data.frequency / 1e9) * (BRIGHT[1] - BRIGHT[0]))
            axes.plot(data.q, data.u, color=WASH, lw=1)
            for i, colour in enumerate(colours):
                axes.errorbar(data.q[i], data.u[i], data.error[i], data.error[i], marker="o", color=colour,
                              mfc=colour if data.kept[i] else "none", lw=0.8)  # fmt: skip
            axes.axhline(0, color=FAINT, lw=0.7)
            axes.axvline(0, color=FAINT, lw=0.7)
            axes.set_aspect("equal", adjustable="datalim")
            axes.set_title(place.name)
            axes.set_xlabel("Q/I")
            axes.set_ylabel("U/I")
            rows += [
                (place.name, data.spw[i], data.frequency[i] / 1e9, data.q[i], data.u[i], data.error[i], data.kept[i])
                for i in range(len(data.spw))
            ]
            mappable = matplotlib.cm.ScalarMappable(norm, matplotlib.colors.LinearSegmentedColormap.from_list(
                "part", matplotlib.colormaps["plasma"](np.linspace(*BRIGHT, 64))))  # fmt: skip
        axes.figure.colorbar(mappable, ax=all_axes, label="frequency (GHz)", shrink=0.9)
    plots.table("qu", Table(("place", "spw", "frequency_ghz", "q_over_i", "u_over_i", "error", "kept"), rows))
    same = ", which are the same pixel" if places[0].name == _BOTH else ""
    return Plot(
        "qu",
        "Fractional U against Q",
        f"One point per plane, at the two places of stage 11{same}; rejected planes are hollow.",
    )


def _flux(places: Sequence[Place], plots: Plots) -> Plot:
    rows: list[Sequence[Any]] = []
    texts = []
    faint = False
    with plots.figure("flux", (_width(places), 3.7), (1, len(places))) as all_axes:
        for axes, place in zip(all_axes, places, strict=True):
            good = [row for row in place.planes if (row.pixel["I"] or 0) > 0]
            x = np.array([row.frequency_hz for row in good]) / 1e9
            y = np.array([row.pixel["I"] for row in good], float) * 1e3
            error = np.array([row.rms_median["I"] for row in good]) * 1e3
            for i, row in enumerate(good):
                axes.errorbar(x[i], y[i], error[i], marker="o", color=FOUND, mfc=FOUND if row.kept else "none", lw=0.8)
            axes.set_xscale("log")
            axes.set_yscale("log")
            at = np.geomspace(x.min() * 0.97, x.max() * 1.03, 60)
            noise = np.interp(at, x, 2 * error)
            bottom = min(y.min() * 0.8, noise.min() if noise.max() > 0.3 * y.min() else y.min() * 0.8)
            if noise.max() > bottom:
                axes.fill_between(at, bottom, np.maximum(noise, bottom), color=FAINT, alpha=0.3, lw=0)
                faint = True
            law = place.power_law
            if law:
                axes.plot(at, law.flux_jy * 1e3 * law.ratio(at * 1e9), color=MODEL, lw=1.3)
                texts.append(
                    f"{place.name}: I at {REFERENCE_HZ / 1e9:g} GHz {law.flux_jy * 1e3:.4g}"
                    f"{_pm(law.flux_error_jy, 1e3)} mJy/beam, alpha {law.alpha:+.3f}{_pm(law.alpha_error)}"
                )
            axes.set_ylim(bottom=bottom)
            axes.set_xlim(at[0], at[-1])
            plain_ticks(axes)
            axes.set_title(place.name)
            axes.set_xlabel("frequency (GHz)")
            axes.set_ylabel("I (mJy/beam)")
            rows += [
                (place.name, row.spw, x[i], y[i], error[i],
                 law.flux_jy * 1e3 * law.ratio(row.frequency_hz) if law else None, row.kept)
                for i, row in enumerate(good)
            ]  # fmt: skip
    plots.table(
        "flux", Table(("place", "spw", "frequency_ghz", "i_mjy_beam", "rms_mjy_beam", "fit_mjy_beam", "kept"), rows)
    )
    text = (
        "Stokes I of the peak pixel and the power law that fits the kept planes. "
        f"{'; '.join(texts)}{'.' if texts else ''}"
        f"{' In the grey area: less than 2 sigma.' if faint else ''}"
    )
    return Plot("flux", "Flux against frequency", text)


def _angle(places: Sequence[Place], plots: Plots) -> Plot:
    rows: list[Sequence[Any]] = []
    texts = []
    with plots.figure("rotation", (_width(places), 5.4), (2, len(places))) as all_axes:
        for number, place in enumerate(places):
            upper, lower = all_axes[number], all_axes[number + len(places)]
            data = polarisation(place)
            fit = data.fit()
            chi, error = data.chi, data.chi_error
            if fit:
                chi = chi + 180 * np.round((fit.angle(data.lambda2) - chi) / 180)
                at = np.linspace(data.lambda2.min(), data.lambda2.max(), 50)
                upper.plot(at * 1e4, fit.angle(at), color=MODEL, lw=1.3)
                texts.append(
                    f"{place.name}: RM {fit.rm:+.1f} ± {fit.rm_err:.1f} rad/m², angle at zero wavelength "
                    f"{fit.chi0:.1f}°, reduced chi² {fit.chi2:.2g}"
                )
            fraction = np.hypot(data.q, data.u)
            for i, kept in enumerate(data.kept):
                face = FOUND if kept else "none"
                upper.errorbar(data.lambda2[i] * 1e4, chi[i], error[i], marker="o",
                               color=FOUND, mfc=face, lw=0.8)  # fmt: skip
                lower.errorbar(data.lambda2[i] * 1e4, fraction[i], data.error[i], marker="o", color=FOUND, mfc=face,
                               lw=0.8)  # fmt: skip
                rows.append((place.name, data.spw[i], data.lambda2[i], chi[i], error[i],
                             float(fit.angle(data.lambda2[i])) if fit else None, fraction[i], data.error[i],
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


def _pm(error: float | None, scale: float = 1.0) -> str:
    if error is None:
        return ""
    value = error * scale
    return f" ± {value:.3f}" if scale == 1.0 else f" ± {value:.2g}"
