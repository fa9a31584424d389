"""Stage by stage: what each stage was given, found and made, as tables of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ccip_batch.casa.flag_statistics import FlagCounts
from ccip_batch.casa.images import STOKES, Statistics
from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.job.resources_archive import Resources
from ccip_batch.report.facts import NodeFacts, PlaneFacts, RunFacts
from ccip_batch.report.tables import Cell, limits, number, shade
from ccip_batch.report.words import amount, count, duration, moment
from ccip_batch.stages.analyzestokescubes import REFERENCE_HZ, Place
from ccip_batch.stages.editimlist import SEARCH_ARCSEC, ContinuumTarget
from ccip_batch.stages.flagtargetsdata import FlagResult
from ccip_batch.stages.restorepims import RestoreResult
from ccip_batch.stages.splitgroups import SplitResult


@dataclass(frozen=True)
class Block:
    """A table of a stage."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Stage:
    """A stage, or what several nodes did of it."""

    name: str
    title: str
    level: str
    """`good`, `attention`, `bad`, or `waiting`."""
    verdict: str
    """Why."""
    when: str = ""
    blocks: Sequence[Block] = ()
    warnings: Sequence[str] = ()
    nodes: Sequence[NodeFacts] = ()
    """Those that ran it: their logs and CASA calls belong to it."""
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def text(value: object) -> Cell:
    """A cell with words."""
    shown = str(value)
    return Cell(shown, shown)


def pairs(title: str, items: Mapping[str, object], note: str = "") -> Block:
    """A table of names and values."""
    return Block(title, ("", ""), [[text(name), value if isinstance(value, Cell) else text(value)]
                                   for name, value in items.items()], note)  # fmt: skip


def describe(facts: RunFacts) -> list[Stage]:
    """All stages in the order of the workflow."""
    restore = facts.nodes["restore"]
    return [
        _importdata(facts, restore),
        _continuum(facts, restore),
        _transform(restore),
        _restorepims(facts, restore),
        _flags(facts, restore),
        _cube(facts, restore),
        _makeimages(facts),
        _pbcor(facts),
        _rms(facts),
        _cutouts(facts),
        _stokes(facts),
        _export(facts),
    ]


def _stage(node: NodeFacts, record: str, name: str, title: str, verdict: str, **more: Any) -> Stage:
    """A stage of one node: done if it left a record, failed if the node failed in it."""
    found = node.record(record)
    if found:
        when = f"{moment(found.started)}, {duration(found.elapsed_s)}, {found.cpu_s:.1f} CPU s"
        return Stage(name, title, more.pop("level", "good"), verdict, when, nodes=(node,), **more)
    more.pop("level", None)
    if node.failure and node.failure.stage == record:
        return Stage(name, title, "bad", node.failure.cause, nodes=(node,), **more)
    if node.failure:
        return Stage(name, title, "waiting", f"not reached: {node.node.name} failed before", nodes=(node,), **more)
    now = node.state == "running" and node.status.stage == record
    return Stage(name, title, "waiting", "under way" if now else "not yet", nodes=(node,), **more)


def _importdata(facts: RunFacts, node: NodeFacts) -> Stage:
    summary = node.stage("importdata", MsSummary)
    blocks = [_ms_block(summary), _spw_block(summary)] if summary else []
    return _stage(node, "importdata", "importdata", "Stage 1, importdata", "the measurement set was read",
                  blocks=blocks, parameters={"inputs": {"vis": str(facts.job.inputs.vis)}})  # fmt: skip


def _ms_block(summary: MsSummary) -> Block:
    return pairs(
        "Measurement set",
        {
            "name": summary.name,
            "scheduling block": summary.name.split("_")[0],
            "telescope, observer": f"{summary.telescope}, {summary.observer}",
            "size": f"{amount(summary.bytes)}, {summary.rows} rows",
            "scans": f"{len(summary.scans)}, of which {len(summary.target_scans)} on targets",
            "fields with data": f"{len(summary.fields)}, of which {sum(f.target for f in summary.fields)} targets",
            "antennas": len(summary.antennas),
            "intents": ", ".join(summary.intents),
            "target scans (MJD, UTC)": f"{summary.start_mjd:.6f} to {summary.end_mjd:.6f}",
        },
    )


