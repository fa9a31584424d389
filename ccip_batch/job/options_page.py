"""The job config described for people (docs/config.md) and for editors (a JSON schema), both made from the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from ccip_batch.job import tclean_table
from ccip_batch.job.config import CleanParameters, Imaging, Job, Prediction
from ccip_batch.job.spw_groups import SpwGroup

_HEAD = """\
# The job config

One YAML file is one job: one PIMS, one square degree. `configs/` holds commented examples,
`ccip-batch validate JOB.yaml` checks one, and `ccip-batch schema` prints a JSON schema for editors.

* Relative paths start at the folder of the file, also with `--set`; those of `--container` and `--run-dir` start at the
  current folder.
* Of these the last one wins: **default < parameter list < job config < command line** (`--set KEY.SUB=VALUE`). In
  NRAO's pipeline a value of a parameter list wins over the arguments of a task; here it does not.
* `spw` is a list with one string per plane: `['2', '3,4']` makes two planes, the second from spws 3 and 4 together.
  Plain numbers and extra spaces are accepted. A bare string, a range (`'1~4'`), a channel selection (`'2:0~15'`), and
  an spw given twice are errors. Without `spw`, there is a plane for each science spw of SE-CONT.
* Options that define the image (imsize, cell, robust, uvrange, uvtaper, weighting, pblimit, psfcutoff) hold for all
  iterations, because psf and weights are made once. Options that control the cleaning hold for iter1 to iter3;
  `imaging.iter3.nsigma` is for iter3 alone. iter0 makes the dirty image and cleans nothing. `cycleniter` holds for
  iter1 and iter2, as in a parameter list; iter3 has `cycleniter_final_image_nomask` (or `imaging.iter3.cycleniter`,
  which means the same).
* An unknown key, a key given twice, or a value of the wrong type is an error; `ccip-batch validate` lists all of them
  at once. YAML aliases are refused.
* A parameter list has one `key = <python literal>` per line. It is read, never executed. A key that is not used here
  gives a warning.
* Nothing under `execution` changes a product.

| option | value | default | meaning |
|---|---|---|---|
"""


def schema() -> dict[str, Any]:
    """The JSON schema of the job config."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Job.model_json_schema(),
        "title": "ccip_batch job",
    }


def page() -> str:
    """The text of docs/config.md. Its table of options is made from the model and the tclean table."""
    rows = (f"| `{key}` | {value} | {default} | {meaning} |" for key, value, default, meaning in options())
    return _HEAD + "\n".join(rows) + "\n"


def options() -> Iterator[tuple[str, str, str, str]]:
    """Key, accepted values, default and meaning of each option."""
    definitions = schema()["$defs"]
    for name, field in Job.model_fields.items():
        section = field.annotation
        assert isinstance(section, type) and issubclass(section, BaseModel)
        yield from _section(name, section, definitions)


def _section(prefix: str, section: type[BaseModel], definitions: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    properties = definitions[section.__name__]["properties"]
    for name, field in section.model_fields.items():
        key, meaning = f"{prefix}.{name}", field.description or ""
        inner = field.annotation
        if inner is CleanParameters:
            yield key, "section", "none", f"{meaning} Keys: {', '.join(f'`{item}`' for item in inner.model_fields)}."
        elif isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _section(key, inner, definitions)
        else:
            default = "required" if field.is_required() else _default(section, name, field.get_default())
            yield key, accepts(properties[name]), default, meaning


_ITERATIONS_OF = {
    "cycleniter": ("cycleniter", slice(1, 3)),
    "cycleniter_final_image_nomask": ("cycleniter", slice(3, 4)),
    "pbmask": ("pbmask", slice(3, 4)),
}
"""tclean's name, and the iterations, of those options of `imaging` that are not for iter1 to iter3."""


def _default(section: type[BaseModel], name: str, default: object) -> str:
    if section is Prediction:
        default = tclean_table.PREDICTION[name]
    elif section is Imaging and name != "spw":
        parameter, iterations = _ITERATIONS_OF.get(name, (name, slice(1, 4)))
        values = [call.get(parameter) for call in tclean_table.ITERATIONS[iterations]]
        if all(value == values[0] for value in values):
            default = values[0]
        else:
            return ", ".join(f"iter{n} `{value}`" for n, value in enumerate(values, 1))
    elif section is Imaging:
        return "the parameter list's"
    if isinstance(default, tuple):
        default = [item.selection if isinstance(item, SpwGroup) else item for item in default]
    return written(default)


def written(default: object) -> str:
    """A default as it is written in YAML."""
    return "none" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"


_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "array": "list"}


def accepts(item: dict[str, Any]) -> str:
    """What an option or a key of a profile takes, from its part of the schema."""
    if "enum" in item:
        return ", ".join(f"`{choice}`" for choice in item["enum"])
    if "anyOf" in item:
        return " or ".join(dict.fromkeys(accepts(part) for part in item["anyOf"] if part.get("type") != "null"))
    if item["type"] == "object":
        names = item.get("propertyNames", {}).get("enum")
        values = item.get("additionalProperties") or next(iter(item["patternProperties"].values()))
        return f"mapping of {', '.join(f'`{name}`' for name in names) if names else 'names'} to {accepts(values)}"
    kinds = item["type"] if isinstance(item["type"], list) else [item["type"]]
    text = " or ".join(_KINDS[kind] for kind in kinds)
    if "items" in item:
        kind, _, bounds = accepts(item["items"]).partition(" ≥")
        text += f" of {' or '.join(part + 's' for part in kind.split(' or '))}" + (f" ≥{bounds}" if bounds else "")
    limits = [f"{sign} {item[name]}" for name, sign in _BOUNDS.items() if name in item and abs(item[name]) < 2**31 - 1]
    return " ".join([text, ", ".join(limits)]).strip()


if __name__ == "__main__":
    print(page(), end="")
