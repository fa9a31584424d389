"""What the values of a YAML file mean.

YAML 1.1 takes `2:00` for 120, `020000` for 8192, `12_13` for 1213, `no` for false and `2026-01-02` for a date. Here a
number is decimal and anything else that looks like one is refused; only `true` and `false` are switches, and all other
plain words are the text that was written.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_TEXT, _NULL, _BOOL, _INT, _FLOAT, _DATE, _LIST, _SECTION = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "null", "bool", "int", "float", "timestamp", "seq", "map")
)
_SWITCH = re.compile(r"true|True|TRUE|false|False|FALSE")
_NOTHING = re.compile(r"~|null|Null|NULL|")
_DECIMAL = re.compile(r"[-+]?(0|[1-9]\d*)")
_REAL = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?")
_MOST_DIGITS = 18
_FORMS = (
    (r"[-+]?0[xX][0-9a-fA-F_]+", "hexadecimal", 16),
    (r"[-+]?0[bB][01_]+", "binary", 2),
    (r"[-+]?0[oO]?[0-7_]+", "octal", 8),
)


class Loader(yaml.SafeLoader):
    """Reads YAML with fewer surprises: see the module."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag not in (_BOOL, _DATE)]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(_BOOL, _SWITCH, list("tTfF"))
Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?0o[0-7_]+"), list("-+0"))


def construct(node: yaml.Node) -> Any:
    """The value of a node. Raises YAMLError or ValueError if it has none."""
    loader = Loader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def surprise(node: yaml.Node) -> tuple[str, str] | None:
    """What is wrong with a value that means something else than it says, and what to write; None if nothing is.

    Such are numbers of YAML 1.1, and all tags (`!!set`, `!!timestamp`) but those that say what is there anyway.
    """
    if isinstance(node, yaml.CollectionNode):
        plain = node.tag == (_SECTION if isinstance(node, yaml.MappingNode) else _LIST)
        return None if plain else _of_tag(node)
    text = node.value
    if node.tag == _TEXT or (node.tag == _BOOL and _SWITCH.fullmatch(text)):
        return None
    if node.tag == _NULL and _NOTHING.fullmatch(text):
        return None
    if node.tag not in (_INT, _FLOAT):
        return _of_tag(node)
    if node.tag == _INT and _DECIMAL.fullmatch(text):
        if len(text) <= _MOST_DIGITS:
            return None
        return f"{_short(text)} has {len(text)} digits", "No option takes such a number: write fewer."
    if node.tag == _FLOAT and _REAL.fullmatch(text):
        return None
    wrong, number = _meaning(text)
    as_text = f"'{text}' in quotes if it is text"
    return f"{_short(text)} {wrong}", f"Write {number}, or {as_text}." if number else f"Write a number, or {as_text}."


def _of_tag(node: yaml.Node) -> tuple[str, str]:
    """That the tag of a value does not go with it. `=` alone has one, too."""
    name = node.tag.replace("tag:yaml.org,2002:", "!!")
    value = f"{_short(node.value)!r}" if isinstance(node, yaml.ScalarNode) else "this"
    return f"{value} has the tag {_short(name)}", "Write plain values, without tags, or text in quotes."


def _meaning(text: str) -> tuple[str, str]:
    """What YAML 1.1 makes of a number, and what to write instead."""
    if "inf" in text.lower() or "nan" in text.lower():
        return "is not a number that can be used", ""
    if ":" in text:
        return "would be read as a number of base 60", _of_base_60(text.replace("_", ""))
    for form, name, base in _FORMS:
        if re.fullmatch(form, text):
            digits = text.replace("_", "")
            meant = [str(int(re.sub(r"0[xXbBoO]", "", digits), base))]
            if digits.isdigit():  # zeros before a number are not always there to make it octal
                meant.insert(0, str(int(digits)))
            return f"would be read as {name}", " or ".join(dict.fromkeys(meant))
    if "_" in text:
        return "would be read without its underscores", text.replace("_", "")
    return "is not a decimal number", ""


def _of_base_60(text: str) -> str:
    """A number as YAML 1.1 counts it: `1:30` is 90."""
    total = 0.0
    for part in text.lstrip("+-").split(":"):
        total = total * 60 + float(part)
    return f"{'-' if text.startswith('-') else ''}{total:.15g}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
