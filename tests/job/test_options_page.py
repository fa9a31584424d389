"""The page of options and the JSON schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccip_batch.job import options_page
from ccip_batch.job.config import Job

PAGE = Path(__file__).parents[2] / "docs/config.md"


def test_the_option_page_tells_the_truth() -> None:
    """After a change of an option: `python -m ccip_batch.job.options_page > docs/config.md`."""
    assert PAGE.read_text() == options_page.page()


def test_every_option_is_described() -> None:
    schema = options_page.schema()
    sections = [schema, *schema["$defs"].values()]
    for section in sections:
        assert section["additionalProperties"] is False
        for name, item in section["properties"].items():
            assert item["description"].endswith("."), name
    described = {key.split(".")[0] for key, *_ in options_page.options()}
    assert described == set(Job.model_fields)


@pytest.mark.parametrize(
    ("key", "accepts", "default"),
    [
        ("inputs.vis", "text", "required"),
        ("imaging.niter", "whole number ≥ 0", "`20000`"),
        ("imaging.nsigma", "number ≥ 0", "iter1 `3.0`, iter2 `3.0`, iter3 `4.5`"),
        ("imaging.cycleniter", "whole number ≥ 1", "`500`"),
        ("imaging.cycleniter_final_image_nomask", "whole number ≥ 1", "`100`"),
        ("imaging.weighting", "`briggs`, `natural`, `uniform`", "`briggs`"),
        ("imaging.scales", "list of whole numbers ≥ 0", "`[0, 5, 12]`"),
        ("imaging.iter3", "section", "none"),
        ("prediction.robust", "number ≥ -2, ≤ 2", "`-2.0`"),
        ("plane_rejection.before_imaging.apply", "true or false", "`true`"),
        ("execution.workers", "whole number ≥ 1", "none"),
    ],
)
def test_values_and_defaults_of_an_option(key: str, accepts: str, default: str) -> None:
    """Defaults are those of tclean's table, written out here once more."""
    found = {name: (values, value) for name, values, value, _ in options_page.options()}
    assert found[key] == (accepts, default)
