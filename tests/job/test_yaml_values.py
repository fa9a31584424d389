"""Values that YAML 1.1 reads otherwise than they are meant: refused by name, or read as they were written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.campaigns import TEMPLATE, make_campaign
from helpers.input_files import JOB, make_job, refused

from ccip_batch.campaign.config import load_campaign
from ccip_batch.campaign.jobs import write_square_job
from ccip_batch.campaign.table import find_square
from ccip_batch.engines.htcondor.sites import read_site
from ccip_batch.errors import ConfigError
from ccip_batch.job.config import load_job
from ccip_batch.job.problems import Problem
from ccip_batch.job.yaml_file import read_value

NUMBERS = {
    "2:00": "base 60. Write 120",
    "1:30.5": "base 60. Write 90.5",
    "-190:20:30.15": "base 60. Write -685230.15",
    "020000": "octal. Write 20000 or 8192",
    "0o17": "octal. Write 15",
    "0x1F": "hexadecimal. Write 31",
    "0b11": "binary. Write 3",
    "12_13": "without its underscores. Write 1213",
    "1_000.5": "without its underscores. Write 1000.5",
    ".inf": "not a number that can be used",
    "-.Inf": "not a number that can be used",
    ".NaN": "not a number that can be used",
    "9" * 30: "has 30 digits",
}


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_is_not_decimal_is_refused_in_a_file_and_on_the_command_line(tmp_path: Path, number: str) -> None:
    job = make_job(tmp_path, f"imaging:\n  niter: {number}\n")
    told = refused(job)
    assert f"{job}:7: imaging.niter: {number}" in told and NUMBERS[number] in told
    job.write_text(JOB)
    told = refused(job, f"imaging.niter={number}")
    assert f"command line: imaging.niter: {number}" in told and NUMBERS[number] in told


def test_in_a_list_and_in_a_section_of_the_command_line(tmp_path: Path) -> None:
    job = make_job(tmp_path, "imaging:\n  spw: [2, 12_13]\nexecution: {time_limit: 2:00}\n")
    told = refused(job)
    assert f"{job}:7: imaging.spw.1: 12_13 would be read" in told and f"{job}:8: execution.time_limit: 2:00" in told
    job.write_text(JOB)
    assert "command line: imaging.niter: 010 would be read as octal" in refused(job, "imaging={niter: 010}")
    assert "command line: imaging.niter: is given twice. Keep one." in refused(job, "imaging={niter: 1, niter: 2}")


def test_in_site_profiles(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("htcondor: 23.9.6\ndata: shared\nmemory_limit: 64_000_000_000\n")
    with pytest.raises(ConfigError, match=r"site\.yaml:3: memory_limit: 64_000_000_000 would be read without its"):
        read_site(site)


def test_in_campaigns(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a,020000"], header="name,imaging.niter")
    with pytest.raises(ConfigError, match=r"row 1 \(a\): imaging\.niter: 020000 would be read as octal"):
        write_square_job(load_campaign(folder), find_square(folder / "campaign.csv", "a"))
    (folder / "campaign.yaml").write_text(TEMPLATE + "  imaging: {niter: 020000}\n")
    with pytest.raises(ConfigError, match=r"campaign\.yaml:9: job\.imaging\.niter: 020000 would be read as octal"):
        load_campaign(folder)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("-7", -7), ("1.", 1.0), (".5", 0.5), ("1.0e+5", 1e5), ("true", True), ("~", None), ("", None),
        ("yes", "yes"), ("No", "No"), ("on", "on"), ("OFF", "OFF"), ("2026-01-02", "2026-01-02"),
        ("2026-13-45", "2026-13-45"), ("1e5", "1e5"), ("'012'", "012"), ("23.9.6", "23.9.6"), ("089", "089"),
    ],
)  # fmt: skip
def test_other_words_are_what_was_written(text: str, value: Any) -> None:
    problems: list[Problem] = []
    found = read_value(text, Problem("here", "key", ""), problems)
    assert problems == [] and found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("word", "value"), [("yes", True), ("on", True), ("No", False), ("off", False), ("true", True)]
)
def test_switches_take_each_word(tmp_path: Path, word: str, value: bool) -> None:
    job = load_job(make_job(tmp_path, f"plane_rejection: {{before_imaging: {{apply: {word}}}}}\n"))
    assert job.plane_rejection.before_imaging.apply is value


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("imaging.niter=1e5", "imaging.niter: '1e5': input should be a valid integer. Write 100000."),
        ("imaging.iter3.nsigma=1e1", "imaging.iter3.nsigma: '1e1': input should be a valid number. Write 10."),
        ("imaging.niter=no", "imaging.niter: 'no': input should be a valid integer"),
        ("imaging.spw=[2, no]", "imaging.spw: 'no' is not a list of spw numbers"),
        ("execution.time_limit=2026-01-02", "execution.time_limit: '2026-01-02' is not understood"),
    ],
)
def test_what_no_option_takes_is_told_as_it_was_written(tmp_path: Path, option: str, says: str) -> None:
    assert says in refused(make_job(tmp_path), option)


@pytest.mark.parametrize(
    "value",
    ["!!bool maybe", "!!timestamp x", "!!timestamp 2026-01-02", "!!binary eA==", "!!null 5", "!!set {a}",
     "!!omap [a: 1]", "!!pairs [a: 1]", "!!python/object/apply:os.getcwd []", "!!map [a]", "!!seq {a: 1}",
     "!mine 5", "=", "<<"],
)  # fmt: skip
def test_values_with_tags_are_refused(tmp_path: Path, value: str) -> None:
    job = make_job(tmp_path, f"imaging:\n  niter: {value}\n")
    assert re.search(rf"{re.escape(str(job))}:7: imaging\.niter: .* has the tag !.*\. Write plain", refused(job))
    job.write_text(JOB)
    assert "command line: imaging.niter: " in refused(job, f"imaging.niter={value}")


@pytest.mark.parametrize(
    ("text", "value"), [("!!int 5", 5), ("! 5", 5), ("!!str 5", "5"), ("!!map {a: !!seq [b]}", {"a": ["b"]})]
)
def test_tags_that_say_what_is_there_are_taken(text: str, value: Any) -> None:
    problems: list[Problem] = []
    assert read_value(text, Problem("here", "key", ""), problems) == value and not problems
