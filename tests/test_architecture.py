"""The house is as docs/architecture.md draws it, and nothing in it is too big."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ccip_batch"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
MOST_ENTRIES = 20
MOST_LINES = 450
MOST_LINES_OF_A_FUNCTION = 60


def entries() -> set[str]:
    """What stands at the top of the package; an installed one also has the data folder `_files`."""
    return {path.name for path in PACKAGE.iterdir()} - {"__pycache__", "_files"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def drawn_floors() -> list[set[str]]:
    """The floors of the picture, from the top: the names at the beginning of each of its lines."""
    picture = PAGE.split("```")[1]
    return [set(names.split(", ")) for names in re.findall(r"^\| (\w+(?:, \w+)*) {2,}", picture, re.M)]


def contract() -> dict[str, object]:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return next(one for one in linter["contracts"] if one["type"] == "layers")


def test_the_picture_is_the_contract() -> None:
    layers = contract()["layers"]
    assert isinstance(layers, list)
    assert drawn_floors() == [set(layer.split(" | ")) for layer in layers]


def test_the_picture_has_every_room_of_the_folder() -> None:
    rooms = {name.removesuffix(".py") for name in entries()} - {"__init__"}
    assert set().union(*drawn_floors()) == rooms


def test_what_the_page_names_is_there() -> None:
    named = set(re.findall(r"`([a-z_]+(?:/[A-Za-z_]+)*(?:/|\.py|\.md))`", PAGE)) - {"products/"}
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).exists() and not (PACKAGE / name).exists()] == []


def test_every_folder_is_a_package() -> None:
    """The import linter sees no other."""
    folders = {path.parent for path in modules()}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_house_has_few_rooms() -> None:
    assert len(entries()) <= MOST_ENTRIES


def test_modules_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Place and number of lines of each function and method of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def test_functions_are_short() -> None:
    lengths = dict(found for path in modules() for found in functions(path))
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FUNCTION} == {}
