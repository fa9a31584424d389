"""The keys of a site profile described for people (docs/site_profile.md), made from the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from ccip_batch.engines.htcondor.sites import Site
from ccip_batch.job.option_types import DURATION_EXAMPLE, MEMORY_EXAMPLE
from ccip_batch.job.options_page import accepts, written

_HEAD = """\
# The site profile

One YAML file is one pool. `condor/sites/` has the examples; `docs/cluster.md` says how you make one of your own, and
what its limits do when something goes wrong. `ccip-batch validate` and `ccip-batch plan` check the profile that
`execution.site` of the job names.

* A time is a number and its unit (s, min, h, d), such as `2h`, or whole seconds.
* A size is a number and its unit, such as `12 GB`, or whole bytes.
* `accounting.group` is written `accounting: {group: ...}`, or as in the examples on two lines.
* An unknown key, or a value of the wrong type, is an error that names its line.

| key | value | default | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The text of docs/site_profile.md."""
    rows = (f"| `{key}` | {value} | {default} | {meaning} |" for key, value, default, meaning in site_keys())
    return _HEAD + "\n".join(rows) + "\n"


def site_keys() -> Iterator[tuple[str, str, str, str]]:
    """Key, accepted values, default and meaning of each key of a profile."""
    schema = Site.model_json_schema()
    yield from _section("", Site, schema["properties"], schema["$defs"])


def _section(
    prefix: str, section: type[BaseModel], properties: dict[str, Any], definitions: dict[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    for name, field in section.model_fields.items():
        key, inner = f"{prefix}{name}", field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _section(f"{key}.", inner, definitions[inner.__name__]["properties"], definitions)
        else:
            default = "required" if field.is_required() else _default(field.get_default(), properties[name])
            yield key, _accepts(properties[name]), default, field.description or ""


def _accepts(item: dict[str, Any]) -> str:
    """What a key takes; times and sizes, which may be text or a number, by these names."""
    text, schema = accepts(item), json.dumps(item)
    for example, word in ((DURATION_EXAMPLE, "time"), (MEMORY_EXAMPLE, "size")):
        if json.dumps([example]) in schema:
            return text.replace("text or whole number", word)
    return text


def _default(value: object, item: dict[str, Any]) -> str:
    """A default as one would write it into a profile."""
    if isinstance(value, int) and DURATION_EXAMPLE in item.get("examples", ()):
        seconds, unit = next((size, unit) for size, unit in _UNITS if value % size == 0)
        return f"`{value // seconds}{unit}`"
    return "none" if value == {} else written(value)


_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


if __name__ == "__main__":
    print(page(), end="")
