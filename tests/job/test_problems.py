"""What is wrong with the inputs, collected into one error."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccip_batch.errors import CcipError, ConfigError, DataError, ResourceError
from ccip_batch.job.problems import MAX_BYTES, Problem, failure, read_text, shown

CONFIG = Problem("job.yaml:3", "imaging.niter", "is wrong", "Write a number.")
DATA = Problem("the.ms", "", "is damaged", kind=DataError)
DISK = Problem("", "", "the disk is full", kind=ResourceError)


@pytest.mark.parametrize(
    ("problems", "kind"),
    [
        ([CONFIG], ConfigError),
        ([DATA], DataError),
        ([DISK], ResourceError),
        ([DISK, DATA, CONFIG], ConfigError),
        ([DISK, DATA], DataError),
    ],
)
def test_the_class_of_the_error(problems: list[Problem], kind: type[CcipError]) -> None:
    assert type(failure(problems)) is kind


def test_the_text_of_the_error() -> None:
    assert str(failure([CONFIG])) == "job.yaml:3: imaging.niter: is wrong. Write a number."
    assert str(failure([CONFIG, DATA])) == (
        "2 problems:\n  * job.yaml:3: imaging.niter: is wrong. Write a number.\n  * the.ms: is damaged"
    )


def test_a_text_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfinputs: \xc3\xa9")
    problems: list[Problem] = []
    assert read_text(tmp_path / "a", "job config", "", problems) == "inputs: é" and problems == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"\xff", "is not text (UTF-8). Begin."),
        (b"a" * (MAX_BYTES + 1), f"is larger than {MAX_BYTES} bytes, so it is not a job config. Begin."),
    ],
    ids=["missing", "not text", "too large"],
)
def test_a_file_that_is_not_text(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "job.yaml"
    if content is not None:
        path.write_bytes(content)
    problems: list[Problem] = []
    assert read_text(path, "job config", "Begin.", problems) is None
    assert [str(problem).startswith(f"{path}: {says}") for problem in problems] == [True], problems


def test_values_are_shown_short() -> None:
    assert shown("a" * 100) == "'" + "a" * 56 + "..." and len(shown("a" * 100)) == 60
    assert shown(10**9000) == "a very long int"
    assert shown(["2"]) == "['2']"
