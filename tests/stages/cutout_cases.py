"""Runs stages 8 to 10 on images of a plane twice: from the whole images, and from the cutout and its margin.

python tests/stages/cutout_cases.py: in an empty folder. Prints JSON: for each case, kind of image and Stokes how many
pixels there are, how many differ in mask or value, and the largest difference relative to the median of the whole's.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ccip_batch.casa.images import STOKES, read_plane
from ccip_batch.casa.session import Casa
from ccip_batch.imaging import cutout as cutouts
from ccip_batch.imaging.cutout import Cutout
from ccip_batch.stages.makecutoutimages import makecutoutimages
from ccip_batch.stages.makermsimages import makermsimages
from ccip_batch.stages.pbcor import pbcor

CASES = {"box of 100 pixels": ((420, 431), 0.6, 110), "box of 25 pixels": ((301, 290), 2.4, 131),
         "box of 10 pixels": ((200, 211), 6.0, 90)}  # fmt: skip
"""(x, y) pixels of the image, arcsec of a pixel, pixels of the cutout."""
casa = Casa(Path("casa.log").resolve())
random = np.random.default_rng(5)


def make_image(name: str, pixels: np.ndarray, cell: float, mask: str = "") -> None:
    """A CASA image with a beam; pixels: (x, y, Stokes)."""
    with casa.tool("image") as image, casa.tool("coordsys") as axes:
        system = axes.newcoordsys(direction=True, spectral=True, stokes=list(STOKES))
        system.setunits(["rad", "rad"], type="direction")
        system.setincrement([-np.radians(cell / 3600), np.radians(cell / 3600)], type="direction")
        system.setreferencevalue([np.radians(203.4), np.radians(16.7)], type="direction")
        system.setreferencepixel([n // 2 for n in pixels.shape[:2]], type="direction")
        image.fromarray(name, pixels[..., None].astype(np.float32), csys=system.torecord(), overwrite=True)
    with casa.image(name) as image:
        image.setbrightnessunit("Jy/beam")
        image.setrestoringbeam(major=f"{4 * cell}arcsec", minor=f"{3 * cell}arcsec", pa="20deg")
        if mask:
            image.calcmask(mask, name="mask0")


def make_plane(shape: tuple[int, int], cell: float, side: int) -> None:
    """`plane.<kind>.tt0`: noise and sources under a primary beam; two corners of the cutout are masked."""
    x, y = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    beam = np.exp(-1.2 * ((x - shape[0] / 2.2) ** 2 + (y - shape[1] / 2) ** 2) / side**2)
    residual = random.normal(0, 1e-4, (*shape, 4))
    image = residual.copy()
    for place in zip(*(random.integers(0, n, 80) for n in shape), strict=True):
        gauss = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 6)
        image += random.exponential(5e-3) * gauss[..., None] * (1, 0.1, -0.1, 0.01)
    full = np.repeat(beam[..., None], 4, axis=2)
    make_image("plane.pb.tt0", full, cell, "'plane.pb.tt0' > 0.62")
    make_image("plane.residual.tt0", residual, cell, "'plane.pb.tt0' > 0.62")
    make_image("plane.image.tt0", image, cell)
    make_image("plane.psf.tt0", residual, cell)


def stages(cutout: Cutout) -> dict[str, Any]:
    """What stages 8 to 10 say, and all pixels and masks of the cutouts."""
    for path in Path().glob("*.pbcor.*"):
        shutil.rmtree(path)
    corrected = pbcor(casa, "plane", cutout)
    rms = makermsimages(casa, corrected.image, cutout)
    made = makecutoutimages(casa, "plane", cutout)
    pixels = {kind: [read_plane(casa, image, n) for n in range(4)] for kind, image in made.images.items()}
    with casa.image(made.images["image.pbcor.rms"]) as tool:
        axes = tool.coordsys()
        reference = [list(axes.referencepixel()["numeric"]), list(axes.referencevalue()["numeric"])]
    said = [one.model_dump() for one in (corrected, rms, made)]
    return {"said": said, "pixels": pixels, "reference": reference}


found: dict[str, Any] = {}
for case, (shape, cell, side) in CASES.items():
    Path(case).mkdir()
    os.chdir(case)
    make_plane(shape, cell, side)
    cutouts.CUTOUT_ARCSEC = side * cell
    part = Cutout.of(casa, "plane.image.tt0")
    whole = dataclasses.replace(part, wide=((0, 0), (shape[0] - 1, shape[1] - 1)), is_wide_whole=True)
    new, old = stages(part), stages(whole)
    left = sorted(path.name for path in Path().glob("*.wide"))
    figures: dict[str, list[dict[str, float]]] = {}
    for kind, planes in new["pixels"].items():
        figures[kind] = []
        for (values, valid), (before, valid_before) in zip(planes, old["pixels"][kind], strict=True):
            both = valid & valid_before
            away = np.abs(values.astype(float) - before)[both] / np.median(np.abs(before[both]))
            figures[kind].append(
                {
                    "pixels": int(values.size),
                    "valid": int(valid.sum()),
                    "masks": int((valid != valid_before).sum()),
                    "values": int((away > 0).sum()),
                    "largest": float(away.max()),
                }
            )
    found[case] = {
        "wide": part.wide, "left": left, "figures": figures, "reference": [new["reference"], old["reference"]],
        "said": [new["said"], old["said"]],
    }  # fmt: skip
    os.chdir("..")
print(json.dumps(found))
