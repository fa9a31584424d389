"""Site profiles: those of the package, the user's own, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccip_batch.engines.htcondor.sites import known_sites, load_site
from ccip_batch.errors import ConfigError

MINE = "description: Ours\nhtcondor: 24.0.1\ndata: shared\n"


def test_sites_of_the_package() -> None:
    assert {"container", "local", "nrao", "ospool"} <= set(known_sites())
    assert [load_site(name).data for name in ("local", "nrao", "ospool")] == ["shared", "shared", "transfer"]


def test_a_site_of_the_users_needs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    (tmp_path / "nrao.yaml").write_text(MINE)
    monkeypatch.setenv("CCIP_SITES", str(tmp_path))
    assert load_site("mine").description == "Ours"
    assert load_site("nrao").description == "Ours"


def test_unknown_site_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown site 'lofar'.*container, local, nrao.*lofar\.yaml.*CCIP_SITES"):
        load_site("lofar")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("data: nfs", "data"),
        ("retries: 99", "retries"),
        ("colour: blue", "colour"),
        ("retires: 3", "retires.*Did you mean .?retries"),
        ("htcondor: newest", "htcondor"),
        ('submit: {requirements: "a\\nqueue 5"}', "submit.requirements"),
        ("environment: {A: 'b \"c'}", "environment.A"),
        ("python: /opt/my python", "python"),
        ('submit: {requirements: "a == 1 \\\\"}', "submit.requirements"),
        ("submit: {log: other.log}", "submit: .*log: set by ccip_batch itself"),
        ("job_durations: {Long: 40h, Medium: 20h}", "job_durations: .*shortest first"),
        ("urls: {/data: 'https://me:secret@host/x'}", "urls"),
        ("urls: {/data: 'https://host/x?authz=token'}", "urls"),
        ("urls: {data: 'osdf:///x'}", "urls"),
    ],
)
def test_what_is_wrong_is_named(line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = line.partition(":")[0]
    kept = "".join(f"{old}\n" for old in MINE.splitlines() if not old.startswith(f"{key}:"))
    (tmp_path / "mine.yaml").write_text(f"{kept}{line}\n")
    monkeypatch.setenv("CCIP_SITES", str(tmp_path))
    with pytest.raises(ConfigError, match=rf"mine\.yaml:\d+: {said}"):
        load_site("mine")


def test_a_folder_of_profiles_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CCIP_SITES", str(tmp_path / "mistyped"))
    with pytest.raises(ConfigError, match="mistyped is not a folder"):
        load_site("nrao")


def test_of_folders_inside_each_other_the_inner_one_counts(tmp_path: Path) -> None:
    site = load_site("local").model_copy(update={"urls": {"/e/data": "osdf:///a", "/e/data/b": "osdf:///b"}})
    assert site.url_of(Path("/e/data/b/x y")) == "osdf:///b/x%20y"
    assert site.url_of(Path("/e/data/c")) == "osdf:///a/c" and site.url_of(Path("/e/database")) is None