def _spw_block(summary: MsSummary) -> Block:
    rows = [
        [number(spw.id, ".0f"), text(spw.name), number(spw.mean_frequency_hz, ".3f", 1e-9), number(spw.channels, ".0f"),
         number(spw.bandwidth_hz, ".1f", 1e-6)]
        for spw in summary.spws
    ]  # fmt: skip
    return Block("Spectral windows", ("spw", "name", "frequency (GHz)", "channels", "bandwidth (MHz)"), rows)


def _continuum(facts: RunFacts, node: NodeFacts) -> Stage:
    target, job = node.stage("editimlist_continuum", ContinuumTarget), facts.job
    blocks = []
    if target:
        call = job.prediction()
        blocks.append(
            pairs(
                "Continuum target",
                {
                    "mode": job.continuum_mode,
                    "imagename": target.imagename,
                    "phasecenter": target.phasecenter,
                    "cell": call.get("cell", ""),
                    "imsize": call.get("imsize", ""),
                    "spw": ",".join(map(str, target.science_spws)),
                    "masks": "tier-1, tier-2 (from the resources, stage 4)",
                    "reffreq": call.get("reffreq", ""),
                    "search radius": f"{target.search_radius_arcsec:g} arcsec",
                    "fields": f"{len(target.fields)}",
                    "scans": ",".join(map(str, target.scans)),
                    "antennas": target.antennas,
                },
            )
        )
    return _stage(node, "editimlist_continuum", "editimlist-seip", "Stage 2, editimlist (SEIP)",
                  f"{len(target.fields)} fields" if target else "", blocks=blocks,
                  parameters={"tclean, prediction": job.prediction()})  # fmt: skip


def _transform(node: NodeFacts) -> Stage:
    summary = node.stage("transformimagedata", MsSummary)
    blocks = [_ms_block(summary)] if summary else []
    return _stage(node, "transformimagedata", "transformimagedata", "Stage 3, transformimagedata",
                  f"{summary.rows} rows" if summary else "", blocks=blocks,
                  parameters={"mstransform": {"datacolumn": "data", "chanbin": 1, "timebin": "0s", "reindex": False},
                              "initweights": {"wtmode": "nyq"}})  # fmt: skip


def _restorepims(facts: RunFacts, node: NodeFacts) -> Stage:
    found, done = node.stage("resources", Resources), node.stage("restorepims", RestoreResult)
    blocks = []
    if found:
        rows = [[text("tarball"), text(found.archive), Cell("✓ found", 1)]]
        for item in found.table:
            names = ", ".join(item.found) if item.found else f"looked for {item.pattern}"
            verdict = "✓ found" if item.ok else f"✗ {len(item.found)} of them" if item.found else "✗ missing"
            rows.append([text(item.name), text(names), Cell(verdict, int(item.ok), 0 if item.ok else LEVEL_BAD)])
        blocks.append(Block("Resources", ("resource", "found, or looked for", ""), rows))
    if done:
        blocks.append(
            pairs(
                "Restored",
                {
                    "largest MODEL_DATA": f"{done.model_peak_jy:.4g} Jy",
                    "self-calibration table": done.selfcal_table,
                    "spwmap": ",".join(map(str, done.spwmap)),
                },
            )
        )
    missing = found.complaints() if found else []
    inputs = facts.job.inputs
    parameters = {"reimaging_resources": str(inputs.reimaging_resources), "seip_parameter_list":
                  str(inputs.seip_parameter_list), "mode": facts.job.continuum_mode}  # fmt: skip
    stage = _stage(node, "restorepims", "restorepims", "Stage 4, restorepims", "all resources found", blocks=blocks,
                   warnings=missing, parameters={"inputs": parameters})  # fmt: skip
    if missing or (node.failure and node.failure.stage == "resources"):
        verdict = node.failure.cause if node.failure else "; ".join(missing)
        return replace(stage, level="bad", verdict=verdict)
    return stage


LEVEL_BAD = 6


