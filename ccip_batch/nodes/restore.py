"""The node `restore`: stages 1 to 6, and a measurement set for each group that is imaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccip_batch import processes
from ccip_batch.casa import selections
from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.job import flag_commands, resources_archive
from ccip_batch.job.problems import failure
from ccip_batch.job.resources_archive import Resources
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.nodes.workspace import Workspace, selection
from ccip_batch.run.results import Outcome
from ccip_batch.stages.editimlist import ContinuumTarget, continuum_target, cube_targets
from ccip_batch.stages.flagtargetsdata import flagtargetsdata
from ccip_batch.stages.importdata import importdata
from ccip_batch.stages.restoregroup import Restoring
from ccip_batch.stages.restorepims import restorepims, spwmap
from ccip_batch.stages.splitgroups import splitgroups
from ccip_batch.stages.transformimagedata import transformimagedata


def restore(work: Workspace) -> Outcome:
    """Stages 1 to 6, and a measurement set for each group that is imaged."""
    job, inputs = work.job, work.job.inputs
    vis = f"{job.root}_split.ms"
    found = work.stage(
        "resources", resources_archive.inspect, inputs.reimaging_resources, job.root, job.continuum_imagename
    )
    found.require()
    given = work.casa.link(inputs.vis, f"{job.root}.ms")
    pims = work.stage("importdata", importdata, work.casa, given, job.groups)
    _check_flag_commands(work, given, pims)
    continuum = work.stage(
        "editimlist_continuum",
        continuum_target,
        pims,
        job.continuum_imagename,
        job.continuum_phasecenter,
        job.science_spws,
    )
    split = work.stage(
        "transformimagedata",
        transformimagedata,
        work.casa,
        str(given),
        vis,
        continuum.fields,
        continuum.science_spws,
    )
    resources_archive.extract(inputs.reimaging_resources, Path(), found)
    work.casa.record(_unpacking(inputs.reimaging_resources, found.tables()))
    restoring = _restoring(work, vis, found, continuum)
    restored = work.stage(
        "restorepims",
        restorepims,
        work.casa,
        restoring,
        groups=job.groups,
        at_once=processes.cores(),
        log=work.folder.casa_log,
    )
    flags = work.stage("flagtargetsdata", flagtargetsdata, restoring.commands, restored.groups)
    targets = work.stage(
        "editimlist_cube",
        cube_targets,
        split,
        flags.after,
        job.imagename,
        job.phasecenter,
        job.groups,
        job.plane_rejection.before_imaging,
    )
    imaged = [SpwGroup.parse(plane.spw) for plane in targets.planes if plane.state == "imaged"]
    work.stage("splitgroups", splitgroups, work.casa, imaged, work.out)
    for mask, name in ((found.tier1_mask, "tier1.mask"), (found.tier2_mask, "tier2.mask")):
        work.casa.move(mask, f"{work.out.name}/{name}")
    left_out = [f"spw {plane.spw} {plane.state}, {plane.reason}" for plane in targets.planes if plane.state != "imaged"]
    return Outcome(summary="; ".join([f"restored {len(imaged)} of {len(job.groups)} spw groups", *left_out]))


def _check_flag_commands(work: Workspace, vis: Path, pims: MsSummary) -> None:
    """That each of the user's flag commands selects something, hours before CASA would say so. Raises ConfigError."""
    job = work.job
    if job.inputs.flag_commands is not None:
        commands = flag_commands.read_placed(job.inputs.flag_commands)
        found = selections.doubts(work.casa, vis, pims, commands, job.science_spws)
        problems, warnings = selections.judged(job.inputs.flag_commands, found, len(commands))
        for warning in warnings:
            print(f"warning: {warning}", flush=True)
        if problems:
            raise failure(problems)


def _restoring(work: Workspace, vis: str, found: Resources, continuum: ContinuumTarget) -> Restoring:
    """What stage 4 restores, and with what."""
    job = work.job
    given = job.inputs.flag_commands
    commands = [] if given is None else flag_commands.read(given)
    return Restoring(
        whole=vis,
        prediction={
            **job.prediction(),
            "imagename": f"{job.continuum_imagename}.I.iter0",
            "spw": ",".join(map(str, continuum.science_spws)),
            **selection(continuum.fields, continuum.scans, continuum.antennas, continuum.intent),
        },
        models=found.models,
        selfcal_table=found.selfcal_table,
        spwmap=spwmap(work.casa, vis),
        commands=commands,
    )


def _unpacking(archive: Path, tables: Sequence[str]) -> str:
    """Python that unpacks what stage 4 needs, for `casa_commands.py`."""
    return f"""\
import pathlib
import tarfile
wanted = {list(tables)!r}
with tarfile.open({str(archive)!r}) as archive:
    for member in archive:
        parts = pathlib.PurePosixPath(member.name).parts
        if (member.isfile() or member.isdir()) and parts and parts[0] in wanted and ".." not in parts:
            archive.extract(member)"""
