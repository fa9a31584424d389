"""Site profiles: what differs between pools, as data. One YAML file a site, which needs no change of code.

Profiles come with the package (condor/sites); those in the folders of CCIP_SITES win over them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from ccip_batch.errors import ConfigError
from ccip_batch.job.config import Section
from ccip_batch.job.option_types import Count, Duration, Memory, Switch
from ccip_batch.job.package_files import data_folder
from ccip_batch.job.problems import Problem, failure, shown
from ccip_batch.job.validation import validated
from ccip_batch.job.yaml_file import YamlFile
from ccip_batch.processes import CHECKPOINT_VARIABLE, CORES_VARIABLE, PARENT_VARIABLE
from ccip_batch.workflow.kinds import Kind

_DAY = 24 * 3600
SITES_VARIABLE = "CCIP_SITES"
"""Environment variable: folders with profiles of the user's, separated by colons."""

_BEGIN = "A profile begins with `description:`, `htcondor:` and `data:`; condor/sites/ of the package has examples."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_Line = Annotated[str, StringConstraints(pattern=r"^([^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\\])?$", strip_whitespace=True)]
"""Text that stays on its line of a submit description, and does not take the next one to it."""
_OURS = {
    "arguments", "attempt", "disk_limit", "elif", "else", "endif", "environment", "error", "executable",
    "held_limit", "idle_limit", "if", "include", "log", "memory", "memory_limit", "more", "most_holds", "node",
    "noop_job", "output", "periodic_hold", "periodic_release", "periodic_remove", "queue", "release_after",
    "request_cpus", "request_disk", "request_memory", "should_transfer_files", "tars", "transfer_executable",
    "transfer_input_files", "transfer_output_files", "transfer_output_remaps", "universe",
    "when_to_transfer_output",
}  # fmt: skip
"""What the submit descriptions of the package set themselves, and their keywords."""
_OUR_VARIABLES = {"HOME", "CASASITECONFIG", CORES_VARIABLE, CHECKPOINT_VARIABLE, PARENT_VARIABLE}
"""Environment variables of the nodes that the package sets itself."""
_Command = Annotated[str, StringConstraints(pattern=r"^[+A-Za-z_][A-Za-z0-9_.]*$")]
_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
_Value = Annotated[str, StringConstraints(pattern=r"^[^\s\"'$]*$")]
_Version = Annotated[str, BeforeValidator(lambda value: _full_version(value))]
_Folder = Annotated[str, StringConstraints(pattern=r"^/[^\s,;\"'$\\]*$")]
"""An absolute path that HTCondor's lists take as it is."""
_Url = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*://[^\s,;\"'$\\@?#]*$")]
"""Without user, password and query: it is written to files that others may read."""
_Name = Annotated[str, StringConstraints(pattern=r"^[\w.-]+$")]
Margin = Annotated[float, Field(strict=True, ge=1, le=100)]
_Category = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]+$")]


def _full_version(value: object) -> str:
    """`24.0.19`; YAML takes what has one dot for a number."""
    if isinstance(value, str) and re.fullmatch(r"\d+\.\d+\.\d+", value):
        return value
    raise ValueError(f'{shown(value)} is not a full version; write all its numbers, in quotes, such as "24.0.19"')


class Accounting(Section):
    """To whom the use of the pool is charged."""

    group: _Line | None = Field(None, description="accounting_group of HTCondor.")
    user: _Line | None = Field(None, description="accounting_group_user of HTCondor.")
    project: _Name | None = Field(None, description="ProjectName of the OSPool.")


class Margins(Section):
    """What nodes ask for, as a multiple of what is estimated."""

    memory: Margin = Field(
        1.3,
        description="Memory that a node asks for, as a multiple of the estimate. One that needs more "
        "is held, and asks for twice as much.",
    )
    disk: Margin = Field(1.3, description="Disk that a node asks for, as a multiple of the estimate.")
    time: Margin = Field(
        5, description="Time after which a node is ended, as a multiple of the estimate; at least an hour."
    )


