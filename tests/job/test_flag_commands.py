"""The user's flag commands: which ones pass, and what is wrong with the others. (Hostile ones: tests/hostile.)"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ccip_batch.errors import ConfigError
from ccip_batch.job import flag_commands


def test_honest_flag_commands_pass(tmp_path: Path) -> None:
    lines = [
        "mode='manual' spw='3:0~4;60~63' antenna='ea01&ea02;!ea03' timerange='2020/08/05/23:44:45~23:45:00.5'",
        "spw='*:2.1~2.2GHz', scan='2,4~6', reason='RFI found by eye'",
        "mode = 'clip' clipminmax=[0,5.5] clipoutside=True correlation='ABS_RR,LL' uvrange='<10klambda'",
        "mode='quack' quackinterval=1.0 quackmode=\"beg\"",
    ]
    path = tmp_path / "flags.txt"
    path.write_text("# mine\n\n" + "\n".join(lines) + "\n")
    assert flag_commands.read(path) == [
        lines[0],
        "spw='*:2.1~2.2GHz' scan='2,4~6' reason='RFI found by eye'",
        "mode='clip' clipminmax=[0,5.5] clipoutside=True correlation='ABS_RR,LL' uvrange='<10klambda'",
        "mode='quack' quackinterval=1.0 quackmode='beg'",
    ]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("spw=3 scan=2", {"spw": "3", "scan": "2"}),
        ("mode=extend  growtime=60\tgrowaround=true", {"mode": "extend", "growtime": 60.0, "growaround": True}),
        ("mode = 'tfcrop', ntime='scan', halfwin='2'", {"mode": "tfcrop", "ntime": "scan", "halfwin": 2}),
        ("mode='tfcrop' ntime=60 timecutoff='4'", {"mode": "tfcrop", "ntime": 60.0, "timecutoff": 4.0}),
        ("mode='clip' clipminmax=[0,5]  clipzeros=True ", {"mode": "clip", "clipminmax": [0, 5], "clipzeros": True}),
        ("timerange='2020/08/05/10:00:00~10:01:00,  2020/08/05/10:02:00~10:03:00'",
         {"timerange": "2020/08/05/10:00:00~10:01:00, 2020/08/05/10:02:00~10:03:00"}),
        ("reason=\"it's bad\" antenna=ea01", {"reason": "its bad", "antenna": "ea01"}),
    ],
)  # fmt: skip
def test_casa_reads_a_command_with_the_types_it_wants(line: str, parts: dict[str, object], tmp_path: Path) -> None:
    # As flagdata's parser of lists does: it cuts a line at each blank, and takes unquoted digits for whole numbers.
    path = tmp_path / "flags.txt"
    path.write_text(f"{line}\n")
    (command,) = flag_commands.read_placed(path)
    words: list[str] = []
    for word in command.text.split(" "):
        words[len(words) - ("=" not in word) :] = [word] if "=" in word else [f"{words[-1]} {word}"]
    read = {key: ast.literal_eval(value) for key, value in (word.split("=", 1) for word in words)}
    assert read == parts and [type(value) for value in read.values()] == [type(value) for value in parts.values()]
    selection = {key: value for key, value in parts.items() if key in ("spw", "scan", "timerange", "antenna")}
    assert command.selection == selection


@pytest.mark.parametrize(
    "times",
    [
        "23:44:45~23:45:00.5",
        ">23:44:45",
        "2020/08/05/23:44:45~23:45:00,23:46:00~23:47:00",
        "*/*/*/23:44:45",
        "08/05/23:44:45",
        "23:44:45~2020/08/05/23:45:00",
    ],
)
def test_a_time_without_its_date_is_refused(times: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.txt"
    path.write_text(f"spw='3'\nspw='3' timerange='{times}' scan='2'\n")
    with pytest.raises(ConfigError, match=re.escape(f"{path}:2")) as caught:
        flag_commands.read(path)
    assert "YYYY/MM/DD/HH:MM:SS~HH:MM:SS" in str(caught.value)


@pytest.mark.parametrize(
    "times",
    [
        "2020/08/05/23:44:45~23:45:00",
        "2020/08/05/23:44:45~2020/08/06/00:00:01, 2020/08/06/1:0:0+0:5:0",
        "> 2020/08/05/23:44",
        "2020/08/05",
        "2020/8/5/23:44:45.5",
    ],
)
def test_a_time_with_its_date_passes(times: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.txt"
    path.write_text(f"timerange='{times}', scan='2'\n")
    assert len(flag_commands.read(path)) == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("please flag this", "'please flag this' is not a flag command"),
        ("spw='3", "is not a flag command"),
        ("colour='red'", "'colour' is not allowed in a flag command"),
        ("spw='f(x)'", "which is neither a selection nor a number"),
        ("mode='manul' spw='3'", "'manul', which is none of manual,"),
        ("mode='list'", "'list', which is none of manual,"),
        ("spw='3' antenna='ea01' spw='4'", "spw is given twice"),
        ("mode='quack' quackinterval='long'", "'long', which is not a number"),
        ("mode='quack' quackmode='begin'", "'begin', which is none of beg, endb, end, tail"),
        ("mode='clip' clipminmax=[5]", "'[5]', which is not two numbers"),
        ("mode='clip' clipoutside=1", "'1', which is not True or False"),
        ("mode='rflag' winsize=3.5", "'3.5', which is not a whole number"),
        ("mode='tfcrop' ntime='all'", "which is neither seconds nor scan"),
        ("spw='3' reason='level a=b'", "has `=` after a blank"),
    ],
)
def test_a_command_is_refused(line: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.txt"
    path.write_text(f"spw='3'\n# spw=(\n{line}\n")
    with pytest.raises(ConfigError, match=re.escape(f"{path}:3: ")) as caught:
        flag_commands.read(path)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "content", [None, b"\xff", b"#" * (flag_commands.MAX_BYTES + 1)], ids=["missing", "raw", "large"]
)
def test_a_file_that_cannot_be_read(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "flags.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        flag_commands.read(path)
