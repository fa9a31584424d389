"""What a node would find here: versions, unusable paths, what is in the data, how far these and measures tables reach.

Run as `python -m ccip_batch.casa.probe MS [rPATH|wPATH|fSPWS:PATH ...]` by this Python or that of an image; it prints a
line of JSON. MS may be empty: then CASA is not imported. r: to be read, w: to be written, f: flag commands to be tried
on the target in spws such as `2,3`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ccip_batch import processes
from ccip_batch.casa.flag_statistics import has_row_flags_alone
from ccip_batch.casa.measurement_set import MsSummary, summarize
from ccip_batch.casa.measures import MJD_ZERO, Reach, reach
from ccip_batch.casa.selections import Doubt, doubts
from ccip_batch.casa.session import DATA_VARIABLE, Casa
from ccip_batch.casa.speed import SelfChecks
from ccip_batch.errors import CasaError, CcipError, DataError
from ccip_batch.job.casa_names import unfit_in_folder
from ccip_batch.job.flag_commands import read_placed
from ccip_batch.job.versions import casa_is_installed, versions
from ccip_batch.records import Model

_MARK = "ccip-batch probe: "
_SECONDS_A_DAY = 86400.0


class Finding(Model):
    """What was found."""

    versions: dict[str, str]
    """Of ccip_batch, Python and CASA."""
    unusable: tuple[str, ...] = ()
    """The paths, with their r or w, that are missing or cannot be used so."""
    reach: Reach | None = None
    """How far the measures tables reach; None if that was not asked or could not be read (`trouble`)."""
    observed: date | None = None
    """Last day of the measurement set."""
    self_checks: SelfChecks | None = None
    """Whether casacore's can be switched off; None if CASA was not imported."""
    broken: str = ""
    """Why CASA cannot be started at all."""
    trouble: str = ""
    """Why tables or measurement set could not be read."""
    summary: MsSummary | None = None
    """What is in the measurement set."""
    wrong: str = ""
    """Why there is no summary, if the measurement set is to blame."""
    row_flags_alone: bool = False
    """Whether it has rows with FLAG_ROW but not FLAG."""
    commands: int = 0
    """How many flag commands were tried."""
    doubts: tuple[Doubt, ...] = ()
    """What is wrong with them."""

    @classmethod
    def read(cls, output: str) -> Finding | None:
        """Read what the process printed; None if it did not finish."""
        for line in output.splitlines():
            if line.startswith(_MARK):
                try:
                    return cls.model_validate_json(line.removeprefix(_MARK))
                except ValidationError:  # of another version
                    return cls(versions={"ccip_batch": "of another version"})
        return None

    def warnings(self) -> list[str]:
        """What a user should know about CASA's speed and the measures tables."""
        slow = []
        if self.self_checks and self.self_checks.why_on:
            checks = self.self_checks.sentence()
            slow = [f"CASA will be up to three times slower than it could be: casacore's self-checks stay {checks}"]
        return [*slow, *self._of_measures()]

    def _of_measures(self) -> list[str]:
        if self.trouble:
            return [f"whether the measures tables cover the observations could not be checked: {self.trouble}"]
        if self.reach is None or self.observed is None or self.observed <= self.reach.measured:
            return []
        kind = (
            f"and the predictions end on {self.reach.predicted}, so that CASA will use no Earth orientation at all"
            if self.observed > self.reach.predicted
            else f"so that CASA uses predictions (to {self.reach.predicted})"
        )
        return [
            f"observed until {self.observed}, but the measured Earth orientation of CASA's measures tables ends on "
            f"{self.reach.measured}, {kind}. Name a folder of newer CASA data in {DATA_VARIABLE}."
        ]


def flag_argument(path: Path | None, spws: Iterable[int]) -> list[str]:
    """What makes the probe try flag commands, if there are any. spws: those that are imaged."""
    return [] if path is None else [f"f{','.join(map(str, spws))}:{path}"]


def probe_here(vis: Path, flags: Sequence[str] = ()) -> Finding | None:
    """What this Python's CASA finds, in a process of its own. None without CASA, or if that process failed.

    flags: from `flag_argument`.
    """
    if not casa_is_installed():
        return None
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            processes.python_module("ccip_batch.casa.probe", str(vis), *flags),
            cwd=folder,
            env=processes.child_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    return Finding.read(done.stdout)


def main(vis: str, paths: list[str]) -> None:
    """Print what is found."""
    usable = {"r": os.R_OK, "w": os.R_OK | os.W_OK}
    unusable = tuple(text for text in paths if text[0] in usable and not os.access(text[1:], usable[text[0]]))
    found = Finding(versions=versions(), unusable=unusable)
    if vis:
        with tempfile.TemporaryDirectory(dir=_scratch()) as folder:
            os.chdir(folder)
            try:
                link = Path(Path(vis).name)
                link.symlink_to(vis)  # CASA may take the names of folders for something else
                session = _session(Path(folder) / "casa.log")
                found = found.model_copy(update={"self_checks": session.self_checks})
                found = found.model_copy(update=_contents(session, link, [text for text in paths if text[0] == "f"]))
                found = found.model_copy(update={"reach": reach(session), "observed": _last_day(session, str(link))})
            except _BrokenError as error:
                found = found.model_copy(update={"broken": " ".join(str(error).split())})
            except CcipError as error:
                found = found.model_copy(update={"trouble": " ".join(str(error).split())})
            os.chdir("/")
    print(_MARK + found.model_dump_json(), flush=True)


class _BrokenError(Exception):
    """CASA cannot be started."""


def _session(log: Path) -> Casa:
    try:
        return Casa(log)
    except CasaError as error:
        raise _BrokenError(str(error)) from error


def _scratch() -> str:
    """A folder for what is temporary that CASA can work in, whatever the user's is called."""
    usual = tempfile.gettempdir()
    return "/tmp" if unfit_in_folder(Path(usual).resolve()) else usual


def _contents(session: Casa, vis: Path, flags: Sequence[str]) -> dict[str, Any]:
    """What is in the measurement set, and which flag commands select nothing of it."""
    try:
        summary = summarize(session, vis)
    except DataError as error:
        return {"wrong": str(error)}
    except CasaError as error:  # damage that the sizes of files do not tell
        return {"wrong": " ".join(f"{error}. Fetch it again.".split())}
    number = 0
    found: list[Doubt] = []
    for text in flags:
        spws, _, path = text[1:].partition(":")
        commands = read_placed(Path(path))
        number += len(commands)
        found += doubts(session, vis, summary, commands, [int(spw) for spw in spws.split(",")])
    alone = has_row_flags_alone(session, vis)
    return {"summary": summary, "row_flags_alone": alone, "commands": number, "doubts": tuple(found)}


def _last_day(session: Casa, vis: str) -> date:
    """The day (UTC) on which a measurement set ends: by its OBSERVATION table, or by its last row."""
    with session.table(f"{vis}/OBSERVATION") as table:
        ends = [float(table.getcell("TIME_RANGE", row)[1]) for row in range(table.nrows())]
    if not max(ends, default=0.0) > 0:
        with session.table(vis) as table:
            ends = [float(table.getcell("TIME", table.nrows() - 1))]
    return MJD_ZERO + timedelta(days=int(max(ends) / _SECONDS_A_DAY))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
