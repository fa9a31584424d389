"""Stages 1 to 6, which the node `restore` runs."""

from __future__ import annotations

from dataclasses import replace

from ccip_batch.casa.flag_statistics import FlagCounts
from ccip_batch.casa.measurement_set import MsSummary, Spw
from ccip_batch.job.resources_archive import Resource, Resources
from ccip_batch.report.facts import RunFacts
from ccip_batch.report.stages.parts import Block, Columns, Stage, of_node, pairs, table, text
from ccip_batch.report.tables import WORST, Cell, number
from ccip_batch.report.words import amount, count
from ccip_batch.stages.editimlist import SEARCH_ARCSEC, ContinuumTarget, CubeTargets, PlaneTarget
from ccip_batch.stages.flagtargetsdata import FlagResult
from ccip_batch.stages.makeimages import CLEAN_MASKS, LAST_ITERATION
from ccip_batch.stages.restorepims import RestoreResult
from ccip_batch.stages.transformimagedata import INITWEIGHTS, MSTRANSFORM

_SPWS: Columns[Spw] = (
    ("spw", lambda spw: number(spw.id, ".0f")),
    ("name", lambda spw: text(spw.name)),
    ("frequency (GHz)", lambda spw: number(spw.mean_frequency_hz, ".3f", 1e-9)),
    ("channels", lambda spw: number(spw.channels, ".0f")),
    ("bandwidth (MHz)", lambda spw: number(spw.bandwidth_hz, ".1f", 1e-6)),
)


def importdata(facts: RunFacts) -> Stage:
    """Stage 1: the measurement set and its spectral windows."""
    node = facts.nodes["restore"]
    summary = node.stage("importdata", MsSummary)
    stage = Stage(
        "importdata",
        "Stage 1, importdata",
        "the measurement set was read",
        blocks=[_measurement_set(summary), table("Spectral windows", _SPWS, summary.spws)] if summary else (),
        parameters={"inputs": {"vis": str(facts.job.inputs.vis)}},
    )
    return of_node(stage, node, "importdata")


def _measurement_set(summary: MsSummary) -> Block:
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


def continuum(facts: RunFacts) -> Stage:
    """Stage 2: the continuum target, whose model is predicted."""
    node, job = facts.nodes["restore"], facts.job
    target, call = node.found(ContinuumTarget), job.prediction()
    blocks = []
    if target:
        about = {
            "mode": job.continuum_mode,
            "imagename": target.imagename,
            "phasecenter": target.phasecenter,
            "cell": call.get("cell", ""),
            "imsize": call.get("imsize", ""),
            "spw": ",".join(map(str, target.science_spws)),
            "masks": f"{', '.join(CLEAN_MASKS[:-1])} (from the resources, stage 4)",
            "reffreq": call.get("reffreq", ""),
            "search radius": f"{target.search_radius_arcsec:g} arcsec",
            "fields": len(target.fields),
            "scans": ",".join(map(str, target.scans)),
            "antennas": target.antennas,
        }
        blocks.append(pairs("Continuum target", about))
    stage = Stage(
        "editimlist-seip",
        "Stage 2, editimlist (SEIP)",
        f"{len(target.fields)} fields" if target else "",
        blocks=blocks,
        parameters={"tclean, prediction": call},
    )
    return of_node(stage, node, "editimlist_continuum")


def transform(facts: RunFacts) -> Stage:
    """Stage 3: the part of the measurement set that is imaged."""
    node = facts.nodes["restore"]
    summary = node.stage("transformimagedata", MsSummary)
    stage = Stage(
        "transformimagedata",
        "Stage 3, transformimagedata",
        f"{summary.rows} rows" if summary else "",
        blocks=[_measurement_set(summary)] if summary else (),
        parameters={"mstransform": MSTRANSFORM, "initweights": INITWEIGHTS},
    )
    return of_node(stage, node, "transformimagedata")


_RESOURCES: Columns[Resource] = (
    ("resource", lambda item: text(item.name)),
    ("found, or looked for", lambda item: text(", ".join(item.found) or f"looked for {item.pattern}")),
    ("", lambda item: _found(item)),
)


def _found(item: Resource) -> Cell:
    if item.ok:
        return Cell("✓ found", 1)
    return Cell(f"✗ found {len(item.found)}" if item.found else "✗ missing", 0, WORST)


def restorepims(facts: RunFacts) -> Stage:
    """Stage 4: the resources that were looked for, and what was restored with them."""
    node, inputs = facts.nodes["restore"], facts.job.inputs
    resources, done = node.stage("resources", Resources), node.found(RestoreResult)
    blocks, missing = [], []
    if resources:
        tables = table("Resources", _RESOURCES, resources.table)
        archive = [text("tarball"), text(resources.archive), Cell("✓ found", 1)]
        blocks.append(replace(tables, rows=[archive, *tables.rows]))
        missing = resources.complaints()
    if done:
        about = {
            "largest MODEL_DATA": f"{done.model_peak_jy:.4g} Jy",
            "self-calibration table": done.selfcal_table,
            "spwmap": ",".join(map(str, done.spwmap)),
        }
        blocks.append(pairs("Restored", about))
    given = {
        "reimaging_resources": str(inputs.reimaging_resources),
        "seip_parameter_list": str(inputs.seip_parameter_list),
        "mode": facts.job.continuum_mode,
    }
    stage = Stage(
        "restorepims",
        "Stage 4, restorepims",
        "all resources found",
        blocks=blocks,
        warnings=missing,
        parameters={"inputs": given},
    )
    stage = of_node(stage, node, "restorepims")
    if missing or (node.failure and node.failure.stage == "resources"):
        return replace(stage, level="bad", verdict=node.failure.cause if node.failure else "; ".join(missing))
    return stage


