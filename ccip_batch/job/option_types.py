"""The types of option values: what is accepted, what it is turned into, and what the error says."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, PlainSerializer, ValidationInfo, WithJsonSchema

from ccip_batch.job.phase_centre import parse_phase_centre
from ccip_batch.job.problems import shown
from ccip_batch.job.spw_groups import SpwGroup, parse_groups

MOST = 2**31 - 1
"""The largest whole number that CASA takes."""

_NUMBER = r"\d+(\.\d*)?([eE][-+]?\d+)?"
_SWITCHES = {"yes": True, "on": True, "no": False, "off": False}
_STRINGS = {"type": "array", "items": {"type": "string"}}


def _matches(value: object, pattern: str, right: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not text; write {right}")
    text = value.strip()
    if not re.fullmatch(pattern, text):
        raise ValueError(f"{shown(value)} is not understood; write {right}")
    return text.replace(" ", "")


def _angle(value: object) -> str:
    """`'0.6arcsec'`, or a list of one or two equal ones as parameter lists have it (pixels are square)."""
    if isinstance(value, list | tuple):
        if len(value) not in (1, 2) or value[0] != value[-1]:
            raise ValueError(f"{shown(value)} is not one size; pixels are square, write one such as '0.6arcsec'")
        value = value[0]
    return _matches(value, rf"{_NUMBER} ?(mas|arcsec|arcmin|deg|rad)", "a number and its unit, such as '0.6arcsec'")


def _taper(value: object) -> list[str]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple) or len(value) not in (0, 1, 3):
        raise ValueError(
            f"{shown(value)} is not a taper; write ['2.6476arcsec'], ['bmaj', 'bmin', 'pa'], or [] for none"
        )
    pattern = rf"-?{_NUMBER} ?(mas|arcsec|arcmin|deg|rad|lambda|klambda|Mlambda)"
    return [_matches(part, pattern, "a number and its unit, such as '2.6476arcsec'") for part in value]


def _flux(value: object) -> str:
    return _matches(value, rf"{_NUMBER} ?(uJy|mJy|Jy)(/beam)?", "a number and its unit, such as '0.5mJy'")


def _frequency(value: object) -> str:
    return _matches(value, rf"{_NUMBER} ?(Hz|kHz|MHz|GHz)", "a number and its unit, such as '3.0GHz'")


def _uvrange(value: object) -> str:
    return _matches(value, r"[-<>~0-9.,a-zA-Z ]*", "a CASA uv range such as '<12km' or '0.1~12km'; '' for all")


def _imsize(value: object) -> list[int]:
    sides = list(value) if isinstance(value, list | tuple) else [value, value]
    if len(sides) == 1:
        sides *= 2
    whole = [side for side in sides if isinstance(side, int) and not isinstance(side, bool)]
    if len(sides) != 2 or len(whole) != 2:
        raise ValueError(f"{shown(value)} is not an image size; write [12500, 12500], or 12500 for a square")
    if any(side % 2 or not 16 <= side <= 100_000 for side in whole):
        raise ValueError(f"{shown(value)}: each side must be an even number of pixels from 16 to 100000")
    return whole


def _duration(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = float(min(value, MOST))
    else:
        right = "seconds, or a number and its unit (s, min, h, d), such as '1h'"
        found = re.fullmatch(r"([0-9.]+)([a-z]+)", _matches(value, r"\d+(\.\d+)? ?(s|min|h|d)", right))
        assert found is not None
        seconds = float(found[1]) * {"s": 1, "min": 60, "h": 3600, "d": 24 * 3600}[found[2]]
    if seconds < 1 or seconds > 30 * 24 * 3600:
        raise ValueError(f"{shown(value)} is not between one second and 30 days")
    return round(seconds)


def _memory(value: object) -> object:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and re.fullmatch(rf"\s*{_NUMBER} ?[kKMGT]i?B\s*", value)):
        raise ValueError(f"{shown(value)} is not an amount of memory; write a number and its unit, such as '12 GB'")
    return value


def _enough(value: ByteSize) -> ByteSize:
    if not 100_000_000 <= value <= 10**15:
        raise ValueError(
            f"{shown(int(value))} bytes are too few for CASA, or too many; write a number and its unit, such as '12 GB'"
        )
    return value


def _spws(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{shown(value)} is not a list; write a list of spw numbers such as [3, 4]")
    spws = []
    for item in value:
        text = shown(item).strip("' ")
        if isinstance(item, bool) or not (text.isascii() and text.isdigit() and len(text) < 5):
            raise ValueError(f"{shown(item)} is not an spw number; write a list of spw numbers such as [3, 4]")
        spws.append(int(text))
    if len(set(spws)) != len(spws):
        raise ValueError(f"{shown(value)} names an spw twice; keep one")
    return tuple(spws)


def _groups(value: object) -> object:
    return parse_groups(value)


def _path(value: Any, info: ValidationInfo) -> object:
    """An absolute path. A relative one starts at the folder of the file in which it stands."""
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise ValueError(f"{shown(value)} is not a path; write the path of a file, absolute or relative to this one")
    base = Path((info.context or {}).get("base", "."))
    return (base / at_home(str(value))).absolute()


def at_home(path: str) -> Path:
    """A path whose `~` stands for somebody's home; that of nobody who is known here is left as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111, Path's raises for those


