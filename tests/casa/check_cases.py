"""Runs each check of `ccip_batch.casa.checks` on CASA images and a measurement set that are right, or wrong in
one thing.

python tests/casa/check_cases.py RUN: in an empty folder; RUN is a finished run of the simulation `small` that kept all.
Prints JSON: for each case `ok`, or the error's class and text.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ccip_batch.casa import checks
from ccip_batch.casa.flag_statistics import FlagCounts
from ccip_batch.casa.images import RestoringBeam, Statistics, read_plane
from ccip_batch.casa.session import Casa
from ccip_batch.errors import CcipError
from ccip_batch.stages.restoregroup import RestoredGroup, Restoring
from ccip_batch.stages.restorepims import check_all, restorepims

SIZE = 32
RUN = Path(sys.argv[1])
casa = Casa(Path("casa.log"))
said: dict[str, str] = {}


def case(name: str, check: Callable[..., Any], *arguments: Any) -> None:
    try:
        check(*arguments)
        said[name] = "ok"
    except CcipError as error:
        said[name] = f"{type(error).__name__}: {error}"


def make_image(
    name: str, pixels: np.ndarray, stokes: tuple[str, ...] = ("I", "Q", "U", "V"), ra_deg: float = 10.0
) -> str:
    """A CASA image of 6 arcsec pixels; pixels: (x, y, stokes)."""
    with casa.tool("image") as image, casa.tool("coordsys") as axes:
        full = axes.newcoordsys(direction=True, spectral=True, stokes=list(stokes))
        full.setincrement([-np.radians(6 / 3600), np.radians(6 / 3600)], type="direction")
        full.setreferencevalue([np.radians(ra_deg), np.radians(16.0)], type="direction")
        full.setreferencepixel([pixels.shape[0] / 2, pixels.shape[1] / 2], type="direction")
        order = full.torecord()
        made = image.fromarray(name, pixels[..., None].astype(np.float32), csys=order, overwrite=True)
        if made is False:
            raise RuntimeError(name)
    return name


noise = np.random.default_rng(1).normal(0, 1e-3, (SIZE, SIZE, 4))
one_zero, one_nan = noise.copy(), noise.copy()
one_zero[..., 3] = 0
one_nan[..., 1] = np.nan
good_image = make_image("good.image", noise)
case("planes: good", checks.check_planes, casa, good_image)
one_pixel = np.zeros_like(noise)
one_pixel[5, 7] = 1e-3  # none of those that are looked at first
case("planes: one pixel", checks.check_planes, casa, make_image("one.image", one_pixel))
case("planes: V zero", checks.check_planes, casa, make_image("zero.image", one_zero))
case("planes: Q NaN", checks.check_planes, casa, make_image("nan.image", one_nan))
case("planes: order", checks.check_planes, casa, make_image("order.image", noise, ("I", "Q", "V", "U")))
for name, image in (("good", "good.image"), ("V zero", "zero.image"), ("Q NaN", "nan.image")):
    statistics = {}
    for index, stokes in enumerate("IQUV"):
        values, valid = read_plane(casa, image, index)
        statistics[stokes] = Statistics.of(values[valid])
    case(f"statistics: {name}", checks.check_statistics, image, statistics)

x, y = np.meshgrid(np.arange(SIZE) - SIZE // 2, np.arange(SIZE) - SIZE // 2, indexing="ij")
gauss = np.exp(-4 * np.log(2) * ((x / 4) ** 2 + (y / 3) ** 2))  # 24 x 18 arcsec
psf = make_image("good.psf", np.repeat(gauss[..., None], 4, axis=2))
case("beam: good", checks.check_beam, casa, psf, RestoringBeam(major_arcsec=24, minor_arcsec=18, pa_deg=90))
case("beam: default", checks.check_beam, casa, psf, RestoringBeam(major_arcsec=6, minor_arcsec=6, pa_deg=0))
case("beam: huge", checks.check_beam, casa, psf, RestoringBeam(major_arcsec=120, minor_arcsec=60, pa_deg=0))
case("beam: zero", checks.check_beam, casa, psf, RestoringBeam(major_arcsec=0, minor_arcsec=0, pa_deg=0))
case("beam: NaN", checks.check_beam, casa, psf, RestoringBeam(major_arcsec=float("nan"), minor_arcsec=18, pa_deg=0))
no_psf = make_image("no.psf", np.zeros((SIZE, SIZE, 4)))
case("beam: no psf", checks.check_beam, casa, no_psf, RestoringBeam(major_arcsec=24, minor_arcsec=18, pa_deg=0))

box = np.zeros((SIZE, SIZE, 1))
box[10:20, 10:20] = 1
mask = make_image("good.mask", box, ("I",))
empty = make_image("empty.mask", 0 * box, ("I",))
elsewhere = make_image("elsewhere.mask", box, ("I",), ra_deg=10.1)
antipode = make_image("antipode.mask", box, ("I",), ra_deg=190.0)
larger = make_image("larger.mask", np.pad(box, ((4, 4), (4, 4), (0, 0))), ("I",))
case("mask: good", checks.check_mask, casa, mask, mask, good_image)
case("mask: empty", checks.check_mask, casa, empty, empty, good_image)
case("mask: elsewhere", checks.check_mask, casa, elsewhere, elsewhere, good_image)
case("mask: antipode", checks.check_mask, casa, antipode, antipode, good_image)
case("mask: regridded", checks.check_mask, casa, larger, mask, good_image)
case("mask: regridded from elsewhere", checks.check_mask, casa, larger, empty, good_image)

shutil.copytree(RUN / "nodes" / "restore" / "work", "work")
vis = str(next(Path("work").glob("*_split.ms")))
version = Path(f"{vis}.flagversions/flags.statwt_1")
rng = np.random.default_rng(2)


def change(path: str, column: str, how: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[], None]:
    """Change a column by (values, data descriptions); gives what undoes it."""
    with casa.table(vis if "flagversions" in path else path) as table:
        descriptions = table.getcol("DATA_DESC_ID")
    with casa.table(path, write=True) as table:
        before = table.getcol(column)
        table.putcol(column, how(before.copy(), descriptions))

    def undo() -> None:
        with casa.table(path, write=True) as table:
            table.putcol(column, before)

    return undo


def in_spw(spw: int, value: complex) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def how(values: np.ndarray, descriptions: np.ndarray) -> np.ndarray:
        values[..., descriptions == spw] = value
        return values

    return how


group = "group.ms"
shutil.copytree(RUN / "nodes" / "restore" / "out" / "spw12_13.ms", group)
with casa.table(group, write=True) as table:
    model = {**table.getcoldesc("DATA"), "dataManagerGroup": "model"}
    table.addcols({"MODEL_DATA": model})
    table.putcol("MODEL_DATA", table.getcol("DATA"))

case("model: good", checks.check_model, casa, group, "model.tt0")
for name, how in (
    ("zero", lambda values, _: 0 * values),
    ("zero in one spw", in_spw(12, 0)),
    ("NaN", in_spw(12, complex("nan"))),
):
    undo = change(group, "MODEL_DATA", how)
    case(f"model: {name}", checks.check_model, casa, group, "model.tt0")
    undo()

case("weights: good", checks.check_weights, casa, group)
for name, value in (("negative", -1.0), ("zero", 0.0), ("NaN", float("nan"))):
    undo = change(group, "WEIGHT_SPECTRUM", in_spw(12, value))
    case(f"weights: {name} in one spw", checks.check_weights, casa, group)
    undo()


def restore_again() -> None:
    restoring = Restoring(
        whole=vis, prediction={"imagename": "x"}, models=["m.tt0"], selfcal_table="selfcal", spwmap=[0], commands=[]
    )
    restorepims(casa, restoring, groups=[], at_once=1, log=Path("casa.log"))


nothing = FlagCounts(flagged={}, total={}, used_channels={})
restored = RestoredGroup(
    spw="12", model_peak_jy=1.0, weights_changed=True, before=nothing, after=nothing, commands_selected=False
)
flagged = restored.model_copy(update={"model_peak_jy": 0.0, "weights_changed": False})
case("groups: good", check_all, vis, [flagged, restored], "model.tt0")
for name, changes in (("all flagged", {"model_peak_jy": 0.0}), ("weights unchanged", {"weights_changed": False})):
    case(f"groups: {name}", check_all, vis, [flagged, restored.model_copy(update=changes)], "model.tt0")
case("flags: good", checks.check_flag_version, casa, vis, "statwt_1")
for name, how in (
    ("random order", lambda flags, _: flags[..., rng.permutation(flags.shape[-1])]),
    ("one row further", lambda flags, _: np.roll(flags, 1, axis=-1)),
    ("none flagged", lambda flags, _: np.zeros_like(flags)),
):
    undo = change(str(version), "FLAG", how)
    case(f"flags: {name}", checks.check_flag_version, casa, vis, "statwt_1")
    if name == "random order":
        case("restorepims: flags in random order", restore_again)
    undo()
with casa.table(vis) as table:
    times = table.getcol("TIME")
undo = change(vis, "TIME", lambda values, _: values[::-1])
case("flags: rows of the data in another order", checks.check_flag_version, casa, vis, "statwt_1")
undo()
with casa.table(str(version), write=True) as table:
    table.addrows(1)
case("flags: another number of rows", checks.check_flag_version, casa, vis, "statwt_1")
shutil.rmtree(version)
case("flags: missing", checks.check_flag_version, casa, vis, "statwt_1")

with casa.table(vis, write=True) as table:
    table.addcols({"MODEL_DATA": {**table.getcoldesc("DATA"), "dataManagerGroup": "model"}})
case("restorepims: changed by something else", restore_again)
print(json.dumps(said))
