"""Parameter lists: read as data, never executed, and errors that name the line."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccip_batch.errors import ConfigError
from ccip_batch.job import parameter_list
from ccip_batch.job.parameter_list import ParameterList
from ccip_batch.job.problems import Problem, failure


def read(path: Path) -> ParameterList:
    problems: list[Problem] = []
    found = parameter_list.read(path, problems)
    if found is None:
        raise failure(problems)
    return found


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "CCIP_parameter.list"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_literals_and_comments(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "# a comment\n\nimagename = 'a#b'  # behind it\nimsize=[512,\n        512]\n"
        "robust=-2.0\napply=True\nspw=('2', '3')\n",
    )
    found = read(path)
    assert found.values == {"imagename": "a#b", "imsize": [512, 512], "robust": -2.0, "apply": True, "spw": ("2", "3")}
    assert found.lines == {"imagename": 3, "imsize": 4, "robust": 6, "apply": 7, "spw": 8}
    assert found.where("robust") == f"{path}:6"
    assert found.where("other") == str(path)
    assert found.unknown(["imagename", "imsize", "apply", "spw"]) == [f"{path}:6: robust: is not used here"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a=1\nimsize=[512\n", ":2: syntax error"),
        ("a=1\nb 2\n", ":2: syntax error"),
        ("a=1\n  b=2\n", ":2: syntax error, unexpected indent"),
        ("a=1\nimsize=list((1, 2))\n", ":2: imsize: is a call, and calls are not executed"),
        ("a=[1,\n open('x')]\n", ":1: a: is a call"),
        ("a=b\n", ":1: a: is not a literal"),
        ("a=[x for x in [1]]\n", ":1: a: is not a literal"),
        ("a=1\nb=2\na=3\n", ":3: a: is given twice, first on line 1"),
        ("import os\n", ":1: is not an assignment"),
        ("a.b=1\n", ":1: is not an assignment"),
        ("a=b=1\n", ":1: is not an assignment"),
        (b"a='\xff'\n", "is not text"),
        (b"a=1\x00\n", "null bytes"),
        ("a=" + "(" * 5000 + ")" * 5000, "CCIP_parameter.list"),
        ("a=1\n" * 300_000, "is larger than"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_refused(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(write(tmp_path, text))
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))


def test_all_that_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(write(tmp_path, "a=f()\nb=1\nb=2\nc=d\n"))
    assert all(f"CCIP_parameter.list:{line}: " in str(caught.value) for line in (1, 3, 4))


def test_nothing_is_executed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with pytest.raises(ConfigError):
        read(write(tmp_path, f"a=open({str(trace)!r}, 'w')\n"))
    assert not trace.exists()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.list")


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
KEYS = st.from_regex(r"[a-z_][a-z_0-9]{0,12}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=60,
    deadline=None,
    derandomize=True,
)
@given(values=st.dictionaries(KEYS, LITERALS, max_size=5))
def test_any_literal_comes_back(tmp_path: Path, values: dict[str, Any]) -> None:
    path = write(tmp_path, "".join(f"{key} = {value!r}\n" for key, value in values.items()))
    assert read(path).values == values
