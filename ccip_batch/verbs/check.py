"""Checks of a job before anything runs, without CASA: files and configs. What is in the MS is checked where CASA is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccip_batch.casa.probe import Finding
from ccip_batch.engines.htcondor.sites import load_site
from ccip_batch.errors import ConfigError, DataError, ResourceError
from ccip_batch.job import flag_commands, resources_archive, table_files, tarballs
from ccip_batch.job.casa_names import PLAIN, is_no_text, is_plain
from ccip_batch.job.config import Execution, Job, JobFile, ResolvedJob, read_job
from ccip_batch.job.problems import Problem, failure
from ccip_batch.job.resolve import decide, read_lists
from ccip_batch.job.resources_archive import Resources
from ccip_batch.job.versions import CASA_MISSING, casa_is_installed, foreign_casa
from ccip_batch.nodes import apptainer
from ccip_batch.run.folder import RunFolder
from ccip_batch.verbs import contents

_PRODUCTS = ("seip_parameter_list", "ccip_parameter_list")
"""The inputs that are products under their own names."""


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
    """What was noticed but is not an error."""

    def only_resources_missing(self) -> bool:
        """Whether all that is wrong is that resources are missing in the archive."""
        missing = len(self.resources.complaints()) if self.resources else 0
        return self.resolved is not None and 0 < missing == len(self.problems)

    def raise_if_wrong(self) -> None:
        """Raise the one error that lists all problems (ConfigError, DataError or ResourceError), if there are any."""
        if self.problems:
            raise failure(self.problems)


def check(path: Path, overrides: Sequence[str] = ()) -> Findings:
    """Check the job config `path` and all that it names; raises nothing, see `Findings.raise_if_wrong`.

    overrides: as for `config.load_job`.
    """
    found = Findings()
    if RunFolder(path).resolved.is_file():
        found.problems.append(_is_a_run(RunFolder(path)))
        return found
    read = read_job(path, overrides, found.problems)
    if read is not None:
        check_read(read, found)
    return found


def check_read(read: JobFile, found: Findings, archive: bool = True) -> None:
    """As `check`, of a job config that has been read. archive: look into `reimaging_resources.tgz` too."""
    found.job = read.job
    has_site = read.execution.site is not None and _check_site(
        read.execution.site, read.where(("execution", "site")), found.problems
    )
    _check_casa(read.execution, found.problems)
    _check_container(read.execution, read.where(("execution", "container")), found.problems)
    there = _check_files(read, found.problems)
    vis = there.get("vis")
    if vis:
        _check_vis(vis, read.where(("inputs", "vis")), found.problems)
    if "flag_commands" in there:
        flag_commands.collect(there["flag_commands"], found.problems)
    lists = read_lists(there.get("seip_parameter_list"), there.get("ccip_parameter_list"), found.problems)
    found.warnings.extend(lists.warnings)
    if read.job is not None:
        found.resolved = decide(read.job, lists, read.where, found.problems)
    if found.resolved is not None:
        found.warnings = list(found.resolved.warnings)
        if has_site or read.execution.site is None:
            _check_fits_site(found.resolved, found.problems)
    if archive and vis and lists.continuum and "reimaging_resources" in there:  # names in it begin with theirs
        path = there["reimaging_resources"]
        found.resources = _check_resources(path, vis.stem, lists.continuum.imagename, found.problems)


def _is_a_run(run: RunFolder) -> Problem:
    from ccip_batch.engines.htcondor.plan import DAG  # with jinja2, which other jobs do not need

    right = f"Give the job config that it was made from, with --run-dir {run.path}."
    if (run.dag / DAG).is_file():
        right += f" What is planned in it is submitted with: ccip-batch submit {run.path}"
    return Problem(str(run.path), "", "is a run folder, not a job config", right)


def try_out(resolved: ResolvedJob, run: Path) -> list[str]:
    """What only a try tells of a job that `check` finds right; gives warnings.

    Its image is started with all that is bound into it, and CASA there, or here, says what is in the measurement set,
    and whether its measures tables cover the observations; without CASA nothing is said. Raises ConfigError if nodes
    cannot run in the image, and the errors of `contents.judge`.
    """
    image = apptainer.of_job(resolved, run)
    if image is not None:
        found: Finding | None = image.probe(resolved.inputs.vis, contents.flags_of(resolved))
        return [*image.warnings(), *contents.judge(resolved, found), *(found.warnings() if found else ())]
    if not casa_is_installed():
        if resolved.execution.engine != "local":
            return []
        return [f"{CASA_MISSING}, or give an image with --container: `run` needs one of them"]
    found = contents.look(resolved)
    return [*contents.judge(resolved, found), *(found.warnings() if found else ())]


def _check_casa(execution: Execution, problems: list[Problem]) -> None:
    if execution.engine == "local" and execution.container is None and (foreign := foreign_casa()):
        right = "Take its folder out of PYTHONPATH, or give an image with --container."
        problems.append(Problem(foreign, "", "is imported instead of the CASA that is installed", right))


def _check_container(execution: Execution, where: str, problems: list[Problem]) -> None:
    image = execution.container
    if image is not None:
        local = execution.engine == "local"
        wrong = apptainer.image_complaints(image) if local or not apptainer.is_address(image) else ()
        problems.extend(Problem(where, "execution.container", *complaint) for complaint in wrong)


def _check_site(name: str, where: str, problems: list[Problem]) -> bool:
    """Whether the profile of a site can be read; what is wrong with it is added to `problems`."""
    try:
        load_site(name)
    except ConfigError as error:
        problems.append(Problem(where, "", str(error)))
        return False
    return True


def _check_fits_site(resolved: ResolvedJob, problems: list[Problem]) -> None:
    if resolved.execution.engine == "htcondor":
        from ccip_batch.engines.htcondor.plan import check_site  # with jinja2, which other jobs do not need

        try:
            check_site(resolved)
        except (ConfigError, ResourceError) as error:
            problems.append(Problem("", "", str(error), kind=type(error)))


def _check_files(read: JobFile, problems: list[Problem]) -> dict[str, Path]:
    """Report files that do not exist or cannot be read; gives the inputs that exist."""
    there = {}
    for key, path in read.inputs.items():
        place = read.where(("inputs", key))
        reason = _unreadable(path, is_folder=key == "vis")
        if reason:
            right = "Correct the path, or put the file there."
            if key == "vis" and tarballs.is_archive(path):
                reason, right = "is an archive, not a folder", f"Unpack it (tar xf {path}), and give the folder."
            problems.append(Problem(place, f"inputs.{key}", f"{path} {reason}", right))
        elif is_no_text(path) or (key in _PRODUCTS and not path.name.isprintable()):
            wrong = f"{str(path)!r} has a character that cannot be printed, or is not UTF-8"
            problems.append(Problem(place, f"inputs.{key}", wrong, "Rename it, or make a link with a plain name."))
        else:
            there[key] = path
    lists = [read.inputs[key] for key in _PRODUCTS if key in read.inputs]
    if len(lists) == 2 and lists[0].name == lists[1].name:
        place = read.where(("inputs", "ccip_parameter_list"))
        wrong_names = f"{lists[1]} has the file name of the other parameter list"
        problems.append(Problem(place, "inputs.ccip_parameter_list", wrong_names, "Both are products: rename one."))
    return there


def _unreadable(path: Path, is_folder: bool) -> str:
    try:
        if not path.exists():
            return "does not exist"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    if path.is_dir() != is_folder:
        return "is not a folder" if is_folder else "is not a file"
    return "" if os.access(path, os.R_OK | (os.X_OK if is_folder else 0)) else "is not readable: you have no permission"


def _check_vis(vis: Path, where: str, problems: list[Problem]) -> None:
    if vis.suffix != ".ms":
        right = "Rename it: the root is the name that SE-CONT's products have before `_split.ms`."
        problems.append(Problem(where, "inputs.vis", f"{vis.name} is not named <root>.ms", right))
    elif not is_plain(vis.stem):
        wrong = f"{vis.name!r} is a name that CASA does not take ({PLAIN})"
        right = "Rename it, or name a link to it with the root that SE-CONT's products have before `_split.ms`."
        problems.append(Problem(where, "inputs.vis", wrong, right))
    if not (vis / "table.dat").is_file():
        wrong = f"{vis} is not a measurement set: it lacks table.dat"
        problems.append(Problem(where, "inputs.vis", wrong, "Give the folder of the PIMS, whole.", DataError))
        return
    for sentence in table_files.incomplete(vis, table_files.REQUIRED):
        wrong = f"{vis} is incomplete: {sentence}"
        problems.append(Problem(where, "inputs.vis", wrong, "Fetch it again.", DataError))


def _check_resources(archive: Path, root: str, continuum_imagename: str, problems: list[Problem]) -> Resources | None:
    try:
        found = resources_archive.inspect(archive, root, continuum_imagename)
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