def _normal(value: Path) -> Path:
    """Without `.` and `..`. Links are kept, because names are taken from paths."""
    parts: list[str] = []
    for part in value.parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part != "..":
            parts.append(part)
    return Path(*parts)


def _container(value: Any, info: ValidationInfo) -> object:
    if isinstance(value, str) and re.match(r"[a-z]+://", value):
        return value
    return str(_normal(Path(str(_path(value, info)))))


def _switch(value: object) -> object:
    """Words for true and false, which YAML 1.1 has several of."""
    return _SWITCHES.get(value.lower(), value) if isinstance(value, str) else value


def _phase_centre(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text; write it like 'J2000 13:33:35.814 +16.44.04.255'")
    parse_phase_centre(value)
    return " ".join(value.split())


PhaseCentre = Annotated[str, BeforeValidator(_phase_centre)]
InputPath = Annotated[
    Path, BeforeValidator(_path), AfterValidator(_normal), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
Container = Annotated[str, BeforeValidator(_container)]
SpwGroups = Annotated[
    tuple[SpwGroup, ...],
    BeforeValidator(_groups),
    PlainSerializer(lambda groups: [group.selection for group in groups]),
    WithJsonSchema({"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 1}),
]
Spws = Annotated[
    tuple[int, ...],
    BeforeValidator(_spws),
    WithJsonSchema({"type": "array", "items": {"type": ["integer", "string"]}}),
]
Angle = Annotated[str, BeforeValidator(_angle)]
Taper = Annotated[tuple[str, ...], BeforeValidator(_taper), WithJsonSchema({"anyOf": [{"type": "string"}, _STRINGS]})]
Flux = Annotated[str, BeforeValidator(_flux)]
Frequency = Annotated[str, BeforeValidator(_frequency)]
UvRange = Annotated[str, BeforeValidator(_uvrange)]
ImageSize = Annotated[
    tuple[int, int],
    BeforeValidator(_imsize),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}),
]
MEMORY_EXAMPLE = "12 GB"
Memory = Annotated[
    ByteSize,
    BeforeValidator(_memory),
    AfterValidator(_enough),
    WithJsonSchema({"type": ["string", "integer"], "examples": [MEMORY_EXAMPLE]}),
]
DURATION_EXAMPLE = "2h"
Duration = Annotated[
    int,
    BeforeValidator(_duration),
    WithJsonSchema({"type": ["string", "integer"], "examples": [DURATION_EXAMPLE]}),
]
Count = Annotated[int, Field(strict=True, ge=1, le=MOST)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
Switch = Annotated[bool, Field(strict=True), BeforeValidator(_switch)]
Scales = Annotated[tuple[Annotated[int, Field(strict=True, ge=0, le=MOST)], ...], Field(min_length=1)]
