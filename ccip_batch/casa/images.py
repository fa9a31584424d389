"""Pixels and statistics of CASA images, a Stokes plane at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ccip_batch.casa.session import Casa
from ccip_batch.cube.planes.noise import madrms
from ccip_batch.errors import CasaError
from ccip_batch.records import Model

STOKES = ("I", "Q", "U", "V")

Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Box = tuple[tuple[int, int], tuple[int, int]]
"""(x, y) of the bottom left and of the top right pixel, both inside."""


class RestoringBeam(Model):
    """A beam as CASA fitted it, unchecked; results record it. `cube.beams.GaussianBeam` is one in degrees."""

    major_arcsec: float
    minor_arcsec: float
    pa_deg: float


class Statistics(Model):
    """Statistics of the valid pixels of one Stokes plane, in the image's unit; None if no pixel is valid."""

    pixels: int
    max: float | None
    min: float | None
    mean: float | None
    median: float | None
    sigma: float | None
    """Standard deviation (n - 1)."""
    madrms: float | None
    """1.4826 x median absolute deviation from the median."""

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Statistics:
        """Statistics of a flat array; values that are not finite are left out."""
        good = values[np.isfinite(values)].astype(np.float64)
        if not good.size:
            return cls(pixels=0, max=None, min=None, mean=None, median=None, sigma=None, madrms=None)
        return cls(
            pixels=good.size,
            max=float(good.max()),
            min=float(good.min()),
            mean=float(good.mean()),
            median=float(np.median(good)),
            sigma=float(good.std(ddof=1)) if good.size > 1 else 0.0,
            madrms=madrms(good),
        )


def read_plane(casa: Casa, image: str, stokes: int = 0, box: Box | None = None, step: int = 1) -> tuple[Pixels, Mask]:
    """One Stokes plane of an image and its mask (True: valid), both indexed [y, x].

    stokes: index of the plane. box: the part that is read, by default all of it. step: only every n-th pixel of a row
    and of a column.
    """
    with casa.image(image) as tool:
        width, height = (int(n) for n in tool.shape()[:2])
        lower, upper = box or ((0, 0), (width - 1, height - 1))
        part: dict[str, Any] = {"blc": [*lower, stokes, 0], "trc": [*upper, stokes, 0], "inc": [step, step, 1, 1]}
        values = tool.getchunk(**part)[:, :, 0, 0].astype(np.float32).T
        if tool.maskhandler("default") == [""]:
            return values, np.ones(values.shape, np.bool_)
        return values, tool.getchunk(**part, getmask=True)[:, :, 0, 0].T


def box_text(box: Box) -> str:
    """A box as CASA's tasks take it."""
    return ",".join(str(n) for corner in box for n in corner)


def image_shape(casa: Casa, image: str) -> list[int]:
    """Length of each axis: x, y, Stokes, frequency."""
    with casa.image(image) as tool:
        return [int(n) for n in tool.shape()]


def restoring_beam(casa: Casa, image: str) -> RestoringBeam:
    """The restoring beam of Stokes I. Raises CasaError if there is none."""
    with casa.image(image) as tool:
        beam = tool.restoringbeam(polarization=0) if _has_many_beams(tool) else tool.restoringbeam()
    try:
        major, minor, angle = beam["major"], beam["minor"], beam["positionangle"]
    except KeyError:
        raise CasaError(f"{image} has no beam: tclean fitted none.") from None
    if (major["unit"], minor["unit"], angle["unit"]) != ("arcsec", "arcsec", "deg"):
        raise CasaError(f"the beam of {image} has unexpected units: {beam}")
    return RestoringBeam(
        major_arcsec=float(major["value"]), minor_arcsec=float(minor["value"]), pa_deg=float(angle["value"])
    )


def _has_many_beams(tool: Any) -> bool:
    return "beams" in tool.restoringbeam()