class Site(Section):
    """A pool. After a change: `python -m ccip_batch.engines.htcondor.sites_page > docs/site_profile.md`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    description: _Line = Field(description="The pool in a sentence.")
    htcondor: _Version = Field(
        description="The HTCondor version that the profile was written for, such as `25.4.0`; nothing depends on it."
    )
    data: Literal["shared", "transfer"] = Field(description="A shared file system, or transfer of files.")
    python: _Value | None = Field(
        None, description="Python with ccip_batch and CASA on the machines; without it, the one that plans."
    )
    container: _Line | None = Field(None, description="Apptainer image; execution.container of the job wins over it.")
    needs_container: Switch = Field(False, description="Whether nodes can run only in a container there.")
    environment: dict[_Variable, _Value] = Field(
        {},
        description="Further environment variables of the nodes. Settings of Python, CASA, matplotlib and OpenMP do "
        "not reach a node's work; PYTHONPATH does if ccip_batch is in one of its folders.",
    )
    accounting: Accounting = Field(Accounting(), description="To whom the use of the pool is charged.")
    retries: int = Field(2, strict=True, ge=0, le=10, description="How often DAGMan repeats a node that failed.")
    max_jobs: dict[Kind, Count] = Field({}, description="Nodes of a kind that may be in the queue together.")
    most_cores: Count = Field(
        1, description="Cores that `restore` may ask for. More than a machine has: it would wait for ever."
    )
    memory_limit: Memory | None = Field(None, description="Memory of the largest machine; no node asks for more.")
    disk_limit: Memory | None = Field(None, description="Disk of the largest machine; no node asks for more.")
    margins: Margins = Field(Margins(), description="What nodes ask for, as a multiple of what is estimated.")
    release_after: Duration = Field(600, description="Time after which a hold that may pass is released.")
    most_holds: int = Field(4, strict=True, ge=1, le=20, description="Holds after which a node is no more released.")
    held_limit: Duration = Field(
        7 * _DAY, description="Time after which a node is removed that stays held with its work saved."
    )
    idle_limit: Duration = Field(
        7 * _DAY, description="Time in the queue after which a node that no machine takes is removed."
    )
    job_durations: dict[_Category, Duration] = Field(
        {}, description="JobDurationCategory of the OSPool: the categories, shortest first, and their limits of time."
    )
    urls: dict[_Folder, _Url] = Field(
        {},
        description="Folders of the access point that machines get files from, and put files to, by URL. The tars of "
        "nodes are put into the first one.",
    )
    largest_file: Memory | None = Field(None, description="The largest file that may be transferred without a URL.")
    checkpoint_destination: _Url | None = Field(
        None, description="checkpoint_destination of HTCondor; without it, checkpoints go to the access point's spool."
    )
    checkpoint_every: Duration = Field(
        4 * 3600, description="With file transfer: time between checkpoints that leave the machine."
    )
    submit: dict[_Command, _Line] = Field({}, description="Further submit commands, as HTCondor has them.")

    @field_validator("submit")
    @classmethod
    def _not_ours(cls, commands: dict[str, str]) -> dict[str, str]:
        ours = sorted(name for name in commands if name.lower() in _OURS)
        if ours:
            raise ValueError(f"{', '.join(ours)}: set by ccip_batch itself; leave it out")
        return commands

    @field_validator("environment")
    @classmethod
    def _not_our_variables(cls, variables: dict[str, str]) -> dict[str, str]:
        ours = sorted(_OUR_VARIABLES & set(variables))
        if ours:
            raise ValueError(f"{', '.join(ours)}: set by ccip_batch itself; leave it out")
        return variables

    @field_validator("urls")
    @classmethod
    def _of_transfer(cls, urls: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if urls and info.data.get("data") == "shared":
            raise ValueError("no file is transferred with `data: shared`; leave it out, or set data: transfer")
        return urls

    @field_validator("job_durations")
    @classmethod
    def _shortest_first(cls, durations: dict[str, int]) -> dict[str, int]:
        if list(durations.values()) != sorted(durations.values()):
            raise ValueError("write the shortest first")
        return durations

    def url_of(self, path: Path) -> str | None:
        """The URL of a file or folder of the access point, links followed; None if it has none."""
        for folder, url in sorted(self.urls.items(), key=lambda item: -len(item[0])):
            for there, below in ((path, Path(folder)), (path.resolve(), Path(folder).resolve())):
                if there.is_relative_to(below):
                    return "/".join([url.rstrip("/"), *(quote(part) for part in there.relative_to(below).parts)])
        return None


def known_sites() -> dict[str, Path]:
    """All profiles by name; the user's win over the package's."""
    folders = [data_folder("condor") / "sites"]
    own = [Path(part) for part in reversed(os.environ.get(SITES_VARIABLE, "").split(":")) if part]
    for folder in own:
        if not folder.is_dir():
            raise ConfigError(f"{SITES_VARIABLE}: {folder} is not a folder; correct it, or unset the variable.")
    folders += own
    return {
        path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml")) if _NAME.fullmatch(path.stem)
    }


def load_site(name: str) -> Site:
    """The profile of a site. Raises ConfigError if it is wrong or unknown; the error lists the known sites."""
    return read_site(site_path(name))


def site_path(name: str) -> Path:
    """The file of a profile. Raises ConfigError if it is unknown; the error lists the known sites."""
    sites = known_sites()
    if name not in sites:
        raise ConfigError(
            f"execution.site: unknown site {name!r}. Known sites: {', '.join(sorted(sites))}. "
            f"A profile of your own is a file {name}.yaml in a folder that {SITES_VARIABLE} names."
        )
    return sites[name]


def read_site(path: Path) -> Site:
    """Read a profile. Raises ConfigError, listing everything that is wrong."""
    problems: list[Problem] = []
    content = YamlFile.read(path, problems, "site profile", _BEGIN)
    if content is None:
        raise failure(problems)
    site = validated(Site, content.data, {}, content.where, problems)
    if site is None:
        raise failure(problems)
    return site
