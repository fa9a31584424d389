"""The user's file of flag commands: one command per line, as `flagdata(mode='list')` reads them; `#` comments.

The file is read as data, and every command is checked before CASA sees it: CASA passes a value in braces to Python's
`eval`, so a command could run anything.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ccip_batch.job.problems import Problem, failure

MAX_BYTES = 10_000_000
"""A file of flag commands has a few kB; a file larger than this is something else."""

_SELECTION = "field spw antenna timerange correlation scan intent array uvrange observation feed"
_MODES = """
mode autocorr reason datacolumn clipminmax clipoutside clipzeros channelavg timeavg timebin quackinterval quackmode
quackincrement tolerance lowerlimit upperlimit ntime combinescans timecutoff freqcutoff timefit freqfit maxnpieces
flagdimension usewindowstats halfwin extendflags winsize timedevscale freqdevscale spectralmax spectralmin extendpols
growtime growfreq growaround flagneartime flagnearfreq antint_ref_antenna minchanfrac
"""
KEYS = frozenset((_SELECTION + _MODES).split())
"""Keys that a command may use: flagdata's selection and the parameters of its modes, except those that name a file."""

_VALUE = (
    r"'[^']*',?|\"[^\"]*\",?|[^\s'\"]+"  # only one way to read a comma, so no line can make the search take forever
)
_COMMAND = re.compile(rf"(?:\w+ ?= ?(?:{_VALUE})(?:\s+|$))+")
_PAIR = re.compile(rf"(\w+) ?= ?({_VALUE})(?:\s+|$)")
_PLAIN = re.compile(r"[\w\s~&;:,*/<>.+\-!\[\]@^#=|%?]*")
"""Characters of CASA's selections. Without parentheses and braces, no Python expression can call anything."""
_REASON = re.compile(r"[^{}\[\]]*")
"""A reason is for people: CASA evaluates only what is in braces and brackets."""
_DATED = re.compile(r"\s*[<>=!]*\s*\d{4}/\d{1,2}/\d{1,2}(/.*)?")
"""A time with its date, or a range that begins with one."""
_RIGHT = "Each line holds one command such as mode='manual' spw='3' scan='2', or a # comment."


class Command(NamedTuple):
    """A flag command and its place."""

    line: int
    """Of the file, from 1."""
    text: str

    @property
    def selection(self) -> dict[str, str]:
        """The parts of the command that select data, without their quotes."""
        pairs = {key: value.strip("'\",") for key, value in _PAIR.findall(self.text)}
        return {key: value for key, value in pairs.items() if key in _SELECTION.split()}


def read(path: Path) -> list[str]:
    """The commands of a file. Raises ConfigError, naming file and line of everything that is wrong."""
    return [command.text for command in read_placed(path)]


def read_placed(path: Path) -> list[Command]:
    """As `read`, with their places."""
    problems: list[Problem] = []
    commands = collect(path, problems)
    if problems:
        raise failure(problems)
    return commands


def collect(path: Path, problems: list[Problem]) -> list[Command]:
    """As `read`, but what is wrong is added to `problems`."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        lines = raw.decode().splitlines()
    except (OSError, ValueError) as error:
        problems.append(Problem(str(path), "", f"cannot be read: {error}", _RIGHT))
        return []
    commands = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        wrong = _complaint(text)
        if wrong:
            problems.append(Problem(f"{path}:{number}", "", wrong, _RIGHT))
        commands.append(Command(number, text))
    return commands


def _no_date(timerange: str) -> str:
    """Without a date CASA takes that of the first unflagged row, which is not the same in every spw group."""
    return (
        f"timerange has the value {timerange[:60]} without a date: write 'YYYY/MM/DD/HH:MM:SS~HH:MM:SS' (the second "
        "time of a range may leave the date out), in each range of several"
    )


def _complaint(text: str) -> str:
    if not _COMMAND.fullmatch(text):
        return f"{text[:60]!r} is not a flag command"
    for key, value in _PAIR.findall(text):
        if key not in KEYS:
            return f"{key!r} is not allowed in a flag command"
        if not (_REASON if key == "reason" else _PLAIN).fullmatch(value.strip("'\",")):
            return f"{key} has the value {value[:60]}, which is neither a selection nor a number"
        if key == "timerange" and not all(map(_DATED.fullmatch, value.strip("'\",").split(","))):
            return _no_date(value)
    return ""
