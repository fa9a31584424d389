"""The process that does a node's work: it runs the node's stages, one after the other, in the node's work folder.

It may be killed, or aborted by CASA, at any moment; its supervisor (node.py) outlives it and judges what it left. It
writes a file a stage, and `error.json` if a stage raised. Run as `python -m ccip_batch.worker RUN NODE FINGERPRINT`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ccip_batch import process
from ccip_batch.casa import Casa
from ccip_batch.casa_speed import SelfChecks
from ccip_batch.checksums import Output
from ccip_batch.config import ResolvedJob
from ccip_batch.durable import write_whole
from ccip_batch.errors import CcipError, DataError, ExitCode, RunFolderError, says_disk_is_full
from ccip_batch.fingerprint import inputs_read_by, of_node, of_path, read_inputs, stamps
from ccip_batch.groups import SpwGroup
from ccip_batch.measurement_set import MsSummary
from ccip_batch.probe import versions
from ccip_batch.results import OUTCOME, NodeResult, Outcome, StageRecord, read_result
from ccip_batch.run_folder import NodeFolder, RunFolder
from ccip_batch.stages.editimlist import CubeTargets, PlaneTarget
from ccip_batch.workflow import Graph, Node

P = ParamSpec("P")
T = TypeVar("T")

_STARTED = time.monotonic()
_MOST_THREADS = 2
"""Of OpenMP: the tests hold that two give the same bits as one, and more have not been tried."""


class Worker:
    """What a node's work needs: its job, its folder, results of its parents, CASA when it is first asked for."""

    def __init__(self, run: RunFolder, node: Node, fingerprint: str) -> None:
        self.run = run
        self.node = node
        self.folder: NodeFolder = run.node(node)
        self.job: ResolvedJob = run.read_job()
        self.graph: Graph = run.graph()
        self.out = self.folder.out_now
        self.fingerprint = fingerprint
        if fingerprint != of_node(run, self.job, read_inputs(run), self.graph, node):
            raise RunFolderError(f"the job has changed since {node.name} was started; run it again.")
        self._inputs = {name: path for name in inputs_read_by(node) if (path := getattr(self.job.inputs, name))}
        self._stamps = {name: stamps(path) for name, path in self._inputs.items()}
        self._casa: Casa | None = None

    @property
    def casa(self) -> Casa:
        """The CASA session of this process."""
        if self._casa is None:
            self._casa = Casa(
                self.folder.casa_log,
                self.folder.casa_commands,
                title=f"node {self.node.name}",
                threads=min(process.cores(), _MOST_THREADS),
                self_checks=self.job.execution.casa_self_checks,
            )
        return self._casa

    @property
    def self_checks(self) -> SelfChecks | None:
        """Whether casacore's are off; None if CASA was not needed."""
        return self._casa.self_checks if self._casa else None

    @property
    def group(self) -> SpwGroup:
        """The node's spw group."""
        assert self.node.group is not None
        return self.node.group

    def parent(self, name: str) -> NodeResult:
        """The result of another node. Raises DataError if it is not done."""
        result = read_result(self.run.node(self.graph[name]).result)
        if result is None:
            raise DataError(f"node {name} is not done, but {self.node.name} needs its result; run it first.")
        return result

    def parent_out(self, name: str, *needed: str) -> str:
        """Where another node left its output, relative to the work folder so that histories hold no machine's paths.

        needed: the files and folders there that this node reads. Raises DataError if one is not as it was made; the
        other node is then marked, so that the next run repeats it. Its result stays: other nodes may be reading it.
        """
        folder = self.run.node(self.graph[name])
        made = {output.name: output for output in self.parent(name).outputs}
        for entry in needed:
            if entry in made and not made[entry].is_whole_in(folder.out):
                folder.damaged.touch()
                raise DataError(
                    f"{folder.out / entry} is damaged, or was changed after {name} had made it. Run again: {name} is "
                    f"repeated (after file transfer, remove nodes/{name}/result.json of the run folder first)."
                )
        return os.path.relpath(folder.out)

    def check_inputs(self) -> None:
        """Raise DataError if an input is not what it was when the run was started, or has changed since this node was.

        Large files are compared by size, time of change, and samples.
        """
        known = read_inputs(self.run)
        for name, path in self._inputs.items():
            try:
                same = stamps(path) == self._stamps[name] and known.get(name) in (None, of_path(path))
            except FileNotFoundError:
                same = False
            if not same:
                raise DataError(
                    f"inputs.{name}: {path} has changed while the run was at work, so what {self.node.name} made of it "
                    "is not kept. Leave the inputs alone and run again."
                )

    def stage(self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a stage and record its result, times and CPU seconds."""
        write_whole(self.folder.progress, json.dumps({"stage": name, "since": time.time()}))
        started, clock, cpu = time.time(), time.monotonic(), _cpu_s()
        casa_cpu = self._casa.cpu if self._casa else 0.0
        result = function(*args, **kwargs)
        record = StageRecord(
            name=name,
            started=started,
            elapsed_s=time.monotonic() - clock,
            cpu_s=_cpu_s() - cpu,
            casa_cpu_s=(self._casa.cpu if self._casa else 0.0) - casa_cpu,
            result=json.loads(result.model_dump_json()) if hasattr(result, "model_dump_json") else None,
        )
        number = len(list(self.folder.stages.glob("*.json")))
        record.save(self.folder.stages / f"{number:02d}_{name}.json")
        return result


def _cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def restore(work: Worker) -> Outcome:
    """Stages 1 to 6, and a measurement set for each group that is imaged."""
    from ccip_batch import flag_commands, resources
    from ccip_batch.stages.editimlist import continuum_target, cube_targets
    from ccip_batch.stages.flagtargetsdata import flagtargetsdata
    from ccip_batch.stages.importdata import importdata
    from ccip_batch.stages.restoregroup import Restoring
    from ccip_batch.stages.restorepims import restorepims, spwmap
    from ccip_batch.stages.splitgroups import splitgroups
    from ccip_batch.stages.transformimagedata import transformimagedata

    job, inputs = work.job, work.job.inputs
    vis = f"{job.root}_split.ms"
    found = work.stage("resources", resources.inspect, inputs.reimaging_resources, job.root, job.continuum_imagename)
    found.require()
    pims = work.stage("importdata", importdata, work.casa, inputs.vis, job.groups)
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
        str(inputs.vis),
        vis,
        continuum.fields,
        continuum.science_spws,
    )
    resources.extract(inputs.reimaging_resources, Path(), found)
    work.casa.record(_unpacking(inputs.reimaging_resources, found.tables()))
    prediction = {
        **job.prediction(),
        "imagename": f"{job.continuum_imagename}.I.iter0",
        "spw": ",".join(map(str, continuum.science_spws)),
        **_selection(continuum.fields, continuum.scans, continuum.antennas),
    }
    commands = [] if inputs.flag_commands is None else flag_commands.read(inputs.flag_commands)
    restoring = Restoring(
        whole=vis,
        prediction=prediction,
        models=found.models,
        selfcal_table=found.selfcal_table,
        spwmap=spwmap(work.casa, vis),
        commands=commands,
    )
    restored = work.stage(
        "restorepims",
        restorepims,
        work.casa,
        restoring,
        groups=job.groups,
        at_once=process.cores(),
        log=work.folder.casa_log,
    )
    flags = work.stage("flagtargetsdata", flagtargetsdata, commands, restored.groups)
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


def _selection(fields: Sequence[int], scans: Sequence[int], antennas: int) -> dict[str, str]:
    """tclean's selection of fields, scans and antennas (all of them, with each other)."""
    return {
        "field": ",".join(map(str, fields)),
        "scan": ",".join(map(str, scans)),
        "antenna": ",".join(map(str, range(antennas))) + "&",
    }


def _target(work: Worker) -> tuple[PlaneTarget, CubeTargets, MsSummary]:
    """The node's plane, all planes, and the measurement set of stage 3."""
    restored = work.parent("restore")
    targets = CubeTargets.model_validate(restored.stage("editimlist_cube"))
    plane = next(plane for plane in targets.planes if plane.spw == work.group.selection)
    return plane, targets, MsSummary.model_validate(restored.stage("transformimagedata"))


def image(work: Worker) -> Outcome:
    """Stages 7 to 10 for one plane, its native FITS files, and what `analyze` and the report need of its pixels."""
    plane, targets, split = _target(work)
    if plane.state != "imaged":
        return Outcome(summary=f"{plane.state}: {plane.reason}")

    from ccip_batch import previews
    from ccip_batch.checkpoint import Checkpoint
    from ccip_batch.cutout import Cutout
    from ccip_batch.samples import take_samples
    from ccip_batch.stages.exportvlassdata import export_native
    from ccip_batch.stages.makecutoutimages import makecutoutimages
    from ccip_batch.stages.makeimages import Saves, makeimages
    from ccip_batch.stages.makermsimages import makermsimages
    from ccip_batch.stages.pbcor import pbcor

    casa, job = work.casa, work.job
    given = work.parent_out("restore", f"{work.group.name}.ms", "tier1.mask", "tier2.mask")
    selection: dict[str, Any] = {
        "vis": f"{given}/{work.group.name}.ms",
        "spw": plane.spw,
        "datacolumn": "data",
        "reffreq": plane.reffreq,
        **_selection(targets.fields, split.target_scans, len(split.antennas)),
    }
    masks = [f"{given}/tier1.mask", f"{given}/tier2.mask"]
    checkpoint = Checkpoint(work.folder.checkpoint, work.fingerprint)
    pictures = previews.PreviewWriter(casa, work.out / previews.NAME, checkpoint.folder / previews.NAME)
    images = work.stage(
        "makeimages",
        makeimages,
        casa,
        f"{plane.imagename}.IQUV",
        selection,
        job.iteration,
        masks,
        Saves(checkpoint, job.execution.checkpoint_interval, _leave_after_save),
        pictures.iteration,
    )
    cutout = Cutout.of(casa, f"{images.imagename}.image.tt0")
    corrected = work.stage("pbcor", pbcor, casa, images.imagename, cutout)
    work.stage("makermsimages", makermsimages, casa, corrected.image, cutout)
    cutouts = work.stage("makecutoutimages", makecutoutimages, casa, images.imagename, cutout)
    subim, rms_subim = cutouts.images["image.pbcor"], cutouts.images["image.pbcor.rms"]
    native = work.stage("exportnative", export_native, casa, subim, rms_subim, plane, split, job.phasecenter, work.out)
    samples = take_samples(
        casa,
        subim,
        rms_subim,
        images.imagename.replace(".iter3", ".iter2") + ".cleanmask",
        f"{images.imagename}.mask",
        (cutouts.blc[0], cutouts.blc[1]),
    )
    samples.save(work.out / "samples.npz")
    corner = (cutouts.blc[0], cutouts.blc[1])
    work.stage("previews", pictures.final, images.imagename, cutouts.images, corner, native.nominal_wcs)
    Path(subim).rename(work.out / "image.pbcor.subim")
    beam = images.beam
    return Outcome(
        summary=f"imaged: beam {beam.major_arcsec:.3g} x {beam.minor_arcsec:.3g} arcsec, peak {native.peak:.3g} Jy/beam"
    )


def _leave_after_save() -> None:
    """End with exit code 85 if the pool wants to have the checkpoint: it takes it, and starts the node again."""
    wanted = os.environ.get(process.CHECKPOINT_VARIABLE, "")
    if wanted and time.monotonic() - _STARTED >= float(wanted):
        sys.exit(int(ExitCode.CHECKPOINT))


def analyze(work: Worker) -> Outcome:
    """Plane rejection after imaging, stage 11, the common beam. It goes on with the planes there are."""
    from ccip_batch.stages.analyzeplanes import analyze_planes

    restored = work.parent("restore")
    targets = CubeTargets.model_validate(restored.stage("editimlist_cube"))
    images: dict[str, tuple[NodeResult, Path]] = {}
    failed = []
    for plane in targets.planes:
        node = work.graph[f"image_{SpwGroup.parse(plane.spw).name}"]
        result = read_result(work.run.node(node).result)
        if result is None:
            failed.append(plane.spw)
        elif plane.state == "imaged":
            images[plane.spw] = (result, Path(work.parent_out(node.name, "samples.npz"), "samples.npz"))
    result_of_all = work.stage(
        "analyzestokescubes",
        analyze_planes,
        lambda: work.casa,
        targets,
        images,
        failed,
        work.job.plane_rejection.after_imaging,
    )
    return Outcome(summary=result_of_all.sentence())


def export(work: Worker) -> Outcome:
    """Stage 12 for one plane: the common-beam set, and the mark of rejection in all files."""
    plane, _, split = _target(work)
    if plane.state != "imaged":
        return Outcome(summary=f"nothing to export: {plane.state}, {plane.reason}")

    from ccip_batch.provenance import cards
    from ccip_batch.stages.analyzeplanes import CubeAnalysis
    from ccip_batch.stages.exportvlassdata import NativeExport, PlaneExport, export_common, mark_rejection

    image_node = f"image_{work.group.name}"
    imaged = work.parent(image_node)
    analysis = CubeAnalysis.model_validate(work.parent("analyze").stage("analyzestokescubes"))
    native = NativeExport.model_validate(imaged.stage("exportnative"))
    judgement = next(one for one in analysis.judgements if one.spw == plane.spw)
    given = work.parent_out(image_node, "image.pbcor.subim", *(file.name for file in native.files))
    trace = cards(work.job, work.fingerprint)
    assert analysis.common_beam is not None

    def export_plane() -> PlaneExport:
        assert analysis.common_beam is not None
        source = f"{Path(imaged.stage('makecutoutimages')['images']['image.pbcor']).name}"
        work.casa.copy(f"{given}/image.pbcor.subim", source)
        common = export_common(
            work.casa,
            source,
            analysis.common_beam,
            native,
            (plane, split, work.job.phasecenter),
            not judgement.kept,
            work.out,
            trace,
        )
        sources = [Path(given) / file.name for file in native.files]
        marked = mark_rejection(sources, not judgement.kept, work.out, trace)
        return PlaneExport(native=marked, common=common)

    exported = work.stage("exportvlassdata", export_plane)
    state = ("kept" if judgement.kept else "rejected") + (f": {judgement.reason}" if judgement.reason else "")
    files = (*exported.native, *exported.common)
    return Outcome(summary=f"{len(files)} FITS files, plane {state}", files=files)


def publish(work: Worker) -> Outcome:
    """Collect the products: FITS files, manifest, checksums, parameter lists."""
    from ccip_batch.provenance import Provenance
    from ccip_batch.stages.publish import publish_products

    planes: dict[str, tuple[Path, NodeResult]] = {}
    failed = []
    for name in work.node.parents:
        node = work.graph[name]
        if node.kind != "export" or node.group is None:
            continue
        result = read_result(work.run.node(node).result)
        if result is None or not read_result(work.run.node(work.graph[f"image_{node.group.name}"]).result):
            failed.append(node.group.selection)
        else:
            planes[node.group.selection] = (work.run.node(node).out, result)
    report = _report(work)
    results = {node.name: read_result(work.run.node(node).result) for node in work.graph.nodes}
    run = Provenance(
        work.job,
        work.graph,
        read_inputs(work.run),
        {name: result for name, result in results.items() if result and name != work.node.name},
        work.fingerprint,
    )
    files = work.stage("publish", publish_products, run, planes, failed, work.run.path / "nodes", report, work.out)
    missing = f"; missing because they failed: spw {'; '.join(failed)}" if failed else ""
    return Outcome(summary=f"{len(files.files)} files{missing}", files=tuple(files.files))


def _report(work: Worker) -> Path | None:
    """The report as it is now, to go with the products. None if it cannot be made, which is no failure."""
    from ccip_batch import report

    try:
        report.write_to(work.run, Path("report"))
    except Exception:
        traceback.print_exc()
        return None
    return Path("report")


WORK: dict[str, Callable[[Worker], Outcome]] = {
    "restore": restore,
    "image": image,
    "analyze": analyze,
    "export": export,
    "publish": publish,
}


def main(run_folder: str, name: str, fingerprint: str) -> ExitCode:
    """Do a node's work. The exit code tells how it ended; what failed is in `error.json`."""
    run = RunFolder.existing(Path(run_folder))
    node = run.graph()[name]
    folder = run.node(node)
    os.chdir(folder.work)
    try:
        work = Worker(run, node, fingerprint)
        work.check_inputs()
        try:
            outcome = WORK[node.kind](work)
        finally:
            work.check_inputs()  # also after a failure: this is then its cause
        # files that are given to the user have their checksums already
        made = () if outcome.files else tuple(Output.of(path) for path in sorted(work.out.iterdir()))
        known = {"outputs": made, "versions": versions(), "self_checks": work.self_checks}
        outcome.model_copy(update=known).save(Path(OUTCOME))
    except CcipError as error:
        return _tell(folder, str(error), error.exit_code)
    except MemoryError:
        return _tell(folder, "out of memory", ExitCode.RESOURCES)
    except OSError as error:
        if says_disk_is_full(error):
            return _tell(folder, f"the disk is full: {error}", ExitCode.RESOURCES)
        traceback.print_exc()
        return _tell(folder, f"{type(error).__name__}: {error}", ExitCode.INTERNAL)
    except Exception as error:
        traceback.print_exc()
        return _tell(folder, f"{type(error).__name__}: {error}", ExitCode.INTERNAL)
    return ExitCode.DONE


def _tell(folder: NodeFolder, cause: str, code: ExitCode) -> ExitCode:
    print(f"ccip-batch: {cause}", file=sys.stderr, flush=True)
    write_whole(folder.error, json.dumps({"cause": cause, "exit_code": int(code)}))
    return code


if __name__ == "__main__":
    process.die_with_parent()
    process.keep_others_from_writing()
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3]))
