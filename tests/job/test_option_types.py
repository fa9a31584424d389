"""The types of options: what is accepted, what it becomes, what is refused and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.input_files import JOB, ROOT, make_job, refused
from pydantic import TypeAdapter, ValidationError

from ccip_batch.job import option_types
from ccip_batch.job.config import load_job


@pytest.mark.parametrize(
    ("kind", "given", "becomes"),
    [
        ("Angle", "0.6 arcsec", "0.6arcsec"),
        ("Angle", ["0.6arcsec", "0.6arcsec"], "0.6arcsec"),
        ("Taper", "20arcsec", ("20arcsec",)),
        ("Taper", ["3arcsec", "2arcsec", "-30deg"], ("3arcsec", "2arcsec", "-30deg")),
        ("Taper", [], ()),
        ("Flux", "0.5 mJy", "0.5mJy"),
        ("Frequency", "3.0GHz", "3.0GHz"),
        ("UvRange", "0.1~12km", "0.1~12km"),
        ("ImageSize", 512, (512, 512)),
        ("ImageSize", [512], (512, 512)),
        ("ImageSize", [512, 256], (512, 256)),
        ("Duration", 90, 90),
        ("Duration", "1.5h", 5400),
        ("Duration", "2 min", 120),
        ("Memory", "12 GB", 12 * 10**9),
        ("Memory", "2GiB", 2 * 2**30),
        ("Spws", [3, " 4"], (3, 4)),
        ("PhaseCentre", "J2000  13:33:35.8   +16.44.04.2", "J2000 13:33:35.8 +16.44.04.2"),
    ],
)
def test_a_value_is_accepted(kind: str, given: object, becomes: object) -> None:
    assert TypeAdapter(getattr(option_types, kind)).validate_python(given) == becomes


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("Angle", "6", "is not understood"),
        ("Angle", 6, "6 is not text"),
        ("Taper", ["1arcsec", "2arcsec"], "is not a taper"),
        ("Flux", "3", "'0.5mJy'"),
        ("Frequency", "3 parsecs", "'3.0GHz'"),
        ("ImageSize", "512", "is not an image size"),
        ("ImageSize", 14, "from 16 to 100000"),
        ("ImageSize", True, "is not an image size"),
        ("Duration", 0, "between one second and 30 days"),
        ("Duration", "31 days", "such as '1h'"),
        ("Memory", True, "is not an amount of memory"),
        ("Memory", "99 MB", "too few for CASA"),
        ("Spws", 3, "is not a list"),
        ("Spws", [3, "3"], "names an spw twice"),
        ("Spws", [True], "is not an spw number"),
        ("InputPath", "a\0b", "is not a path"),
        ("InputPath", " ", "is not a path"),
        ("PhaseCentre", 3, "3 is not text"),
        ("Count", 0, "greater than or equal to 1"),
        ("Count", 2**31, "less than or equal to 2147483647"),
        ("Count", True, "valid integer"),
        ("Number", float("nan"), "finite number"),
        ("Fraction", 1.1, "less than or equal to 1"),
        ("Switch", 1, "valid boolean"),
        ("Scales", [], "at least 1 item"),
    ],
)
def test_a_value_is_refused(kind: str, given: Any, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(getattr(option_types, kind)).validate_python(given)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("imaging:\n  cell: 6\n", "6 is not text. Write a number and its unit, such as '0.6arcsec'"),
        ("imaging:\n  cell: [6arcsec, 7arcsec]\n", "Pixels are square"),
        ("imaging:\n  imsize: 513\n", "even number of pixels"),
        ("imaging:\n  threshold: 3\n", "'0.5mJy'"),
        ('imaging:\n  uvrange: "<12km\'; import os"\n', "is not understood"),
        ("execution:\n  memory: 12 parsecs\n", "such as '12 GB'"),
        ("execution:\n  memory: 12\n", "such as '12 GB'"),
        ("execution:\n  checkpoint_interval: soon\n", "such as '1h'"),
    ],
)
def test_a_job_config_is_refused(tmp_path: Path, text: str, says: str) -> None:
    job = make_job(tmp_path)
    job.write_text(JOB + text)
    assert says in refused(job)


def test_numbers_too_long_to_print_are_refused_like_others(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    for key in ("imaging.niter", "imaging.imsize", "imaging.cell", "execution.memory", "execution.checkpoint_interval"):
        assert f"command line: {key}: " in refused(job, f"{key}=0x{'f' * 9000}")


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(tmp_path / "jobs")
    monkeypatch.chdir(tmp_path)
    job = load_job(Path("jobs/job.yaml"), ["inputs.flag_commands=../flags.txt", "execution.container=image.sif"])
    assert job.inputs.vis == tmp_path / "jobs" / f"{ROOT}.ms"
    assert job.inputs.flag_commands == tmp_path / "flags.txt"
    assert job.execution.container == str(tmp_path / "jobs/image.sif")
    url = "osdf:///ospool/image-1.0.sif"
    assert load_job(Path("jobs/job.yaml"), [f"execution.container={url}"]).execution.container == url


def test_amounts_are_understood(tmp_path: Path) -> None:
    job = make_job(tmp_path, "execution:\n  memory: 12 GB\n  checkpoint_interval: 30min\n")
    assert load_job(job).execution.memory == 12 * 10**9
    assert load_job(job).execution.checkpoint_interval == 1800
    assert load_job(job, ["execution.memory=2 GiB"]).execution.memory == 2 * 2**30
    assert load_job(job, ["execution.checkpoint_interval=1.5h"]).execution.checkpoint_interval == 5400
    assert load_job(job, ["execution.checkpoint_interval=90"]).execution.checkpoint_interval == 90


def test_links_in_a_path_are_kept(tmp_path: Path) -> None:
    """Names are taken from paths: a link's name, not that of what it leads to."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "link").symlink_to("archive")
    job = make_job(tmp_path / "jobs")
    found = load_job(job, ["inputs.flag_commands=../link/./x/../flags.txt"])
    assert found.inputs.flag_commands == tmp_path / "link" / "flags.txt"
