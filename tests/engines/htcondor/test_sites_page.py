"""The page of all keys of a site profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccip_batch.engines.htcondor import sites_page
from ccip_batch.engines.htcondor.sites import Site

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_of_keys_tells_the_truth() -> None:
    """After a change of a key: `python -m ccip_batch.engines.htcondor.sites_page > docs/site_profile.md`."""
    assert (DOCS / "site_profile.md").read_text() == sites_page.page()


@pytest.mark.parametrize("page", ["cluster.md", "architecture.md"])
def test_it_is_linked(page: str) -> None:
    assert "docs/site_profile.md" in (DOCS / page).read_text()


def test_every_key_is_described() -> None:
    described = list(sites_page.site_keys())
    assert {key.split(".")[0] for key, *_ in described} == set(Site.model_fields)
    assert [key for key, *_, meaning in described if not meaning.endswith(".")] == []


@pytest.mark.parametrize(
    ("key", "accepts", "default"),
    [
        ("data", "`shared`, `transfer`", "required"),
        ("memory_limit", "size", "none"),
        ("release_after", "time", "`10min`"),
        ("held_limit", "time", "`7d`"),
        ("retries", "whole number ≥ 0, ≤ 10", "`2`"),
        ("margins.time", "number ≥ 1, ≤ 100", "`5`"),
        ("job_durations", "mapping of names to time", "none"),
        (
            "max_jobs",
            "mapping of `restore`, `image`, `analyze`, `export`, `publish` to whole number ≥ 1",
            "none",
        ),
        ("accounting.project", "text", "none"),
    ],
)
def test_values_and_defaults_of_a_key(key: str, accepts: str, default: str) -> None:
    found = {name: (values, value) for name, values, value, _ in sites_page.site_keys()}
    assert found[key] == (accepts, default)
