"""Runs stages that need CASA on what a finished run of the simulation `small` left.

python tests/stages/stage_cases.py RUN: in an empty folder. Prints JSON: for each stage what it gave, and what the
tests of its name need of the tables and images that it made.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ccip_batch.casa.images import STOKES, RestoringBeam, read_plane
from ccip_batch.casa.measurement_set import MsSummary
from ccip_batch.casa.session import Casa
from ccip_batch.cube.planes.noise import madrms
from ccip_batch.errors import CcipError
from ccip_batch.imaging.checkpoint import Checkpoint
from ccip_batch.imaging.cutout import Cutout
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.run.results import read_result
from ccip_batch.stages.analyzeplanes import analyze_planes
from ccip_batch.stages.editimlist import CubeTargets
from ccip_batch.stages.exportvlassdata import ImagedPlane, export_common, export_native
from ccip_batch.stages.importdata import importdata
from ccip_batch.stages.makeimages import Saves, makeimages
from ccip_batch.stages.makermsimages import makermsimages
from ccip_batch.stages.pbcor import pbcor
from ccip_batch.stages.splitgroups import splitgroups
from ccip_batch.stages.transformimagedata import transformimagedata

RUN = Path(sys.argv[1])
START = Path.cwd()
COLUMNS = ("FIELD_ID", "DATA_DESC_ID", "TIME", "ANTENNA1", "ANTENNA2")
casa = Casa(Path("casa.log").resolve())
job = ResolvedJob.from_yaml((RUN / "job.resolved.yaml").read_text())


def result(node: str, stage: str) -> Any:
    stages = json.loads((RUN / "nodes" / node / "result.json").read_text())["stages"]
    return next(record["result"] for record in stages if record["name"] == stage)


def error(function: Callable[..., Any], *arguments: Any) -> list[str]:
    """Class and text of the error that a call raises."""
    try:
        function(*arguments)
    except CcipError as raised:
        return [type(raised).__name__, str(raised)]
    return []


def import_cases() -> dict[str, Any]:
    vis, part = job.inputs.vis, RUN / "nodes" / "restore" / "out" / "spw17.ms"
    shutil.copytree(part, "calibrators.ms")
    with casa.table("calibrators.ms/STATE", write=True) as table:
        modes = table.getcol("OBS_MODE")
        table.putcol("OBS_MODE", np.array(["CALIBRATE_PHASE#ON_SOURCE"] * len(modes)))
    return {
        "good": importdata(casa, vis, job.groups).model_dump(mode="json"),
        "missing spw": error(importdata, casa, vis, [SpwGroup((17, 18))]),
        "no measurement set": error(importdata, casa, RUN, job.groups),
        "no target": error(importdata, casa, Path("calibrators.ms"), [SpwGroup((17,))]),
    }


def transform_case() -> dict[str, Any]:
    summary = transformimagedata(casa, str(job.inputs.vis), "some.ms", [2, 3], [10, 17])
    with casa.table("some.ms") as table:
        rows = {name: table.getcol(name) for name in COLUMNS}
        weight, columns, data = table.getcol("WEIGHT"), table.colnames(), table.getcol("DATA")
    with casa.table(str(job.inputs.vis)) as table:
        chosen = table.query("FIELD_ID IN [2, 3] && DATA_DESC_ID IN [10, 17]", sortlist=",".join(COLUMNS))
        before = {name: chosen.getcol(name) for name in COLUMNS}
        same = bool(np.array_equal(chosen.getcol("DATA"), data[:, :, np.lexsort([rows[n] for n in COLUMNS[::-1]])]))
        chosen.close()
    with casa.table("some.ms/SPECTRAL_WINDOW") as table:
        width = float(table.getcell("CHAN_WIDTH", 17)[0])
    order = np.lexsort([rows[name] for name in COLUMNS[:3]][::-1])
    return {
        "summary": summary.model_dump(mode="json"),
        "columns": columns,
        "same data": same,
        "same rows": len(before["TIME"]) == len(rows["TIME"]),
        "sorted": bool(np.array_equal(order, np.arange(len(order)))),
        "descriptions": sorted({int(n) for n in rows["DATA_DESC_ID"]}),
        "weights": sorted({round(float(w), 3) for w in weight.ravel()}),
        "width_hz": width,
        "not there": error(transformimagedata, casa, "nothing.ms", "other.ms", [2], [10]),
    }


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def split_case() -> dict[str, Any]:
    for name in ("spw05", "spw12_13", "spw17"):
        Path("groups", f"{name}.ms", "SOURCE").mkdir(parents=True)
        Path("groups", f"{name}.ms", "SOURCE", "table.dat").write_bytes(b"x" * 1000)
    Path("split").mkdir()
    sizes = splitgroups(casa, [SpwGroup((12, 13)), SpwGroup((17,))], Path("split").resolve()).bytes
    return {"bytes": sizes, "moved": names("split"), "left": names("groups")}


class CutOffError(Exception):
    """Ends the imaging in the middle."""


def hashes(name: str) -> dict[str, str]:
    """Of the pixels of all images of a name in the current folder."""
    return {
        path.name: hashlib.sha256(b"".join(f.read_bytes() for f in sorted(path.rglob("table.f*_TSM*")))).hexdigest()
        for path in sorted(Path().glob(f"{name}.*"))
    }


def imaging_case() -> dict[str, Any]:
    given = RUN / "nodes" / "restore" / "out"
    split, targets = result("restore", "transformimagedata"), result("restore", "editimlist_cube")
    plane = next(plane for plane in targets["planes"] if plane["spw"] == "17")
    selected = {
        "vis": str(given / "spw17.ms"), "spw": "17", "datacolumn": "data", "reffreq": f"{plane['reffreq_ghz']:.12g}GHz",
        "field": ",".join(map(str, targets["fields"])), "scan": ",".join(map(str, split["target_scans"])),
        "antenna": f"0~{len(split['antennas']) - 1}&",
    }  # fmt: skip
    masks = [str(given / "tier1.mask"), str(given / "tier2.mask")]

    def parameters(iteration: int) -> dict[str, Any]:
        call = {**job.iteration(iteration), "imsize": [128, 128]}
        return {**call, "niter": min(call["niter"], 60)}

    def imaged(folder: str, interval_s: float, last: int) -> Any:
        """Image in a folder, or go on with it; interrupted at save number `last`."""
        Path(folder).mkdir(exist_ok=True)
        os.chdir(folder)
        seen, saves, said = [], [], io.StringIO()

        def saved() -> None:
            saves.append(sum(path.stat().st_size for path in Path("checkpoint").rglob("*")) / 128**2)
            if len(saves) == last:
                raise CutOffError

        checkpoint = Checkpoint(Path("checkpoint"), "fingerprint")
        try:
            with contextlib.redirect_stdout(said):
                made = makeimages(
                    casa, "plane", selected, parameters, masks, Saves(checkpoint, interval_s, saved),
                    lambda number, name: seen.append([number, name]),
                )  # fmt: skip
            return {"made": made.model_dump(mode="json"), "hashes": hashes("plane"), "seen": seen, "saves": saves,
                    "said": said.getvalue()}  # fmt: skip
        except CutOffError:
            return {"seen": seen, "saves": saves}
        finally:
            os.chdir(START)

    def interrupted(folder: str, interval_s: float, last: int, damage: Callable[[Path], None] = lambda _: None) -> Any:
        """A plane whose imaging ends with a save, which may be damaged, and whose images are gone when it goes on.

        After save 4 it ends by itself.
        """
        begun = imaged(folder, interval_s, last)
        for path in Path(folder).iterdir():
            if path.name != "checkpoint":
                shutil.rmtree(path)
        damage(Path(folder, "checkpoint"))
        return [begun, imaged(folder, 1e9, 99)]

    def other_residual(checkpoint: Path) -> None:
        state = json.loads((checkpoint / "state.json").read_text())
        (checkpoint / "state.json").write_text(json.dumps({**state, "residual": "0"}))

    def half_a_model(checkpoint: Path) -> None:
        (model,) = checkpoint.glob("model_*")
        os.truncate(model, model.stat().st_size // 2)

    whole = imaged("whole", 1e9, 99)
    parts = {f"iter{last - 1}": interrupted(f"iter{last - 1}", 1e9, last) for last in (1, 2, 3, 4)}
    parts["cut"] = interrupted("cut", 0.0, 2)
    parts["other residual"] = interrupted("other", 1e9, 3, other_residual)
    parts["half a model"] = interrupted("half", 1e9, 3, half_a_model)
    Path("bad").mkdir()
    empty = str(Path("bad/empty.mask").resolve())
    shutil.copytree(masks[0], empty)
    with casa.image(empty) as tool:
        tool.set(0.0)
    os.chdir("bad")
    saves = Saves(Checkpoint(Path("checkpoint"), "f"), 1e9, lambda: None)
    said = error(makeimages, casa, "plane", selected, parameters, [empty, empty], saves, lambda number, name: None)
    os.chdir(START)
    return {"whole": whole, "parts": parts, "empty mask": said}


def corrected_case() -> dict[str, Any]:
    """Stages 8 and 9 on the images of a plane."""
    work = RUN / "nodes" / "image_spw17" / "work"
    for kind in ("image", "residual", "pb"):
        shutil.copytree(next(work.glob(f"*.iter3.{kind}.tt0")), f"plane.{kind}.tt0")
    cutout = Cutout.of(casa, "plane.image.tt0")
    corrected = pbcor(casa, "plane", cutout)
    rms = makermsimages(casa, corrected.image, cutout)
    away, noise = {}, []
    for index, stokes in enumerate(STOKES):
        for made, source in ((corrected.image, "plane.image.tt0"), (corrected.residual, "plane.residual.tt0")):
            (values, valid), before = read_plane(casa, made, index), read_plane(casa, source, index)[0]
            beam = read_plane(casa, "plane.pb.tt0", index)[0]
            largest = np.abs(values[valid] * beam[valid] - before[valid]).max()
            away[f"{made} {stokes}"] = float(largest / np.abs(before).max())
    values, valid = read_plane(casa, corrected.image, 3)
    found, has = read_plane(casa, rms.image, 3)
    for y in range(28, 229, 10):  # the grid counts from the reference pixel, 128
        for x in range(28, 229, 10):
            box = np.s_[y - 4 : y + 5, x - 4 : x + 5]  # 60 arcsec are 8.6 pixels
            if valid[box].all() and has[y, x]:
                noise.append([float(found[y, x]), madrms(values[box])])
    return {
        "pbcor": corrected.model_dump(mode="json"),
        "rms": rms.model_dump(mode="json"),
        "away": away,
        "noise": noise,
        "median": float(np.median(found[has])),
        "negative": [int((read_plane(casa, rms.image, n)[0] < 0).sum()) for n in range(4)],
    }


def analyze_case() -> dict[str, Any]:
    """All planes but one that failed, judged by narrow limits."""
    targets = CubeTargets.model_validate(result("restore", "editimlist_cube"))
    images = {}
    for spw, name in (("12,13", "spw12_13"), ("17", "spw17")):
        node = read_result(RUN / "nodes" / f"image_{name}" / "result.json")
        assert node is not None
        images[spw] = (node, RUN / "nodes" / f"image_{name}" / "out" / "samples.npz")
    limits = job.plane_rejection.after_imaging.model_copy(update={"beamdev_thresh": 0.001})
    made = analyze_planes(lambda: casa, targets, images, ["10"], limits)
    return {"made": made.model_dump(mode="json"), "sentence": made.sentence()}


def edge_rms(imagename: str) -> float:
    """Rms of all Stokes outside the clean mask where the primary beam's response is 0.1 to 0.3; nothing is clipped."""
    found = []
    for index in range(len(STOKES)):
        values, pb, mask = (
            read_plane(casa, f"{imagename}.{kind}", index)[0] for kind in ("image.tt0", "pb.tt0", "mask")
        )
        found.append(values[(mask < 0.1) & (pb > 0.1) & (pb < 0.3)])
    return float(np.sqrt(np.mean(np.concatenate(found).astype(np.float64) ** 2)))


