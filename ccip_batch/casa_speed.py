"""Makes CASA faster without changing a bit: what takes time and has no effect is overwritten in this process.

**casacore's checks of its own iterators are switched off.** It asks its lattice iterators whether they are in order
(`ok()`) at every line of every image. The answer takes longer than the work: 61% of tclean's CPU at 2048 pixels goes
into it. The functions only read the iterator, and return true unless casacore itself has a bug. So in the memory of
this process each of them is overwritten by "return true". No file is changed, and no value depends on them: all eight
images of every iteration have the same bytes with and without (tests/test_casa_speed.py).

Tried with CASA 6.7.0.31 (Python 3.11) and 6.7.6.14 (3.13), where it is seven places: three functions in
libcasa_lattices, and a template in the libraries and extension modules that use it; and with 6.7.5.18 (3.12), whose
compiler has left no template to be found but 54 clones of it, local to the files they are in. It takes 0.02 to 0.1 s.
Where it cannot be done (another processor, a name that is missing, a system that forbids to change code), nothing is
changed: slower, same bits.

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
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ccip_batch.model import Model

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
_FUNCTION = 2  # STT_FUNC of ELF
_WITH_SYMBOL = 1  # RTLD_DL_SYMENT of dladdr1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt, malloc.h
_READ, _WRITE, _EXECUTE = 1, 2, 4


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


class _RefusedError(Exception):
    """Says why the checks stay on."""


class _Place(NamedTuple):
    """Code in the memory of this process, and what is to take its place."""

    address: int
    code: bytes
    done: bool
    """Whether it is there already."""


class _Function(NamedTuple):
    """The code of a function in the memory of this process."""

    address: int
    size: int


class _Mapping(NamedTuple):
    """A part of a file in the memory of this process."""

    start: int
    end: int
    mode: str
    offset: int
    path: str


class _Info(ctypes.Structure):
    """Dl_info of dlfcn.h."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