def _flags(facts: RunFacts, node: NodeFacts) -> Stage:
    result = node.stage("flagtargetsdata", FlagResult)
    blocks = []
    if result:
        before, after = (_flagged(counts) for counts in (result.before, result.after))
        blocks.append(
            Block(
                "Flags",
                ("", "before (%)", "by commands (%)", "after (%)"),
                [[text("targets"), number(before, ".2f"), number(after - before, ".2f"), number(after, ".2f")]],
                "Visibilities of all correlations and channels of the measurement set of stage 3: targets alone.",
            )
        )
        commands = [[text(command)] for command in result.commands] or [[Cell("none given")]]
        blocks.append(Block("Flag commands", ("command",), commands))
        blocks.append(
            Block("Flagged by spw", ("spw", "before (%)", "after (%)", "channels in use"),
                  [[number(spw, ".0f"), number(_flagged(result.before, spw), ".2f"),
                    number(_flagged(result.after, spw), ".2f"), number(channels, ".0f")]
                   for spw, channels in sorted(result.after.used_channels.items())])
        )  # fmt: skip
    verdict = f"{len(result.commands)} commands" if result else ""
    given = {"flag_commands": str(facts.job.inputs.flag_commands or "none given")}
    return _stage(node, "flagtargetsdata", "flagtargetsdata", "Stage 5, flagtargetsdata", verdict, blocks=blocks,
                  parameters={"inputs": given})  # fmt: skip


def _flagged(counts: FlagCounts, spw: int | None = None) -> float:
    flagged = total = 0
    for field_id, by_spw in counts.total.items():
        for one, visibilities in by_spw.items():
            if spw in (None, one):
                total += visibilities
                flagged += counts.flagged.get(field_id, {}).get(one, 0)
    return 100.0 * flagged / total if total else 0.0


def _cube(facts: RunFacts, node: NodeFacts) -> Stage:
    job, targets = facts.job, facts.targets
    blocks, warnings = [], list(job.warnings)
    if targets:
        call = job.iteration(1)
        fields = node.stage("editimlist_continuum", ContinuumTarget)
        blocks.append(
            pairs(
                "All planes",
                {
                    "mode": job.imaging_mode,
                    "imagename": job.imagename,
                    "phasecenter": job.phasecenter,
                    "cell": call.get("cell", ""),
                    "imsize": call.get("imsize", ""),
                    "masks": "tier-1 (iter1), tier-2 (iter2), pb (iter3)",
                    "search radius": f"{SEARCH_ARCSEC:g} arcsec for flags, "
                    f"{fields.search_radius_arcsec if fields else 0:g} arcsec for imaging",
                    "fields judged": len(targets.flags.fields),
                },
            )
        )
        rows = [
            [text(plane.spw), text(plane.imagename), text(plane.reffreq), text("tier-1, tier-2, pb"),
             number(plane.flagged_fraction, ".1f", 100), number(plane.fields_above_threshold, ".0f"),
             number(plane.bandwidth_hz, ".0f", 1e-6), number(plane.nominal_bandwidth_hz, ".0f", 1e-6),
             Cell(f"{plane.state}{': ' + plane.reason if plane.reason else ''}", plane.state,
                  0 if plane.state == "imaged" else 4)]
            for plane in targets.planes
        ]  # fmt: skip
        columns = ("spw", "imagename", "reffreq", "masks", "flagged (%)", "fields above threshold", "bandwidth (MHz)",
                   "nominal (MHz)", "state")  # fmt: skip
        blocks.append(Block("Targets", columns, rows))
        warnings += targets.warnings
    verdict = f"{sum(p.state == 'imaged' for p in targets.planes)} of {len(targets.planes)} planes" if targets else ""
    return _stage(node, "editimlist_cube", "editimlist-ccip", "Stage 6, editimlist (CCIP)", verdict, blocks=blocks,
                  warnings=warnings, level="attention" if warnings else "good",
                  parameters={"plane rejection before imaging": job.plane_rejection.before_imaging.model_dump(),
                              **{f"tclean, iter{n}": job.iteration(n) for n in range(4)}})  # fmt: skip


