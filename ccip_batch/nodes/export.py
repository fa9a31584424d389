"""The nodes `export`: stage 12 for one plane."""

from __future__ import annotations

from pathlib import Path

from ccip_batch.nodes.workspace import Workspace, plane_target
from ccip_batch.products.provenance import cards
from ccip_batch.run.results import Outcome
from ccip_batch.stages.analyzeplanes import CubeAnalysis
from ccip_batch.stages.exportvlassdata import ImagedPlane, NativeExport, PlaneExport, export_common, mark_rejection
from ccip_batch.stages.makecutoutimages import CutoutResult


def export(work: Workspace) -> Outcome:
    """Stage 12 for one plane: the common-beam set, and the mark of rejection in all files."""
    plane, _, split = plane_target(work)
    if plane.state != "imaged":
        return Outcome(summary=f"nothing to export: {plane.state}, {plane.reason}")

    image_node = f"image_{work.group.name}"
    imaged = work.parent(image_node)
    analysis = work.parent("analyze").of(CubeAnalysis)
    native = imaged.of(NativeExport)
    judgement = next(one for one in analysis.judgements if one.spw == plane.spw)
    given = work.parent_out(image_node)
    trace = cards(work.job, work.fingerprint)
    assert analysis.common_beam is not None

    def export_plane() -> PlaneExport:
        assert analysis.common_beam is not None
        source = Path(imaged.of(CutoutResult).images["image.pbcor"]).name
        work.casa.copy(f"{given}/image.pbcor.subim", source)
        common = export_common(
            work.casa,
            source,
            analysis.common_beam,
            native,
            ImagedPlane(plane, split, work.job),
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
