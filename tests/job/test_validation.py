"""Values against their types: the words, the place and the remedy of each complaint."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.input_files import JOB, ROOT, make_job, refused
from pydantic import BaseModel, Field

from ccip_batch.job.problems import Problem
from ccip_batch.job.validation import validated


def test_all_problems_are_in_one_error(tmp_path: Path) -> None:
    job = make_job(
        tmp_path,
        "imaging:\n  spw: ['1~4']\n  nitr: 3\n  robust: 7\n  niter: '20'\n"
        "plane_rejection:\n  before_imaging:\n    apply: 1\nexecution:\n  workers: 0\nsurprise: 1\n",
    )
    job.write_text(job.read_text().replace(f"  vis: {ROOT}.ms\n", ""))
    message = refused(job)
    expected = [
        "8 problems:",
        f"{job}:1: inputs.vis: is missing. The PIMS",
        f"{job}:6: imaging.spw: '1~4' is a range",
        f"{job}:7: imaging.nitr: unknown key. Did you mean niter?",
        f"{job}:8: imaging.robust: 7: input should be less than or equal to 2",
        f"{job}:9: imaging.niter: '20': input should be a valid integer",
        f"{job}:12: plane_rejection.before_imaging.apply: 1: input should be a valid boolean",
        f"{job}:14: execution.workers: 0: input should be greater than or equal to 1",
        f"{job}:15: surprise: unknown key. Known here: inputs, imaging,",
    ]
    assert [line for line in expected if line not in message] == [], message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("imaging:\n  iter0:\n    niter: 3\n", "iter0 makes the dirty image and cleans nothing"),
        ("imaging: 3\n", "imaging: 3 is not a section with keys. Stage 7, the planes."),
        ("execution:\n  engine: slurm\n", "input should be 'local' or 'htcondor'. Processes on this machine, or"),
        ("execution:\n  site: ../elsewhere\n", "'../elsewhere' does not have the right form. Name of the pool's"),
        ("execution:\n  wrokers: 3\n", "job.yaml:7: execution.wrokers: unknown key. Did you mean workers?"),
    ],
)
def test_a_config_is_refused(tmp_path: Path, text: str, says: str) -> None:
    job = make_job(tmp_path)
    job.write_text(JOB + text)
    assert says in refused(job)


class Inner(BaseModel):
    size: int = Field(description="How large it is.")


class Outer(BaseModel):
    inner: Inner | None = Field(None, description="What is inside.")


def test_a_complaint_has_the_description_of_the_innermost_option() -> None:
    problems: list[Problem] = []
    assert validated(Outer, {"inner": {"size": "big"}}, {}, lambda loc: f"line of {loc}", problems) is None
    assert [(one.where, one.key, one.right) for one in problems] == [
        ("line of ('inner', 'size')", "inner.size", "How large it is.")
    ]
    found = validated(Outer, {"inner": {"size": 3}}, {}, str, problems)
    assert found is not None and found.inner == Inner(size=3) and len(problems) == 1