def _of_planes(facts: RunFacts, record: str, name: str, title: str, good: str, **more: Any) -> Stage:
    """A stage that every plane's node runs."""
    nodes = [plane.image for plane in facts.planes]
    done = [node for node in nodes if node.record(record)]
    records = [found for node in nodes if (found := node.record(record))]
    failed = [node for node in nodes if node.failure and not node.record(record)]
    asked = [plane for plane in facts.planes if plane.state not in ("empty", "rejected before imaging")]
    elapsed = sum(found.elapsed_s for found in records)
    cpu = sum(found.cpu_s for found in records)
    when = ""
    if records:
        first, last = min(r.started for r in records), max(r.started + r.elapsed_s for r in records)
        when = (
            f"{moment(first)} to {moment(last)}, {duration(elapsed)} and {cpu:.1f} CPU s over "
            f"{count(len(done), 'plane')}"
        )
    if failed:
        here = any(node.failure and node.failure.stage == record for node in failed)
        names = ", ".join(f"spw {node.node.group.selection}" for node in failed if node.node.group)
        verdict = f"{len(done)} of {len(asked)} planes; {'failed' if here else 'failed before'}: {names}"
        more.pop("level", None)
        return Stage(name, title, "bad" if here else "waiting", verdict, when, nodes=nodes, **more)
    if len(done) < len(asked):
        more.pop("level", None)
        return Stage(name, title, "waiting", f"{len(done)} of {len(asked)} planes so far", when, nodes=nodes, **more)
    level = more.pop("level", "good")
    return Stage(name, title, level, good, when, nodes=nodes, **more)


def _makeimages(facts: RunFacts) -> Stage:
    columns = ("spw", "frequency (GHz)", "beam (arcsec, deg)", "bandwidth (MHz)", "fractional (%)", "nterms",
               "iteration", "clean mask", "major cycles", "iterations", "stopped by", "image")  # fmt: skip
    rows, warnings = [], []
    for plane in facts.planes:
        if not plane.images or not plane.target:
            continue
        beam, target = plane.images.beam, plane.target
        for one in plane.images.iterations:
            odd = one.stopcode in (4, 5, 6, 7, 9) and one.iteration > 0
            if odd:
                warnings.append(f"spw {plane.spw}: iter{one.iteration} was stopped by: {one.stop_reason}")
            rows.append(
                [text(plane.spw), number(target.reffreq_ghz, ".3f"),
                 text(f"{beam.major_arcsec:.2f} × {beam.minor_arcsec:.2f}, {beam.pa_deg:.1f}"),
                 number(target.nominal_bandwidth_hz, ".0f", 1e-6),
                 number(target.nominal_bandwidth_hz / target.reffreq_ghz / 1e9, ".1f", 100), number(1, ".0f"),
                 text(f"iter{one.iteration}"), text(one.cleanmask), number(one.major_cycles, ".0f"),
                 number(one.iterations, ".0f"), Cell(one.stop_reason, one.stop_reason, 4 if odd else 0),
                 text(f"{plane.images.imagename.rsplit('.iter', 1)[0]}.iter{one.iteration}."
                      f"{'image' if one.iteration else 'residual'}.tt0")]
            )  # fmt: skip
    blocks = [Block("Iterations", columns, rows)] if rows else []
    good = "every cleaning call stopped by its threshold or its iteration limit"
    return _of_planes(facts, "makeimages", "makeimages", "Stage 7, makeimages",
                      "look at the stop reasons" if warnings else good, blocks=blocks, warnings=warnings,
                      **({"level": "attention"} if warnings else {}))  # fmt: skip


def _statistics_block(title: str, facts: RunFacts, take: Any, keys: Sequence[str]) -> Block:
    """Statistics a plane and Stokes in mJy/beam, outliers over the planes shaded."""
    columns: list[list[Cell]] = []
    planes = [plane for plane in facts.planes if take(plane)]
    for stokes in STOKES:
        for key in keys:
            values: list[Statistics] = [take(plane).statistics[stokes] for plane in planes]
            columns.append(shade([number(getattr(value, key), ".3g", 1e3) for value in values]))
    rows = [[text(plane.spw), *(column[i] for column in columns)] for i, plane in enumerate(planes)]
    names = ["spw", *(f"{stokes} {key}" for stokes in STOKES for key in keys)]
    return Block(title, names, rows, "mJy/beam; shaded at 3, 4, 5 and 6 robust sigma over the planes.")


def _pbcor(facts: RunFacts) -> Stage:
    block = _statistics_block("Corrected image", facts, lambda plane: plane.pbcor, ("max", "min", "sigma", "madrms"))
    return _of_planes(facts, "pbcor", "pbcor", "Stage 8, pbcor", "image and residual divided by the primary beam",
                      blocks=[block] if block.rows else [])  # fmt: skip