class _Symbol(ctypes.Structure):
    """Elf64_Sym of elf.h."""

    _fields_ = (
        ("name", ctypes.c_uint32),
        ("info", ctypes.c_ubyte),
        ("other", ctypes.c_ubyte),
        ("section", ctypes.c_uint16),
        ("value", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
    )


def speed_up() -> SelfChecks:
    """Switch casacore's self-checks off in all libraries of CASA that this process has loaded by now, and so on.

    Call it when CASA is imported, and again when more of it was. All or nothing: all self-checks are looked up and
    compared with the file they were loaded from before the first byte is changed.
    """
    try:
        places = _self_checks()
        _overwrite(places)
    except _RefusedError as refusal:
        return SelfChecks(places=0, why_on=str(refusal))
    return SelfChecks(places=len(places), quick_products=_quicken_products())


def keep_memory() -> None:
    """Have malloc keep the memory that is freed: a tenth of the time goes into getting it from the system again.

    Call it before CASA is imported. At 2048 pixels a plane has 0.4 million page faults then for 3.4 million, and takes
    36 CPU s for 42. Two settings do it, and only together: large arrays come from the heap, which never shrinks. That
    costs 1% of the peak memory (2048 and 4096 pixels), but a process stays at its peak. mallopt takes effect in glibc
    2.36 to 2.41, and needs no variable of the environment, which other programs would be given too.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(_M_MMAP_THRESHOLD, -1)
        mallopt(_M_TRIM_THRESHOLD, -1)


def _quicken_products() -> bool:
    """Have the product of complex numbers return in fewer steps; tells whether it does."""
    try:
        library = ctypes.CDLL("libgcc_s.so.1", mode=os.RTLD_LAZY | os.RTLD_NOLOAD)
        (function,) = _exported([library], _PRODUCT)
        original = _original(function, _PRODUCT, list(_mappings()))
        if original.count(_SLOW_END) != 1:
            return False
        _overwrite([_place(function, _PRODUCT, original, _QUICK_END, original.index(_SLOW_END))])
    except (OSError, ValueError, _RefusedError):
        return False
    return True


def _self_checks() -> list[_Place]:
    """All places of all self-checks. Raises _RefusedError if something is not as expected."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise _RefusedError(f"known for Linux on x86_64 only, this is {sys.platform} on {platform.machine()}")
    mappings = list(_mappings())
    folder = str(Path(sys.modules["casatools"].__path__[0]).resolve()) + os.sep
    libraries = {
        path: ctypes.CDLL(path, mode=os.RTLD_LAZY | os.RTLD_NOLOAD)
        for path in sorted({mapping.path for mapping in mappings if mapping.path.startswith(folder)})
        if ".so" in Path(path).name
    }
    places = []
    for name in SELF_CHECKS:
        functions = set(_exported(libraries.values(), name)) or set(_clones(libraries, name))
        if not functions:
            raise _RefusedError(f"this CASA has no function {name}")
        for function in sorted(functions):
            places.append(_place(function, name, _original(function, name, mappings), _RETURN_TRUE))
    return places


def _mappings() -> Iterator[_Mapping]:
    """The files that this process has in its memory, from /proc/self/maps."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        words = line.split(maxsplit=5)
        if len(words) == 6 and words[5].startswith("/"):
            start, end = (int(word, 16) for word in words[0].split("-"))
            yield _Mapping(start, end, words[1], int(words[2], 16), words[5])


def _exported(libraries: Iterable[ctypes.CDLL], name: str) -> Iterator[_Function]:
    """The functions of a name that the libraries export. Raises _RefusedError if it names something else."""
    for library in libraries:
        address = _address(library, name)
        if address is None:
            continue
        info, symbol = _described(address)
        if info.address != address or info.name != name.encode() or symbol.info & 0xF != _FUNCTION:
            raise _RefusedError(f"{name} is not a function of its own")
        yield _Function(address, symbol.size)


def _address(library: ctypes.CDLL, name: str) -> int | None:
    """Where a library, or one that it needs, has something."""
    try:
        return ctypes.cast(library[name], ctypes.c_void_p).value
    except AttributeError:
        return None


def _described(address: int) -> tuple[_Info, _Symbol]:
    """What the dynamic linker knows of an address."""
    info, symbol = _Info(), ctypes.POINTER(_Symbol)()
    ctypes.CDLL(None).dladdr1(
        ctypes.c_void_p(address), ctypes.byref(info), ctypes.byref(symbol), ctypes.c_int(_WITH_SYMBOL)
    )
    return info, symbol.contents if symbol else _Symbol()


def _clones(libraries: Mapping[str, ctypes.CDLL], name: str) -> Iterator[_Function]:
    """The clones of a function of a class that the compiler made for single files (`.isra`: other arguments, same
    result), from the symbol tables of the libraries that know the class."""
    from elftools.elf.elffile import ELFFile

    table = re.sub(r"^_ZNK(.*)2okEv$", r"_ZTVN\1E", name)
    clone = re.compile(rf"{re.escape(name)}\.isra\.\d+")
    for path, library in libraries.items():
        address = _address(library, table)
        info = _described(address)[0] if address else _Info()
        if info.file != os.fsencode(path):
            continue
        with Path(path).open("rb") as file:
            symbols: Any = ELFFile(file).get_section_by_name(".symtab")
            for number in _named(symbols, clone) if symbols else ():
                symbol = symbols.get_symbol(number)
                if symbol["st_info"]["type"] == "STT_FUNC":
                    yield _Function(info.base + symbol["st_value"], symbol["st_size"])


def _named(symbols: Any, name: re.Pattern[str]) -> list[int]:
    """Numbers of the symbols of a name. There are a hundred thousand, too many to look at one by one."""
    names = symbols.stringtable.data()
    starts = [match.start(1) for match in re.finditer(rb"\0(%b)(?=\0)" % name.pattern.encode(), names)]
    entries = np.frombuffer(symbols.data(), np.dtype([("name", "<u4"), ("rest", "V20")]))
    return [int(number) for number in np.flatnonzero(np.isin(entries["name"], starts))]


def _original(function: _Function, name: str, mappings: list[_Mapping]) -> bytes:
    """The code of a function as its file has it. Raises _RefusedError if it is not in the memory as code is."""
    address, size = function
    mapping = next((one for one in mappings if one.start <= address < one.end), None)
    if mapping is None or mapping.mode != "r-xp":
        raise _RefusedError(f"the code of {name} is not mapped as code is")
    with Path(mapping.path).open("rb") as file:
        file.seek(mapping.offset + address - mapping.start)
        return file.read(size)


def _place(function: _Function, name: str, original: bytes, code: bytes, at: int = 0) -> _Place:
    """Where code is to stand, from byte `at` of a function on. Raises _RefusedError if the function was changed."""
    if at + len(code) > function.size:
        raise _RefusedError(f"{name} is too short")
    now = ctypes.string_at(function.address, function.size)
    done = now == original[:at] + code + original[at + len(code) :]
    if not done and now != original:
        raise _RefusedError(f"{name} was changed by something else")
    return _Place(function.address + at, code, done)


def _overwrite(places: Iterable[_Place]) -> None:
    """Write code where it is not yet. Raises _RefusedError if the system forbids it.

    A page is made writable while it stays executable: a system that forbids this refuses at once, whereas one that lets
    a page become writable may not let it become executable again.
    """
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    page = os.sysconf("SC_PAGE_SIZE")
    for place in places:
        start = place.address // page * page
        length = (place.address + len(place.code) - start + page - 1) // page * page

        def allow(mode: int, start: int = start, length: int = length) -> None:
            if mprotect(ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_int(mode)) != 0:
                raise _RefusedError(f"the system forbids to change code ({os.strerror(ctypes.get_errno())})")

        if not place.done:
            allow(_READ | _WRITE | _EXECUTE)
            ctypes.memmove(place.address, place.code, len(place.code))
            allow(_READ | _EXECUTE)