_Flags = tuple[str, float, float]
"""What was flagged, and its flagged percentage before and after the user's commands."""
_FLAGS: Columns[_Flags] = (
    ("", lambda flags: text(flags[0])),
    ("before (%)", lambda flags: number(flags[1], ".2f")),
    ("by commands (%)", lambda flags: number(flags[2] - flags[1], ".2f")),
    ("after (%)", lambda flags: number(flags[2], ".2f")),
)
_SpwFlags = tuple[int, int, FlagResult]
"""A spw, its channels in use, and the flags of all."""
_FLAGS_BY_SPW: Columns[_SpwFlags] = (
    ("spw", lambda row: number(row[0], ".0f")),
    ("before (%)", lambda row: number(_flagged(row[2].before, row[0]), ".2f")),
    ("after (%)", lambda row: number(_flagged(row[2].after, row[0]), ".2f")),
    ("channels in use", lambda row: number(row[1], ".0f")),
)


def flags(facts: RunFacts) -> Stage:
    """Stage 5: flags before and after the user's commands."""
    node = facts.nodes["restore"]
    result = node.found(FlagResult)
    blocks = []
    if result:
        note = (
            "Visibilities in all correlations and channels of the measurement set of stage 3, which holds only targets."
        )
        targets = ("targets", _flagged(result.before), _flagged(result.after))
        commands = [[text(command)] for command in result.commands] or [[Cell("none given")]]
        by_spw = [(spw, channels, result) for spw, channels in sorted(result.after.used_channels.items())]
        blocks = [
            table("Flags", _FLAGS, [targets], note),
            Block("Flag commands", ("command",), commands),
            table("Flagged by spw", _FLAGS_BY_SPW, by_spw),
        ]
    stage = Stage(
        "flagtargetsdata",
        "Stage 5, flagtargetsdata",
        count(len(result.commands), "command") if result else "",
        blocks=blocks,
        parameters={"inputs": {"flag_commands": str(facts.job.inputs.flag_commands or "none given")}},
    )
    return of_node(stage, node, "flagtargetsdata")


def _flagged(counts: FlagCounts, spw: int | None = None) -> float:
    """Flagged percentage of all fields, of one spw or of all."""
    flagged = total = 0
    for field_id, by_spw in counts.total.items():
        for one, visibilities in by_spw.items():
            if spw in (None, one):
                total += visibilities
                flagged += counts.flagged.get(field_id, {}).get(one, 0)
    return 100.0 * flagged / total if total else 0.0


_TARGETS: Columns[PlaneTarget] = (
    ("spw", lambda plane: text(plane.spw)),
    ("imagename", lambda plane: text(plane.imagename)),
    ("reffreq", lambda plane: text(plane.reffreq)),
    ("masks", lambda plane: text(", ".join(CLEAN_MASKS))),
    ("flagged (%)", lambda plane: number(plane.flagged_fraction, ".1f", 100)),
    ("fields above threshold", lambda plane: number(plane.fields_above_threshold, ".0f")),
    ("bandwidth (MHz)", lambda plane: number(plane.bandwidth_hz, ".0f", 1e-6)),
    ("nominal (MHz)", lambda plane: number(plane.nominal_bandwidth_hz, ".0f", 1e-6)),
    ("state", lambda plane: Cell(f"{plane.state}{': ' + plane.reason if plane.reason else ''}", plane.state,
                                 0 if plane.state == "imaged" else 4)),
)  # fmt: skip


def cube(facts: RunFacts) -> Stage:
    """Stage 6: the planes of the cube, and which of them are imaged."""
    node, job, targets = facts.nodes["restore"], facts.job, facts.targets
    warnings = [*job.warnings, *(targets.warnings if targets else ())]
    calls = {f"tclean, iter{n}": job.iteration(n) for n in range(LAST_ITERATION + 1)}
    imaged = sum(plane.state == "imaged" for plane in targets.planes) if targets else 0
    stage = Stage(
        "editimlist-ccip",
        "Stage 6, editimlist (CCIP)",
        f"{imaged} of {len(targets.planes)} planes" if targets else "",
        "attention" if warnings else "good",
        blocks=[_all_planes(facts, targets), table("Targets", _TARGETS, targets.planes)] if targets else (),
        warnings=warnings,
        parameters={"plane rejection before imaging": job.plane_rejection.before_imaging.model_dump(), **calls},
    )
    return of_node(stage, node, "editimlist_cube")


def _all_planes(facts: RunFacts, targets: CubeTargets) -> Block:
    job, call = facts.job, facts.job.iteration(1)
    continuum = facts.nodes["restore"].found(ContinuumTarget)
    radius = continuum.search_radius_arcsec if continuum else 0
    return pairs(
        "All planes",
        {
            "mode": job.imaging_mode,
            "imagename": job.imagename,
            "phasecenter": job.phasecenter,
            "cell": call.get("cell", ""),
            "imsize": call.get("imsize", ""),
            "masks": ", ".join(f"{mask} (iter{n})" for n, mask in enumerate(CLEAN_MASKS, 1)),
            "search radius": f"{SEARCH_ARCSEC:g} arcsec for flags, {radius:g} arcsec for imaging",
            "fields judged": len(targets.flags.fields),
        },
    )