def _rms(facts: RunFacts) -> Stage:
    keys = ("max", "min", "mean", "median", "sigma", "madrms")
    block = _statistics_block("rms images", facts, lambda plane: plane.rms, keys)
    planes = [plane for plane in facts.planes if plane.rms]
    negative = [
        [text(plane.spw), *(number(plane.rms.negative_pixels[s], ".0f") for s in STOKES if plane.rms)]
        for plane in planes
    ]
    below = Block("Pixels below zero", ("spw", *STOKES), negative,
                  "The cubic interpolation undershoots near bright sources: such pixels are no noise.")  # fmt: skip
    return _of_planes(facts, "makermsimages", "makermsimages", "Stage 9, makermsimages", "rms of every plane",
                      blocks=[block, below] if planes else [])  # fmt: skip


def _cutouts(facts: RunFacts) -> Stage:
    columns = ("spw", "Stokes", "image peak", "image MAD rms", "peak / MAD rms", "residual peak", "residual MAD rms",
               "residual peak / MAD rms", "rms max", "rms median", "rms below 0.8 (%)", "masked (%)",
               "beam (arcsec, deg)", "pb max", "pb min", "pb median")  # fmt: skip
    rows = []
    for plane in facts.planes:
        if not plane.cutouts:
            continue
        beam = plane.cutouts.beam
        for stokes, one in plane.cutouts.statistics.items():
            low = 100 * one.rms_low_fraction
            rows.append(
                [text(plane.spw), text(stokes), number(one.image.peak, ".4g", 1e3),
                 number(one.image.madrms, ".3g", 1e3),
                 number(one.image.peak_over_madrms, ".1f"), number(one.residual.peak, ".3g", 1e3),
                 number(one.residual.madrms, ".3g", 1e3), number(one.residual.peak_over_madrms, ".1f"),
                 number(one.rms_max, ".3g", 1e3), number(one.rms_median, ".3g", 1e3),
                 replace(number(low, ".1f"), level=LEVEL_BAD if low == 0 else limits(low, (80, 50, 20), below=True)),
                 number(one.masked_fraction, ".1f", 100),
                 text(f"{beam.major_arcsec:.2f} × {beam.minor_arcsec:.2f}, {beam.pa_deg:.1f}"),
                 number(one.pb_max, ".3f"), number(one.pb_min, ".3f"), number(one.pb_median, ".3f")]
            )  # fmt: skip
    note = (
        "mJy/beam; image and residual not corrected for the primary beam, inside its mask; the peak is the value "
        "furthest from 0."
    )
    block = Block("Cutouts", columns, rows, note)
    return _of_planes(facts, "makecutoutimages", "makecutoutimages", "Stage 10, makecutoutimages",
                      "the square degree and 2 arcmin of every plane", blocks=[block] if rows else [])  # fmt: skip


def _stokes(facts: RunFacts) -> Stage:
    node, analysis = facts.nodes["analyze"], facts.analysis
    blocks, warnings = [], []
    if analysis:
        judged = {one.spw: one for one in analysis.judgements}
        rows = []
        for spw, one in judged.items():
            rows.append([text(spw), replace(text("kept" if one.kept else "rejected"), level=0 if one.kept else 5),
                         text(one.reason or "as expected"), number(one.expected_major_arcsec, ".2f"),
                         number(one.expected_minor_arcsec, ".2f")])  # fmt: skip
        rows += [[text(spw), text("not imaged"), text(reason), Cell("–"), Cell("–")]
                 for spw, reason in analysis.not_imaged.items()]  # fmt: skip
        rows += [[text(spw), Cell("failed", "failed", LEVEL_BAD), text("its node failed"), Cell("–"), Cell("–")]
                 for spw in analysis.failed]  # fmt: skip
        columns = ("spw", "", "why", "expected major (arcsec)", "expected minor (arcsec)")
        blocks.append(Block("Plane rejection after imaging", columns, rows))
        blocks += [_place_block(place) for place in analysis.stokes.places]
        beams = {"all imaged planes": analysis.common_beam, "kept planes alone": analysis.kept_common_beam}
        words = {
            name: f"{beam.major_arcsec:.3f} × {beam.minor_arcsec:.3f} arcsec, {beam.pa_deg:.2f} deg"
            for name, beam in beams.items()
            if beam
        }
        blocks.append(pairs("Common beam", words))
        rejected = [spw for spw, one in judged.items() if not one.kept]
        if rejected:
            warnings.append(f"rejected, and left out of the fits: spw {', '.join(rejected)}")
        warnings += [jump.sentence() for jump in analysis.flux_jumps]
        if analysis.stokes.note:
            warnings.append(analysis.stokes.note)
    return _stage(node, "analyzestokescubes", "analyzestokescubes", "Stage 11, analyzestokescubes",
                  analysis.sentence() if analysis else "", blocks=blocks, warnings=warnings,
                  level="attention" if warnings else "good",
                  parameters={"plane rejection": facts.job.plane_rejection.after_imaging.model_dump()})  # fmt: skip


