"""Makes CASA faster without changing a bit: code that takes time and has no effect is overwritten in this process.

**casacore's checks of its own iterators are switched off.** It asks its lattice iterators whether they are in order
(`ok()`) at every line of every image. The answer takes longer than the work: 61% of tclean's CPU at 2048 pixels goes
into it. The functions only read the iterator, and return true unless casacore itself has a bug. So in the memory of
this process each of them is overwritten by "return true". No file is changed, and no value depends on them: all eight
images of every iteration have the same bytes with and without (tests/casa/test_speed.py).

Tried with CASA 6.7.0.31 (Python 3.11) and 6.7.6.14 (3.13), where it is seven places: three functions in
libcasa_lattices, and a template in the libraries and extension modules that use it; and with 6.7.5.18 (3.12), whose
compiler has left no template to be found but 54 clones of it, local to the files they are in. It takes 0.02 to 0.1 s.
Where it cannot be done (another processor, a name that is missing, a system that does not allow code to be changed),
nothing is changed: slower, same bits.

**The product of two complex<float> returns in fewer steps.** `__mulsc3` of the system's libgcc writes real and
imaginary part to the stack and reads them back as one, for which the processor has to wait. They are put together in a
register instead: no arithmetic is touched, and the register that is returned has the same bits. That is 12% of tclean
at 2048 pixels, and 21% at 512. Tried with the libgcc of GCC 12 (Debian 12). Where libgcc was compiled in another way it
is left alone.

**malloc keeps the memory that is freed** (`keep_memory`).
"""

from __future__ import annotations

import ctypes
import os
import re

from ccip_batch.casa import machine_code
from ccip_batch.casa.machine_code import Place, RefusedError
from ccip_batch.records import Model

SELF_CHECKS = (
    "_ZNK8casacore14LatticeStepper2okEv",
    "_ZNK8casacore14LatticeIndexer2okEv",
    "_ZNK8casacore20LatticeIterInterfaceISt7complexIfEE2okEv",
    "_ZNK8casacore20LatticeIterInterfaceIfE2okEv",
)
"""What is switched off: `bool ok() const` of LatticeStepper, LatticeIndexer, and LatticeIterInterface of complex<float>
and float."""
_PRODUCT = "__mulsc3"
_SLOW_END = bytes.fromhex("f30f116424f8 f30f116c24fc f30f7e4424f8 c3")
"""movss [rsp-8], xmm4; movss [rsp-4], xmm5; movq xmm0, [rsp-8]; ret."""
_QUICK_END = bytes.fromhex("0f14e5 f30f7ec4 c3")
"""unpcklps xmm4, xmm5; movq xmm0, xmm4; ret."""
_RETURN_TRUE = bytes.fromhex("b801000000c3")  # x86-64: mov eax, 1; ret
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt, malloc.h


class SelfChecks(Model):
    """Whether casacore's self-checks were off while a node worked."""

    places: int
    """In how many places of CASA's libraries they were switched off; 0: they were on."""
    why_on: str = ""
    """Why they were on."""
    quick_products: bool = False
    """Whether the product of complex numbers returned in fewer steps."""

    def sentence(self) -> str:
        """For people."""
        if self.places:
            products = ", products of complex numbers quickened" if self.quick_products else ""
            return f"off in {self.places} places{products}"
        return f"on: {self.why_on}" if self.why_on else "on"


def speed_up() -> SelfChecks:
    """Switch casacore's self-checks off in all libraries of CASA that this process has loaded, and quicken products.

    Call it when CASA is imported, and again when more of it was. All or nothing: all self-checks are looked up and
    compared with the file they were loaded from before the first byte is changed.
    """
    try:
        places = _self_checks()
        machine_code.overwrite(places)
    except RefusedError as refusal:
        return SelfChecks(places=0, why_on=str(refusal))
    return SelfChecks(places=len(places), quick_products=_quicken_products())


def keep_memory() -> None:
    """Have malloc keep the memory that is freed: a tenth of the time goes into getting it from the system again.

    Call it before CASA is imported. At 2048 pixels a plane has 0.4 million page faults then for 3.4 million, and takes
    36 CPU s for 42. Two settings do it, and only together: large arrays come from the heap, which never shrinks. That
    costs 1% of the peak memory (2048 and 4096 pixels), but a process stays at its peak. mallopt takes effect in glibc
    2.36 to 2.41, and needs no variable of the environment, which other programs would be given too. An older glibc may
    refuse the first; the second alone would double the time, so then nothing is set.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and mallopt(_M_MMAP_THRESHOLD, -1) == 1:  # glibc, and a new one
        mallopt(_M_TRIM_THRESHOLD, -1)


def _quicken_products() -> bool:
    """Have the product of complex numbers return in fewer steps; returns whether it does."""
    try:
        library = ctypes.CDLL("libgcc_s.so.1", mode=os.RTLD_LAZY | os.RTLD_NOLOAD)
        (function,) = machine_code.exported([library], _PRODUCT)
        original = machine_code.original(function, _PRODUCT)
        start = original.find(_SLOW_END)
        if original.count(_SLOW_END) != 1 or machine_code.may_be_entered(original, start, start + len(_SLOW_END)):
            return False
        machine_code.overwrite([machine_code.place(function, _PRODUCT, original, _QUICK_END, start)])
    except (OSError, ValueError, RefusedError):
        return False
    return True


def _self_checks() -> list[Place]:
    """All places of all self-checks. Raises RefusedError if something is not as expected."""
    libraries = machine_code.casa_libraries()
    places = []
    for name in SELF_CHECKS:
        functions = set(machine_code.exported(libraries.values(), name))
        if not functions:
            table = re.sub(r"^_ZNK(.*)2okEv$", r"_ZTVN\1E", name)
            functions = set(machine_code.clones(libraries, name, table))
        if not functions:
            raise RefusedError(f"this CASA has no function {name}")
        for function in sorted(functions):
            places.append(machine_code.place(function, name, machine_code.original(function, name), _RETURN_TRUE))
    return places