def export_case() -> dict[str, Any]:
    node = RUN / "nodes" / "image_spw17"
    images = result("image_spw17", "makecutoutimages")["images"]
    image, rms = images["image.pbcor"], images["image.pbcor.rms"]
    shutil.copytree(node / "out" / "image.pbcor.subim", image)
    shutil.copytree(node / "work" / rms, rms)
    imagename = str(node / "work" / result("image_spw17", "makeimages")["imagename"])
    targets = CubeTargets.model_validate(result("restore", "editimlist_cube"))
    plane = next(plane for plane in targets.planes if plane.spw == "17")
    split = MsSummary.model_validate(result("restore", "transformimagedata"))
    about = ImagedPlane(plane, split, job)
    Path("native").mkdir()
    Path("common").mkdir()
    native = export_native(casa, imagename, images, about, Path("native"))
    beam = RestoringBeam(major_arcsec=30.0, minor_arcsec=28.0, pa_deg=15.0)
    trace = {"CCIPNODE": ("a fingerprint", "")}
    common = export_common(casa, image, beam, native, about, True, Path("common"), trace)
    return {
        "folder": str(START),
        "edge": edge_rms(imagename),
        "native": native.model_dump(mode="json"),
        "common": [file.model_dump(mode="json") for file in common],
        "left": sorted(path.name for path in Path().glob("*.com"))
        + sorted(path.name for path in Path().glob("*.conv")),
    }


found = {
    "importdata": import_cases(),
    "transformimagedata": transform_case(),
    "splitgroups": split_case(),
    "makeimages": imaging_case(),
    "corrected": corrected_case(),
    "analyzeplanes": analyze_case(),
    "exportvlassdata": export_case(),
}
print(json.dumps(found))
