"""Plots over the planes: flags, beams, noise, primary beam."""

from __future__ import annotations

import math
from importlib.resources import files

import matplotlib
import numpy as np

from ccip_batch.casa.images import STOKES
from ccip_batch.report.facts import RunFacts
from ccip_batch.report.plot import Plot
from ccip_batch.report.plots.canvas import (
    BAD,
    BRIGHT,
    COLOURS,
    FAINT,
    FOUND,
    INK,
    MARKERS,
    MODEL,
    Plots,
    Table,
)
from ccip_batch.stages.editimlist import SEARCH_ARCSEC


def sefd() -> tuple[np.ndarray, np.ndarray]:
    """Frequency (GHz) and system equivalent flux density (Jy) of the VLA's S band, as measured by NRAO."""
    text = (files("ccip_batch.report") / "vla_sefd_sband.csv").read_text(encoding="utf-8")
    figures = np.array([[float(cell) for cell in line.split(",")] for line in text.splitlines()[1:]])
    return figures[:, 0] / 1000, figures[:, 1]


def flags(facts: RunFacts, plots: Plots) -> list[Plot]:
    """Flagged fraction of each field in each spw group."""
    if facts.targets is None or not facts.targets.flags.fields:
        return []
    flags, rejection = facts.targets.flags, facts.job.plane_rejection.before_imaging
    grid = np.array([[math.nan if value is None else value for value in row] for row in flags.fraction], float)
    fields, groups = grid.shape
    above = (grid > rejection.flagpct_thresh).sum(axis=0)
    size = max(5.0, 1.6 + 0.42 * groups), min(9.0, max(2.6, 1.2 + 0.2 * fields))
    with plots.figure("flags", size) as (axes,):
        mesh = axes.imshow(grid, aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        axes.grid(False)
        axes.set_xticks(range(groups), [group.replace(",", "+") for group in flags.groups])
        for tick, count in zip(axes.get_xticklabels(), above, strict=True):
            if count >= rejection.nfield_thresh:
                tick.set_color(BAD)
                tick.set_fontweight("bold")
        if fields <= 40:
            axes.set_yticks(range(fields), [f"{n} ({i})" for i, n in zip(flags.fields, flags.names, strict=True)])
        else:
            axes.set_ylabel("field")
        for column, count in enumerate(above):
            axes.annotate(
                str(count), (column, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3),
                textcoords="offset points", ha="center", fontsize=8,
                color=BAD if count >= rejection.nfield_thresh else INK,
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
        f"Fields within {SEARCH_ARCSEC:g} arcsec of the phase centre. On top: the number of fields with more than "
        f"{rejection.flagpct_thresh:g} flagged; with {rejection.nfield_thresh} of them a plane is rejected before "
        f"imaging{' (red: spw ' + ', '.join(red) + ')' if red else ''}."
    )
    return [Plot("flags", "Flagged fraction, field by spw group", text)]


def beams(facts: RunFacts, plots: Plots) -> list[Plot]:
    """The beam of each plane and the expected one; below, the flagged fraction."""
    planes = [plane for plane in facts.planes if plane.images and plane.target]
    if not planes:
        return []
    frequencies = [plane.target.reffreq_ghz for plane in planes if plane.target]
    rejection = facts.job.plane_rejection.after_imaging
    rows = []
    with plots.figure("beams", (7.2, 4.6), (2, 1)) as (axes, below):
        for axis, marker in (("major", "o"), ("minor", "v")):
            expected = [
                (p.frequency_ghz, getattr(p.judgement, f"expected_{axis}_arcsec")) for p in planes if p.judgement
            ]
            if expected:
                x, y = np.array(expected, float).T
                at = np.linspace(x.min() * 0.985, x.max() * 1.015, 80)
                curve = y[0] * x[0] / at
                axes.plot(at, curve, color=FAINT, lw=1)
                axes.fill_between(at, curve * (1 - rejection.beamdev_thresh), curve * (1 + rejection.beamdev_thresh),
                                  color=FAINT, alpha=0.18, lw=0)  # fmt: skip
            for plane, frequency in zip(planes, frequencies, strict=True):
                assert plane.images is not None
                kept = plane.state != "rejected"
                axes.plot(
                    frequency, getattr(plane.images.beam, f"{axis}_arcsec"), marker, ls="",
                    color=FOUND if axis == "major" else MODEL, mfc=None if kept else "none",
                )  # fmt: skip
            axes.plot([], [], marker, color=FOUND if axis == "major" else MODEL, label=f"{axis} axis")
        axes.set_ylabel("beam (arcsec)")
        axes.legend(ncols=2)
        below.bar(frequencies, [p.target.flagged_fraction for p in planes if p.target],
                  width=0.05, color=FOUND)  # fmt: skip
        below.axhline(rejection.flagpct_thresh, color=BAD, lw=1, ls="--")
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
        "Major and minor axis of each plane. Line: the beam expected from the reference plane; band: "
        f"{rejection.beamdev_thresh:.0%} to either side, beyond which a plane is rejected. Rejected planes are hollow. "
        "Below: the flagged fraction and its limit."
    )
    return [Plot("beams", "Beam against frequency", text)]


def noise(facts: RunFacts, plots: Plots) -> list[Plot]:
    """Median rms and MAD rms of each plane, with the SEFD of the band."""
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
    with plots.figure("rms", (7.2, 6.2), (2, 1)) as (axes, below):
        axes.plot(at[near], density[near] * scale, color=FAINT, lw=1.2, label="VLA SEFD, scaled")
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
        f"the median of Q, U and V over the planes ({scale * 1e3:.3g} uJy/beam per Jy). Below: the MAD rms of the "
        "image, not corrected for the primary beam."
    )
    return [Plot("rms", "Noise against frequency", text)]


def pb_histogram(facts: RunFacts, plots: Plots) -> list[Plot]:
    """Histogram of the primary beam of each plane."""
    found = []
    edges = np.linspace(0, 1.05, 43)
    for plane in facts.planes:
        previews = plane.previews("pb")
        if previews and "pb" in previews:
            values = previews.arrays["pb"][0].astype(np.float32)
            found.append((plane, np.histogram(values[values > 0], edges)[0] / max(1, np.isfinite(values).sum())))
    if not found:
        return []
    with plots.figure("pb", (7.2, 3.0)) as (axes,):
        colours = matplotlib.colormaps["plasma"](np.linspace(*BRIGHT, len(found)))
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
            "pb",
            "Histogram of the primary beam",
            "Fraction of the pixels of each cutout by response of the mosaic, Stokes I.",
        )
    ]
