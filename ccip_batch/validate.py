"""Checks of a job before anything runs, without CASA: files and configs. What is in the MS is checked where CASA is."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccip_batch import container, resources
from ccip_batch.config import Execution, Job, ResolvedJob, Where, read_job, resolve_job
from ccip_batch.errors import ConfigError, DataError, ResourceError
from ccip_batch.probe import probe_here
from ccip_batch.problems import Problem, failure
from ccip_batch.resources import Resources
from ccip_batch.sites import load_site

SUBTABLES = ("ANTENNA", "DATA_DESCRIPTION", "FIELD", "OBSERVATION", "POLARIZATION", "SPECTRAL_WINDOW", "STATE")
"""The subtables of a measurement set that the stages read."""

_FLAG_COMMAND = re.compile(r"(\w+ ?= ?('[^']*'|\"[^\"]*\"|[^\s'\"]+),?(\s+|$))+")


@dataclass
class Findings:
    """What was found out about a job."""

    job: Job | None = None
    """The config, if it is right."""
    resolved: ResolvedJob | None = None
    """The job with everything decided, if the parameter lists are right too."""
    resources: Resources | None = None
    """What is in `reimaging_resources.tgz`, if it could be read."""
    problems: list[Problem] = field(default_factory=list)
    """All that is wrong."""
    warnings: list[str] = field(default_factory=list)
    """What was noticed, and is no error."""

    def raise_if_wrong(self) -> None:
        """Raise the one error that lists all problems (ConfigError, DataError or ResourceError), if there are any."""
        if self.problems:
            raise failure(self.problems)


def check(path: Path, overrides: Sequence[str] = ()) -> Findings:
    """Check the job config `path` and all that it names; raises nothing, see `Findings.raise_if_wrong`.

    overrides: as for `config.load_job`.
    """
    found = Findings()
    found.job, where = read_job(path, overrides, found.problems)
    if found.job is None:
        return found
    if found.job.execution.site is not None:
        _check_site(found.job.execution.site, where(("execution", "site")), found.problems)
    _check_container(found.job.execution, where(("execution", "container")), found.problems)
    missing = _check_files(found.job, where, found.problems)
    if "vis" not in missing:
        _check_vis(found.job.inputs.vis, where(("inputs", "vis")), found.problems)
    if found.job.inputs.flag_commands is not None and "flag_commands" not in missing:
        _check_flag_commands(found.job.inputs.flag_commands, found.problems)
    if missing.isdisjoint({"seip_parameter_list", "ccip_parameter_list"}):
        found.resolved = resolve_job(found.job, found.problems)
    if found.resolved is None:
        return found
    found.warnings.extend(found.resolved.warnings)
    if missing.isdisjoint({"reimaging_resources", "vis"}):  # names in the archive begin with that of the PIMS
        found.resources = _check_resources(found.resolved, found.problems)
    return found


def try_out(resolved: ResolvedJob, run: Path) -> list[str]:
    """What only a try tells of a job that `check` finds right; gives warnings.

    Its image is started with all that is bound into it, and CASA there, or here, says whether its measures tables cover
    the observations; without CASA nothing is said. Raises ConfigError if nodes cannot run in the image.
    """
    vis = resolved.inputs.vis
    image = container.of_job(resolved, run)
    if image is not None:
        return [*image.warnings(), *image.probe(vis).warnings()]
    found = probe_here(vis) if resolved.execution.engine == "local" else None
    return found.warnings() if found is not None else []


def _check_container(execution: Execution, where: str, problems: list[Problem]) -> None:
    image = execution.container
    if image is not None:
        local = execution.engine == "local"
        wrong = container.image_complaints(image) if local or not container.is_address(image) else ()
        problems.extend(Problem(where, "execution.container", *complaint) for complaint in wrong)


def _check_site(name: str, where: str, problems: list[Problem]) -> None:
    try:
        load_site(name)
    except ConfigError as error:
        problems.append(Problem(where, "", str(error)))


def _check_files(job: Job, where: Where, problems: list[Problem]) -> set[str]:
    """Complain of files that are not there or cannot be read; returns their keys."""
    wrong = set()
    for key in type(job.inputs).model_fields:
        path = getattr(job.inputs, key)
        if path is None:
            continue
        reason = _unreadable(path, is_folder=key == "vis")
        if reason:
            wrong.add(key)
            place = where(("inputs", key))
            problems.append(Problem(place, f"inputs.{key}", f"{path} {reason}", "Correct the path, or put it there."))
    lists = job.inputs.seip_parameter_list, job.inputs.ccip_parameter_list
    if lists[0].name == lists[1].name:
        place = where(("inputs", "ccip_parameter_list"))
        wrong_names = f"{lists[1]} has the file name of the other parameter list"
        problems.append(Problem(place, "inputs.ccip_parameter_list", wrong_names, "Both are products: rename one."))
    return wrong


def _unreadable(path: Path, is_folder: bool) -> str:
    if not path.exists():
        return "is not there"
    if path.is_dir() != is_folder:
        return "is no folder" if is_folder else "is no file"
    return "" if os.access(path, os.R_OK | (os.X_OK if is_folder else 0)) else "cannot be read by you"


def _check_vis(vis: Path, where: str, problems: list[Problem]) -> None:
    if vis.suffix != ".ms":
        right = "Rename it: the root is the name that SE-CONT's products have before `_split.ms`."
        problems.append(Problem(where, "inputs.vis", f"{vis.name} is not named <root>.ms", right))
    missing = [name for name in ("", *SUBTABLES) if not (vis / name / "table.dat").is_file()]
    if missing:
        wrong = f"{vis} is no measurement set, it lacks {', '.join(str(Path(name) / 'table.dat') for name in missing)}"
        problems.append(Problem(where, "inputs.vis", wrong, "Give the folder of the PIMS, whole.", DataError))


def _check_flag_commands(path: Path, problems: list[Problem]) -> None:
    right = "Each line holds one command such as mode='manual' spw='3' scan='2', or a # comment."
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(str(path), "", f"cannot be read: {error}", right))
        return
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#") and not _FLAG_COMMAND.fullmatch(text):
            problems.append(Problem(f"{path}:{number}", "", f"{text[:60]!r} is no flag command", right))


def _check_resources(resolved: ResolvedJob, problems: list[Problem]) -> Resources | None:
    archive = resolved.inputs.reimaging_resources
    try:
        found = resources.inspect(archive, resolved.root, resolved.continuum_imagename)
    except DataError as error:
        problems.append(Problem("", "inputs.reimaging_resources", str(error), kind=DataError))
        return None
    right = "Take the archive of the SE-CONT run that SEIP_parameter.list names."
    for sentence in found.complaints():
        problems.append(Problem(str(archive), "", sentence, right, DataError))
    return found


def check_disk(folder: Path, needed: int) -> None:
    """Raise ResourceError if the disk that a run folder is or will be on has fewer bytes than needed."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed:
        raise ResourceError(
            f"{there} has {free / 1e9:.1f} GB free, but the run needs some {needed / 1e9:.1f} GB. "
            "Make room, or give another folder with --run-dir."
        )
