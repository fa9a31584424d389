"""The user's file of flag commands: one command per line, as `flagdata(mode='list')` reads them; `#` comments.

The file is read as data, and every command is checked before CASA sees it: CASA passes a value in braces to Python's
`eval`, so a command could run anything. CASA passes over a command of an unknown mode, and ends hours later at one with
a value of another type (`scan=2`, `growtime=60`) or with more than one blank between its parts; so it is given each
command in the form that it reads as it is meant.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ccip_batch.job.problems import Problem, failure

MAX_BYTES = 10_000_000
"""A file of flag commands has a few kB; a file larger than this is something else."""

_SELECTION = "field spw antenna timerange correlation scan intent array uvrange observation feed"
_OTHER_TEXTS = "reason datacolumn timebin ntime antint_ref_antenna"
_NUMBERS = """
quackinterval tolerance lowerlimit upperlimit timecutoff freqcutoff timedevscale freqdevscale spectralmax spectralmin
growtime growfreq minchanfrac
"""
_WHOLE_NUMBERS = "maxnpieces halfwin winsize"
_SWITCHES = """
autocorr clipoutside clipzeros channelavg timeavg quackincrement combinescans extendflags extendpols growaround
flagneartime flagnearfreq
"""
_WORDS = {
    "mode": "manual manualflag clip quack shadow elevation tfcrop rflag extend unflag antint summary",
    "quackmode": "beg endb end tail",
    "timefit": "line poly",
    "freqfit": "line poly",
    "flagdimension": "freq time timefreq freqtime",
    "usewindowstats": "none sum std both",
}
"""Keys that have one of a few words (flagdata's documentation)."""
KEYS = frozenset(f"{_SELECTION} {_OTHER_TEXTS} {_NUMBERS} {_WHOLE_NUMBERS} {_SWITCHES} clipminmax".split()) | set(
    _WORDS
)
"""Keys that a command may use: flagdata's selection and the parameters of its modes, except those that name a file."""

_VALUE = (
    r"'[^']*',?|\"[^\"]*\",?|[^\s'\"]+"  # only one way to read a comma, so no line can make the search take forever
)
_COMMAND = re.compile(rf"(?:\w+ ?= ?(?:{_VALUE})(?:\s+|$))+")
_PAIR = re.compile(rf"(\w+) ?= ?({_VALUE})(?:\s+|$)")
_PLAIN = re.compile(r"[\w\s~&;:,*/<>.+\-!\[\]@^#=|%?]*")
"""Characters of CASA's selections. Without parentheses and braces, no Python expression can call anything."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FORMS = {
    _NUMBERS: (_NUMBER, "a number"),
    _WHOLE_NUMBERS: (r"\d+", "a whole number"),
    _SWITCHES: ("True|False|true|false", "True or False"),
    "clipminmax": (rf"\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]", "two numbers such as [0,5.5]"),
}
"""The form of values by the keys that have it, and what it is called."""
_ANOTHER_KEY = re.compile(r"\s\S*=")
"""What CASA takes for the beginning of another key in a value."""
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
    """As CASA reads it: one blank between its parts, texts in quotes, numbers not."""

    @property
    def selection(self) -> dict[str, str]:
        """The parts of the command that select data, without their quotes."""
        return {key: value for key, value in _pairs(self.text) if key in _SELECTION.split()}


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
        commands.append(Command(number, " ".join(_for_casa(key, value) for key, value in _pairs(text))))
    return commands


def _pairs(text: str) -> list[tuple[str, str]]:
    """Keys and values of a command, without quotes and the commas between them."""
    return [(key, " ".join(value.strip("'\",").split())) for key, value in _PAIR.findall(text)]


def _for_casa(key: str, value: str) -> str:
    """A part of a command as CASA must have it to take its type for what it is."""
    if key in (*_NUMBERS.split(), "ntime") and re.fullmatch(_NUMBER, value):
        return f"{key}={float(value)}"
    if key in _SWITCHES.split():
        return f"{key}={value.capitalize()}"
    if key == "clipminmax" or key in _WHOLE_NUMBERS.split():
        return f"{key}={value}"
    plain = re.sub("['\"]", "", value)
    return f"{key}='{plain}'"


def _no_date(timerange: str) -> str:
    """Without a date CASA takes that of the first unflagged row, which is not the same in every spw group."""
    return (
        f"timerange has the value {timerange[:60]!r} without a date: write 'YYYY/MM/DD/HH:MM:SS~HH:MM:SS' (the second "
        "time of a range may leave the date out), in each range of several"
    )


def _complaint(text: str) -> str:
    if not _COMMAND.fullmatch(text):
        return f"{text[:60]!r} is not a flag command"
    pairs = _pairs(text)
    for number, (key, value) in enumerate(pairs):
        if key in dict(pairs[:number]):
            return f"{key} is given twice"
        if wrong := _wrong_value(key, value):
            return wrong
    return ""


def _wrong_value(key: str, value: str) -> str:
    if key not in KEYS:
        return f"{key!r} is not allowed in a flag command"
    has = f"{key} has the value {value[:60]!r}, which "
    if not (_REASON if key == "reason" else _PLAIN).fullmatch(value):
        return f"{has}is neither a selection nor a number"
    if _ANOTHER_KEY.search(value):
        return f"{has}has `=` after a blank: CASA takes that for another key"
    for keys, (form, called) in _FORMS.items():
        if key in keys.split() and not re.fullmatch(form, value):
            return f"{has}is not {called}"
    if key in _WORDS and value not in _WORDS[key].split():
        return f"{has}is none of {', '.join(_WORDS[key].split())}"
    if key == "ntime" and value != "scan" and not re.fullmatch(_NUMBER, value):
        return f"{has}is neither seconds nor scan"
    if key == "timerange" and not all(map(_DATED.fullmatch, value.split(","))):
        return _no_date(value)
    return ""
