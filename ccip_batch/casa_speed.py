"""Makes CASA faster without changing a bit: casacore's checks of its own iterators are switched off.

casacore asks its lattice iterators whether they are in order (`ok()`) at every line of every image. The answer takes
longer than the work: 61% of tclean's CPU at 2048 pixels goes into it. The functions only read the iterator, and return
true unless casacore itself has a bug. So in the memory of this process each of them is overwritten by "return true". No
file is changed, and no value depends on them: all eight images of every iteration have the same bytes with and without
(tests/test_casa_speed.py).

Tried with CASA 6.7.0.31 (Python 3.11) and 6.7.6.14 (3.13), where it is seven places: three functions in
libcasa_lattices, and a template in the libraries and extension modules that use it; and with 6.7.5.18 (3.12), whose
compiler has left no template to be found but 54 clones of it, local to the files they are in. It takes 0.02 to 0.1 s.
Where it cannot be done (another processor, a name that is missing, a system that forbids to change code), nothing is
changed: slower, same bits.
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
_RETURN_TRUE = bytes.fromhex("b801000000c3")  # x86-64: mov eax, 1; ret
_FUNCTION = 2  # STT_FUNC of ELF
_WITH_SYMBOL = 1  # RTLD_DL_SYMENT of dladdr1
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of mallopt, malloc.h
_READ, _WRITE, _EXECUTE = 1, 2, 4


class SelfChecks(Model):
    """Whether casacore's self-checks were off while a node worked."""

    places: int
    """In how many places of CASA's libraries they were switched off; 0: they were on."""
    why_on: str = ""
    """Why they were on."""

    def sentence(self) -> str:
        """For people."""
        if self.places:
            return f"off in {self.places} places"
        return f"on: {self.why_on}" if self.why_on else "on"


class _RefusedError(Exception):
    """Says why the checks stay on."""


class _Place(NamedTuple):
    """A function in the memory of this process."""

    address: int
    done: bool
    """Whether it has been overwritten before."""


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


def switch_self_checks_off() -> SelfChecks:
    """Switch casacore's self-checks off in all libraries of CASA that this process has loaded by now.

    Call it when CASA is imported, and again when more of it was. All or nothing: everything is looked up and compared
    with the file it was loaded from before the first byte is changed.
    """
    try:
        places = _find()
        for place in places:
            if not place.done:
                _overwrite(place.address)
    except _RefusedError as refusal:
        return SelfChecks(places=0, why_on=str(refusal))
    return SelfChecks(places=len(places))


def keep_memory() -> None:
    """Have malloc keep the memory that is freed: a tenth of the time goes into getting it from the system again.

    mallopt rather than variables of the environment: they would be passed on, and glibc reads them at the start alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(_M_MMAP_MAX, 0)  # large arrays come from the heap, too
        mallopt(_M_TRIM_THRESHOLD, -1)  # which is never made smaller


def _find() -> list[_Place]:
    """All places of all functions. Raises _RefusedError if something is not as expected."""
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
        places += [_checked(function, name, mappings) for function in sorted(functions)]
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


def _checked(function: _Function, name: str, mappings: list[_Mapping]) -> _Place:
    """The place of a function. Raises _RefusedError unless its code is what its file has."""
    address, size = function
    if size < len(_RETURN_TRUE):
        raise _RefusedError(f"{name} is too short")
    mapping = next((one for one in mappings if one.start <= address < one.end), None)
    if mapping is None or mapping.mode != "r-xp":
        raise _RefusedError(f"the code of {name} is not mapped as code is")
    now = ctypes.string_at(address, size)
    with Path(mapping.path).open("rb") as file:
        file.seek(mapping.offset + address - mapping.start)
        original = file.read(size)
    if now[len(_RETURN_TRUE) :] != original[len(_RETURN_TRUE) :]:
        raise _RefusedError(f"{name} is not what {Path(mapping.path).name} has")
    if now.startswith(_RETURN_TRUE):
        return _Place(address, done=True)
    if now != original:
        raise _RefusedError(f"{name} was changed by something else")
    return _Place(address, done=False)


def _overwrite(address: int) -> None:
    """Overwrite a function. Raises _RefusedError if the system forbids it.

    The page is made writable while it stays executable: a system that forbids this refuses at once, whereas one that
    lets a page become writable may not let it become executable again.
    """
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    size = os.sysconf("SC_PAGE_SIZE")
    start = address // size * size
    length = (address + len(_RETURN_TRUE) - start + size - 1) // size * size

    def allow(mode: int) -> None:
        if mprotect(ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_int(mode)) != 0:
            raise _RefusedError(f"the system forbids to change code ({os.strerror(ctypes.get_errno())})")

    allow(_READ | _WRITE | _EXECUTE)
    ctypes.memmove(address, _RETURN_TRUE, len(_RETURN_TRUE))
    allow(_READ | _EXECUTE)