def _place_block(place: Place) -> Block:
    columns = ("spw", "frequency (GHz)", "", "median rms I", "I", "I / rms", "model I", "residual", "residual (%)", "Q",
               "U", "V", "I of the pixel")  # fmt: skip
    law = place.power_law
    rows = []
    for row in place.planes:
        intensity = row.mean["I"]
        rms = row.rms_median["I"]
        ratio = intensity / rms if intensity is not None and rms > 0 else None
        pixel = row.pixel["I"]
        model = law.flux_jy * (row.frequency_hz / REFERENCE_HZ) ** law.alpha if law else None
        residual = pixel - model if pixel is not None and model is not None else None
        percent = 100 * residual / model if residual is not None and model else None
        rows.append(
            [text(row.spw), number(row.frequency_hz, ".3f", 1e-9), text("kept" if row.kept else "rejected"),
             number(rms, ".3g", 1e3), number(intensity, ".4g", 1e3),
             replace(number(ratio, ".1f"), level=limits(ratio, (10, 7.5, 5, 3), below=True)),
             number(model, ".4g", 1e3), number(residual, ".3g", 1e3),
             replace(number(percent, ".1f"), level=limits(abs(percent) if percent is not None else None,
                                                          (5, 10, 20, 30), below=False)),
             *(number(row.mean[s], ".3g", 1e3) for s in "QUV"), number(pixel, ".4g", 1e3)]
        )  # fmt: skip
    fit = f" Fit: {law.flux_jy * 1e3:.4g} mJy/beam at 3 GHz, alpha {law.alpha:+.3f}." if law else ""
    note = (
        "mJy/beam. I, Q, U, V: mean of 3 x 3 pixels, as NRAO's table has it (it loses 10 to 32% of a point source); "
        f"model and residual: of the pixel itself, to which the power law is fitted.{fit}"
    )
    title = f"{place.name[0].upper()}{place.name[1:]}: RA {place.ra_deg:.6f}°, Dec {place.dec_deg:+.6f}°"
    return Block(title, columns, rows, note)


def _export(facts: RunFacts) -> Stage:
    nodes = [*(plane.export for plane in facts.planes), facts.nodes["publish"]]
    done = [plane for plane in facts.planes if plane.export.result and plane.export.result.files]
    failed = [node for node in nodes if node.failure]
    files = sum(len(plane.export.result.files) for plane in done if plane.export.result)
    level = "bad" if failed else "good" if facts.nodes["publish"].result else "waiting"
    verdict = f"{files} FITS files of {len(done)} planes"
    if failed:
        verdict += f"; failed: {', '.join(node.node.name for node in failed)}"
    ended = [node.result for node in nodes if node.result]
    when = f"{duration(sum(r.usage.wall_s for r in ended))} over {len(ended)} nodes" if ended else ""
    split = facts.nodes["restore"].stage("splitgroups", SplitResult)
    blocks = []
    if split:
        rows = [[text(spw), number(size, ".1f", 1e-6)] for spw, size in split.bytes.items()]
        blocks.append(Block("Measurement sets of the planes", ("spw", "MB"), rows))
    return Stage("exportvlassdata", "Stage 12, exportvlassdata", level, verdict, when, blocks=blocks, nodes=nodes)


def exported(plane: PlaneFacts) -> list[tuple[str, int, str]]:
    """(name, bytes, checksum) of the FITS files of a plane."""
    return [(file.name, file.bytes, file.sha256) for file in plane.export.result.files] if plane.export.result else []
