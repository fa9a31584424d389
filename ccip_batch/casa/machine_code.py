"""Finds functions of libraries in the memory of this process, and overwrites their code.

No file is changed. Known for Linux on x86-64. Everything is compared with the file that it was loaded from before it is
changed.
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

_FUNCTION = 2  # STT_FUNC of ELF
_WITH_SYMBOL = 1  # RTLD_DL_SYMENT of dladdr1
_READ, _WRITE, _EXECUTE = 1, 2, 4


class RefusedError(Exception):
    """Says why code cannot be changed."""


class Place(NamedTuple):
    """Code in the memory of this process, and what is to take its place."""

    address: int
    code: bytes
    done: bool
    """Whether it is there already."""


class Function(NamedTuple):
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


def casa_libraries() -> dict[str, ctypes.CDLL]:
    """The libraries and extension modules of CASA that this process has loaded, by path.

    Raises RefusedError on another system or processor than this module knows.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise RefusedError(f"known for Linux on x86_64 only, this is {sys.platform} on {platform.machine()}")
    folder = str(Path(sys.modules["casatools"].__path__[0]).resolve()) + os.sep
    try:
        return {
            path: ctypes.CDLL(path, mode=os.RTLD_LAZY | os.RTLD_NOLOAD)
            for path in sorted({mapping.path for mapping in _mappings() if mapping.path.startswith(folder)})
            if ".so" in Path(path).name
        }
    except OSError as error:  # a file was replaced or removed since it was loaded
        raise RefusedError(f"CASA's libraries have changed since they were loaded ({error})") from error


def _mappings() -> Iterator[_Mapping]:
    """The files that this process has in its memory, from /proc/self/maps."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        words = line.split(maxsplit=5)
        if len(words) == 6 and words[5].startswith("/"):
            start, end = (int(word, 16) for word in words[0].split("-"))
            yield _Mapping(start, end, words[1], int(words[2], 16), words[5])


def exported(libraries: Iterable[ctypes.CDLL], name: str) -> Iterator[Function]:
    """The functions of this name that the libraries export. Raises RefusedError if the name is something else there."""
    for library in libraries:
        address = _address(library, name)
        if address is None:
            continue
        info, symbol = _described(address)
        if info.address != address or info.name != name.encode() or symbol.info & 0xF != _FUNCTION:
            raise RefusedError(f"{name} is not a function of its own")
        yield Function(address, symbol.size)


def _address(library: ctypes.CDLL, name: str) -> int | None:
    """The address of a name in a library or one that it needs; None if they lack it."""
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


def clones(libraries: Mapping[str, ctypes.CDLL], name: str, table: str) -> Iterator[Function]:
    """The clones of a function of a class that the compiler made for single files (`.isra`: other arguments, same
    result), from the symbol tables of the libraries that know the class, that is, have its virtual table."""
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise RefusedError(f"the package pyelftools is missing, which is needed to find {name}") from error

    clone = re.compile(rf"{re.escape(name)}\.isra\.\d+")
    for path, library in libraries.items():
        address = _address(library, table)
        info = _described(address)[0] if address else _Info()
        if info.file != os.fsencode(path):
            continue
        try:
            with Path(path).open("rb") as file:
                symbols: Any = ELFFile(file).get_section_by_name(".symtab")
                for number in _named(symbols, clone) if symbols else ():
                    symbol = symbols.get_symbol(number)
                    if symbol["st_info"]["type"] == "STT_FUNC":
                        yield Function(info.base + symbol["st_value"], symbol["st_size"])
        except (OSError, ELFError) as error:
            raise RefusedError(f"{Path(path).name} cannot be read ({error})") from error


def _named(symbols: Any, name: re.Pattern[str]) -> list[int]:
    """Numbers of the symbols with this name. There are a hundred thousand, too many to look at one by one."""
    names = symbols.stringtable.data()
    starts = [match.start(1) for match in re.finditer(rb"\0(%b)(?=\0)" % name.pattern.encode(), names)]
    entries = np.frombuffer(symbols.data(), np.dtype([("name", "<u4"), ("rest", "V20")]))
    return [int(number) for number in np.flatnonzero(np.isin(entries["name"], starts))]


def original(function: Function, name: str) -> bytes:
    """The code of a function as its file has it. Raises RefusedError if it is not in the memory as code is."""
    address, size = function
    mapping = next((one for one in _mappings() if one.start <= address < one.end), None)
    if mapping is None or mapping.mode != "r-xp":
        raise RefusedError(f"the code of {name} is not mapped as code is")
    try:
        with Path(mapping.path).open("rb") as file:
            file.seek(mapping.offset + address - mapping.start)
            return file.read(size)
    except OSError as error:
        raise RefusedError(f"the file of {name} cannot be read ({error})") from error


def place(function: Function, name: str, before: bytes, code: bytes, at: int = 0) -> Place:
    """The place of new code in a function, to be overwritten later.

    name: of the function, for messages. before: its code as its file has it. code: what is to stand there, from byte
    `at` of the function on. Raises RefusedError if the function was changed.
    """
    if at + len(code) > function.size:
        raise RefusedError(f"{name} is too short")
    now = ctypes.string_at(function.address, function.size)
    done = now == before[:at] + code + before[at + len(code) :]
    if not done and now != before:
        raise RefusedError(f"{name} was changed by something else")
    return Place(function.address + at, code, done)


def may_be_entered(code: bytes, start: int, end: int) -> bool:
    """Whether a jump or call in the code of a function may lead behind `start` and before `end` of it (bytes).

    Every byte is taken for the beginning of an instruction: no jump is missed, and some bytes are mistaken for one.
    """
    for at in range(len(code) - 6):
        one, two = code[at], code[at + 1]
        targets = []
        if 0x70 <= one <= 0x7F or 0xE0 <= one <= 0xE3 or one == 0xEB:  # jcc, loop, jmp: 8 bits
            targets.append(at + 2 + int.from_bytes(code[at + 1 : at + 2], "little", signed=True))
        if one in (0xE8, 0xE9):  # call, jmp: 32 bits
            targets.append(at + 5 + int.from_bytes(code[at + 1 : at + 5], "little", signed=True))
        if one == 0x0F and 0x80 <= two <= 0x8F:  # jcc: 32 bits
            targets.append(at + 6 + int.from_bytes(code[at + 2 : at + 6], "little", signed=True))
        if any(start < target < end for target in targets):
            return True
    return False


def overwrite(places: Iterable[Place]) -> None:
    """Write code where it is not yet. Raises RefusedError if the system does not allow it; then nothing is changed.

    A page is made writable while it stays executable: a system that does not allow this refuses at once, whereas one
    that lets a page become writable may not let it become executable again.
    """
    wanted = [place for place in places if not place.done]
    opened: list[Place] = []
    try:
        for place in wanted:
            _allow(place, _READ | _WRITE | _EXECUTE)
            opened.append(place)
        for place in wanted:
            ctypes.memmove(place.address, place.code, len(place.code))
    finally:
        for place in opened:
            _allow(place, _READ | _EXECUTE)


def _allow(place: Place, mode: int) -> None:
    """Set what may be done with the pages of a place."""
    page = os.sysconf("SC_PAGE_SIZE")
    start = place.address // page * page
    length = (place.address + len(place.code) - start + page - 1) // page * page
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_int(mode)) != 0:
        raise RefusedError(f"the system does not allow code to be changed ({os.strerror(ctypes.get_errno())})")
