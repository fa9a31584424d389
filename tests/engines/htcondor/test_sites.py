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
        ("urls: {/data: 'osdf:///x'}", "urls: no file is transferred with `data: shared`.*data: transfer"),
        ("environment: {HOME: /tmp, CCIP_CORES: '8', MINE: '1'}", "environment: CCIP_CORES, HOME: set by ccip_batch"),
        ("environment: {CCIP_CHECKPOINT_EXIT: '1'}", "environment: CCIP_CHECKPOINT_EXIT: set by ccip_batch"),
        ("retries: true", "retries: True: "),
        ("most_holds: true", "most_holds: True: "),
        ("margins: {time: true}", "margins.time: True: "),
        ("needs_container: 1", "needs_container: 1: "),
        ("most_cores: true", "most_cores: True: "),
        ("htcondor: 24.0", 'htcondor: 24.0 is not a full version.*in quotes, such as "24.0.19"'),
    ],
)
def test_what_is_wrong_is_named(line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = line.partition(":")[0]
    kept = "".join(f"{old}\n" for old in MINE.splitlines() if not old.startswith(f"{key}:"))
    (tmp_path / "mine.yaml").write_text(f"{kept}{line}\n")
    monkeypatch.setenv("CCIP_SITES", str(tmp_path))
    with pytest.raises(ConfigError, match=rf"mine\.yaml:\d+: {said}"):
        load_site("mine")


@pytest.mark.parametrize("content", [b"", b"- a\n", b"\xff\xfe", b"x" * 1_000_001])
def test_the_remedy_is_about_the_profile(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_bytes(content)
    monkeypatch.setenv("CCIP_SITES", str(tmp_path))
    with pytest.raises(ConfigError, match=r"mine\.yaml.*A profile begins with `description:`") as told:
        load_site("mine")
    assert "inputs" not in str(told.value) and "job config" not in str(told.value)


def test_a_folder_of_profiles_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CCIP_SITES", str(tmp_path / "mistyped"))
    with pytest.raises(ConfigError, match="mistyped is not a folder"):
        load_site("nrao")


def test_of_folders_inside_each_other_the_inner_one_counts(tmp_path: Path) -> None:
    site = load_site("local").model_copy(update={"urls": {"/e/data": "osdf:///a", "/e/data/b": "osdf:///b"}})
    assert site.url_of(Path("/e/data/b/x y")) == "osdf:///b/x%20y"
    assert site.url_of(Path("/e/data/c")) == "osdf:///a/c" and site.url_of(Path("/e/database")) is None
