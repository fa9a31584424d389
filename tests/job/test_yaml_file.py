"""YAML files that know their lines: what is refused, where a key stands, overrides."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.input_files import JOB, make_job, refused

from ccip_batch.job.problems import Problem
from ccip_batch.job.yaml_file import YamlFile


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (JOB + JOB, "job.yaml:6: inputs: is given twice, first on line 1. Keep one."),
        (JOB + "imaging:\n  niter: 1\n  niter: 2\n", "job.yaml:8: imaging.niter: is given twice, first on line 7"),
        (JOB + "imaging: &a\n  niter: 1\nprediction: *a\n", "job.yaml:6: is used again through an alias"),
        (JOB + "imaging: [\n", "is not valid YAML"),
        ("- inputs\n", "is not a mapping"),
        ("", "job.yaml: is empty. Begin with `inputs:`"),
        ("# nothing yet\n", "job.yaml: is empty. Begin with `inputs:`"),
        (JOB + "imaging: !!python/object/apply:os.getcwd []\n", "imaging: this has the tag !!python/object/apply:os."),
        (JOB + "imaging: {? [a] : 1}\n", "job.yaml:6: a list or a section is not a key"),
        (JOB + "3: 4\n", "'3' is not a key"),
    ],
)
def test_a_text_is_refused(tmp_path: Path, text: str, says: str) -> None:
    job = make_job(tmp_path)
    job.write_text(text)
    assert says in refused(job)


def test_a_section_given_twice_is_one_problem(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    job.write_text(JOB + JOB)
    assert "problems" not in refused(job)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("niter", "command line: 'niter' sets no key. Write KEY.SUB=VALUE"),
        ("imaging..niter=3", "sets no key"),
        ("imaging.nitr=3", "command line: imaging.nitr: unknown key"),
        ("imaging.spw=[", "command line: imaging.spw: '[' is not a valid YAML value"),
        ("inputs.vis.name=3", "vis is not a section"),
    ],
)
def test_an_override_is_refused(tmp_path: Path, override: str, says: str) -> None:
    assert says in refused(make_job(tmp_path), override)


def read(folder: Path, text: str, *overrides: str) -> YamlFile:
    path = folder / "job.yaml"
    path.write_text(text)
    problems: list[Problem] = []
    found = YamlFile.read(path, problems)
    assert found is not None
    for override in overrides:
        found.override(override, problems)
    assert problems == []
    return found


def test_the_place_of_a_key_is_its_line_or_that_of_the_section_around_it(tmp_path: Path) -> None:
    found = read(tmp_path, "a:\n  b: 1\n  c:\n    - 2\n    - d: 3\n")
    places = {("a", "b"): 2, ("a", "c", 1, "d"): 5, ("a", "c", 0): 3, ("a", "nowhere"): 1}
    for key, line in places.items():
        assert found.where(key) == f"{tmp_path}/job.yaml:{line}", key
    assert found.where(("nowhere",)) == f"{tmp_path}/job.yaml"


def test_an_override_has_its_place_on_the_command_line(tmp_path: Path) -> None:
    found = read(tmp_path, "a:\n  b: 1\n", "a.b=[2, 3]", "new.section.key=x")
    assert found.data == {"a": {"b": [2, 3]}, "new": {"section": {"key": "x"}}}
    for key in (("a", "b"), ("a", "b", 1), ("new", "section", "key"), ("new",)):
        assert found.where(key) == "command line", key
    assert found.where(("a",)) == f"{tmp_path}/job.yaml:1"
