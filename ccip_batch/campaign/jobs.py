"""The job config of a square: the template of the campaign with what its row says."""

from __future__ import annotations

import copy
import glob
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ccip_batch.campaign.config import Campaign
from ccip_batch.campaign.table import INPUTS, Square, place
from ccip_batch.errors import ConfigError
from ccip_batch.job.config import JobFile, job_file
from ccip_batch.job.option_types import at_home
from ccip_batch.job.problems import Problem, failure, shown
from ccip_batch.job.yaml_file import Location, read_value
from ccip_batch.records import write_whole

_LONGEST_NAME = 255
"""Bytes in the name of a file or folder, on all common file systems."""
_FIELD = re.compile(r"\{([^{}]*)\}")


def square_job(campaign: Campaign, square: Square, problems: list[Problem]) -> tuple[JobFile, dict[str, Any]]:
    """The job config of a square, and its content. What is wrong is added to `problems`, by row and column."""
    table = campaign.config.table
    row = place(table, square.row, square.name)

    def where(loc: Location) -> str:
        """The row, if it says what is there or if every row has its own; otherwise the template."""
        dotted = ".".join(map(str, loc))
        of_row = loc[:1] == ("inputs",) or any(f"{dotted}.".startswith(f"{column}.") for column in square.cells)
        return row if of_row else campaign.where(("job", *loc))

    data = copy.deepcopy(campaign.config.job)
    inputs = data.setdefault("inputs", {})
    if isinstance(inputs, dict):
        for key, value in inputs.items():
            if isinstance(value, str) and key not in square.cells:
                inputs[key] = _filled_path(
                    value, square, campaign.path.parent, Problem(row, f"inputs.{key}", ""), problems
                )
        for column in INPUTS:
            if column in square.cells:
                inputs[column] = str(table.parent / at_home(square.cells[column]))
    for column, cell in square.cells.items():
        if "." in column:
            _set(data, column, cell, row, problems)
    return job_file(data, campaign.path.parent, where, problems), data


def write_square_job(campaign: Campaign, square: Square) -> Path:
    """Write the job config of a square, with absolute paths; gives its path. Raises ConfigError or DataError."""
    problems: list[Problem] = []
    read, data = square_job(campaign, square, problems)
    if problems:
        raise failure(problems)
    data["inputs"] = {key: str(path) for key, path in read.inputs.items()}
    path = campaign.folder.job(square.name, square.tile)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = f"# {square.name}: row {square.row} of {campaign.config.table.name}. Written by ccip-batch campaign.\n"
    write_whole(path, written + yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return path


def products_folder(campaign: Campaign, square: Square) -> Path | None:
    """Where the products of a square go; None if they stay. Raises ConfigError if there can be no such folder."""
    if campaign.config.products is None:
        return None
    problems: list[Problem] = []
    row = place(campaign.config.table, square.row, square.name)
    text = filled(campaign.config.products, square, Problem(row, "products", ""), problems)
    if problems:
        raise failure(problems)
    folder, target = campaign.folder, campaign.path.parent / at_home(text)
    if "\0" in text or any(len(os.fsencode(part)) > _LONGEST_NAME for part in target.parts):
        raise ConfigError(f"{row}: products: {shown(text)} cannot be the name of a folder. Give another folder.")
    for own in (folder.squares, folder.dag):
        if target.resolve().is_relative_to(own):
            raise ConfigError(f"{row}: products: {target} is in {own}, where much is removed. Give another folder.")
    return target


def filled(text: str, square: Square, about: Problem, problems: list[Problem]) -> str:
    """A text with the cells of a row in it. about: the place and the key, for messages."""
    values: Mapping[str, str] = {**square.cells, "name": square.name, "tile": square.tile}

    def cell(match: re.Match[str]) -> str:
        name = match[1]
        if name in values and not {"..", "."} & set(Path(values[name]).parts):
            return values[name]
        wrong = (
            f"{{{name}}} stands for a column that the row has nothing in"
            if name not in values
            else (f"{{{name}}} is {shown(values[name])}, which leaves its folder")
        )
        right = f"The row has {', '.join(sorted(values))}."
        problems.append(Problem(about.where, about.key, wrong, right))
        return ""

    return _FIELD.sub(cell, text)


def _filled_path(text: str, square: Square, base: Path, about: Problem, problems: list[Problem]) -> str:
    """A path with the cells of a row in it, and with the one name that its pattern stands for."""
    before, is_pattern = len(problems), any(sign in text for sign in "*?")
    if is_pattern:  # cells stand for themselves
        square = replace(square, cells={name: glob.escape(cell) for name, cell in square.cells.items()})
    path = filled(text, square, about, problems)
    if len(problems) > before or not is_pattern:
        return path
    pattern = at_home(path)
    root = Path("/") if pattern.is_absolute() else base
    try:
        found = sorted(map(str, root.glob(str(pattern).lstrip("/"))))
    except ValueError as error:
        problems.append(Problem(about.where, about.key, f"{shown(path)}: {error}", "Correct the pattern."))
        return path
    if len(found) != 1:
        wrong = f"{path} stands for {len(found)} files" + (f", such as {found[0]} and {found[1]}" if found else "")
        problems.append(Problem(about.where, about.key, wrong, "It must stand for one: make the pattern narrower."))
        return path
    return found[0]


def _set(data: dict[str, Any], column: str, cell: str, row: str, problems: list[Problem]) -> None:
    """Set the option that a column names."""
    *sections, name = column.split(".")
    for section in sections:
        inner = data.get(section)
        if inner is None:
            inner = data[section] = {}
        if not isinstance(inner, dict):
            problems.append(Problem(row, column, f"{section} is not a section", "Name the column after an option."))
            return
        data = inner
    data[name] = read_value(cell, Problem(row, column, "", "Write it as in a job config."), problems)
