"""Has CASA take less memory for the tclean calls of a plane, without changing a bit.

A plane needs most in the first major cycle of a cleaning call, where CASA grids the weights once more. It keeps two
things then that it does not need:

- The deconvolver, some 110 bytes a pixel, which waits for the major cycle to end. It is closed before that cycle and
  set up again after it, from the images on disk, as a new call of tclean would; they hold all it needs.
- Lattices, which casacore puts into memory or into a file of the working folder, by the memory that it believes to be
  free. For large planes it is told a constant few bytes a pixel, so that they are in files. Their pixels are the same
  there. Two functions compute otherwise if little is free, and both have a part in restored images alone; while tclean
  restores, casacore is told that much is free. So no image depends on how much the machine has free, as it does in
  stock CASA.

At 4096 pixels, spw 5, tclean takes 6.7 GB for a plane in stock CASA, 6.1 GB without the first, and 3.8 GB without
both. The first costs no CPU time that could be measured; the second 6% of tclean's at 2048 pixels, 17% of a cleaning
call at 4096, and disk. So the second is for large planes alone: with up to 3000 x 3000 pixels a plane fits into the
4 GB that pools have for a core.

Images and records of tclean are the same to the last bit, at 512 and 1024 pixels with as few bytes a pixel as here:
with a mask that is given and with one of the primary beam, up to seven major cycles a call, and however a call ended or
went on: limits of iterations and of major cycles, threshold, nsigma, an empty mask, a restart. Tried with CASA 6.7.0.31
(Python 3.11), 6.7.5.18 (3.12) and 6.7.6.14 (3.13). Where CASA is not as expected, nothing is done: more memory, same
bits.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ccip_batch.casa import machine_code
from ccip_batch.casa.machine_code import RefusedError
from ccip_batch.workflow import estimates

MEMORY_FREE = "_ZN8casacore8HostInfo10memoryFreeEv"
"""The function that says how much memory is free: `static ssize_t HostInfo::memoryFree()`, in kB."""
_TOLD_BYTES_A_PIXEL = 12
_MUCH_KB = 0x7FFFFFFF
_IMAGER = "casatasks.private.imagerhelpers.imager_base"


@dataclass
class Spared:
    """What was done, and why something was not."""

    deconvolvers: int = 0
    """How often a deconvolver was closed for a major cycle."""
    told: int = 0
    """In how many places casacore was told what is free."""
    why_not: str = ""


@contextlib.contextmanager
def spared(pixels: int) -> Iterator[Spared]:
    """Have the tclean calls made inside take less memory. Their arguments must be those of job/tclean_table.py.

    pixels: of one Stokes plane.
    """
    done = Spared()
    with contextlib.ExitStack() as stack:
        try:
            imager = _imager()
            stack.enter_context(_deconvolvers_closed(imager, done))
            if pixels > estimates.LARGE_PLANE_PIXELS:
                stack.enter_context(_told(imager, pixels * _TOLD_BYTES_A_PIXEL // 1024, done))
        except RefusedError as refusal:
            done.why_not = str(refusal)
        yield done


def _imager() -> Any:
    """The class that makes tclean's steps. Raises RefusedError if it is not as expected."""
    imager = getattr(sys.modules.get(_IMAGER), "PySynthesisImager", None)
    for method in ("runMajorCycle", "updateMask", "initializeDeconvolvers", "deleteDeconvolvers", "restoreImages"):
        if not callable(getattr(imager, method, None)):
            raise RefusedError(f"this CASA has no {_IMAGER}.PySynthesisImager.{method}")
    return imager


@contextlib.contextmanager
def _replaced(owner: Any, **methods: Any) -> Iterator[None]:
    """Have other methods in a class."""
    before = {name: getattr(owner, name) for name in methods}
    for name, method in methods.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(owner, name, method)


def _deconvolvers_closed(imager: Any, done: Spared) -> contextlib.AbstractContextManager[None]:
    """Close the deconvolver during the first major cycle of a cleaning call. In the others less is needed."""
    major_cycle, update_mask = imager.runMajorCycle, imager.updateMask

    def run_major_cycle(self: Any, isCleanCycle: bool = True) -> None:  # noqa: N803
        if not (isCleanCycle and self.majorCnt == 0 and self.SDtools):
            major_cycle(self, isCleanCycle)
            return
        self.deleteDeconvolvers()
        self.SDtools = []
        major_cycle(self, isCleanCycle)
        for parameters in self.alldecpars.values():
            parameters["mask"] = ""  # the first one has made the .mask from it; a second one refuses to
        self.initializeDeconvolvers()
        done.deconvolvers += 1

    def mask_updated(self: Any) -> bool:
        """Masks that are given stay as they are; a deconvolver that has none given would make one."""
        return False if self.majorCnt else bool(update_mask(self))

    return _replaced(imager, runMajorCycle=run_major_cycle, updateMask=mask_updated)


@contextlib.contextmanager
def _told(imager: Any, free_kb: int, done: Spared) -> Iterator[None]:
    """Tell casacore that this much memory is free, and while it restores images, that much is."""
    functions = set(machine_code.exported(machine_code.casa_libraries().values(), MEMORY_FREE))
    if not functions:
        raise RefusedError(f"this CASA has no function {MEMORY_FREE}")
    stock = []
    for function in functions:
        original = machine_code.original(function, MEMORY_FREE)
        place = machine_code.place(function, MEMORY_FREE, original, _answer(free_kb))
        stock.append(place._replace(code=original[: len(place.code)], done=False))
    restore_images = imager.restoreImages

    def tell(kb: int) -> None:
        machine_code.overwrite(place._replace(code=_answer(kb)) for place in stock)

    def images_restored(self: Any) -> None:
        tell(_MUCH_KB)
        try:
            restore_images(self)
        finally:
            tell(free_kb)

    try:
        with _replaced(imager, restoreImages=images_restored):
            tell(free_kb)
            done.told = len(stock)
            yield
    finally:
        machine_code.overwrite(stock)


def _answer(kb: int) -> bytes:
    """x86-64: mov eax, kb; ret. It clears the upper half of the register, in which the answer is."""
    return b"\xb8" + kb.to_bytes(4, "little") + b"\xc3"
