"""Values are checked against their types: each complaint has the place of the key and the remedy."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ccip_batch.job.problems import Problem, shown
from ccip_batch.job.yaml_file import Location

Checked = TypeVar("Checked", bound=BaseModel)
Where = Callable[[Location], str]
"""Finds the place of a key, such as `('imaging', 'spw')`: `file:line`."""


def validated(
    model: type[Checked], data: Any, context: dict[str, Any], where: Where, problems: list[Problem]
) -> Checked | None:
    """Validate data, and put each of pydantic's complaints into words. None if anything is wrong.

    model: the type that the data must have. data: what was read. context: for the validators; `base` is the folder of
    relative paths. where: finds the place of a key. problems: the complaints are added to these.
    """
    try:
        return model.model_validate(data, context=context)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            loc = tuple(part for part in item["loc"] if not str(part).startswith(("function-", "constrained-")))
            wrong, right = _explained(model, loc, dict(item))
            problems.append(Problem(where(loc), ".".join(str(part) for part in loc), wrong, right))
        return None


def _explained(model: type[BaseModel], loc: tuple[int | str, ...], item: dict[str, Any]) -> tuple[str, str]:
    kind = item["type"]
    parent, description = _describe(model, loc)
    if kind == "extra_forbidden":
        if loc == ("imaging", "iter0"):
            return "iter0 makes the dirty image and cleans nothing", "Its image is that of the other iterations."
        names = list(parent.model_fields)
        near = difflib.get_close_matches(str(loc[-1]), names, 1)
        return "unknown key", f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(names)}."
    if kind == "missing":
        return "is missing", description
    if kind == "value_error":
        wrong, _, right = str(item["ctx"]["error"]).partition("; ")
        return wrong, right[:1].upper() + right[1:] + ("." if right else "")
    if kind == "model_type":
        return f"{shown(item['input'])} is not a section with keys", description
    if kind == "string_pattern_mismatch":
        return f"{shown(item['input'])} does not have the right form", description
    if kind in ("int_type", "float_type") and isinstance(item["input"], str):
        description = _as_number(item["input"]) or description
    message = str(item["msg"])
    return f"{shown(item['input'])}: {message[:1].lower()}{message[1:]}", description


def _as_number(text: str) -> str:
    """How a number that was written as text is written; nothing if it is none. (`1e5` is text in YAML: no point.)"""
    try:
        value = float(text)
    except ValueError:
        return ""
    if not math.isfinite(value):
        return ""
    return f"Write {value:.0f}." if value == round(value) else f"Write {value}."


def _describe(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[type[BaseModel], str]:
    """The section that holds the last part of `loc`, and the description of that option."""
    parent, description = model, ""
    for name in loc:
        field = parent.model_fields.get(str(name))
        if field is None:
            break
        description = field.description or ""
        kinds = [field.annotation, *get_args(field.annotation)]
        section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if section is None:
            break
        if name is not loc[-1]:
            parent = section
    return parent, description
