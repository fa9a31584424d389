"""`campaign.yaml`: the template of the jobs of a campaign, its table, its bounds, and where products go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ccip_batch.errors import RunFolderError
from ccip_batch.job.config import Section
from ccip_batch.job.option_types import Count, InputPath, Memory
from ccip_batch.job.problems import Problem, failure
from ccip_batch.job.validation import Where, validated
from ccip_batch.job.yaml_file import YamlFile

NAME = "campaign.yaml"
_BEGIN = "Begin with `table:` and `job:`, as in configs/campaign.yaml; `ccip-batch campaign init` writes one."
MOST_DAGMANS = 200
"""So many DAGMans an access point bears (HTCondor's MAX_RUNNING_SCHEDULER_JOBS_PER_OWNER, by default)."""


class Bounds(Section):
    """How much of a campaign is under way at once."""

    squares: Count = Field(50, description="Squares at work at once; each has a DAGMan of its own on the access point.")
    nodes: Count = Field(5000, description="Jobs in the queue at once, over all squares.")
    disk: Memory | None = Field(
        None,
        description="Disk for run folders and for products that stay there, such as `20 TB`; no square is begun while "
        "it is used up.",
    )


class CampaignConfig(Section):
    """What `campaign.yaml` says."""

    table: InputPath = Field(description="The table of squares: CSV, ECSV, FITS or VOTable.")
    job: dict[str, Any] = Field(
        description="A job config for all squares. In the paths of `inputs`, `{column}` stands for that column of the "
        "table, and `*` for anything, if only one file has such a name."
    )
    products: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="Folder that the products of a square are moved to, with `{name}`, `{tile}` and other columns; "
        "without it they stay in its run folder.",
    )
    keep: Literal["summary", "report", "all"] = Field(
        "report",
        description="What is kept of the run folder of a square that is done: only what the campaign's report needs "
        "(the square's own is among its products, packed), its report too, or all, with its products.",
    )
    bounds: Bounds = Field(Bounds(), description="How much is under way at once.")


@dataclass(frozen=True)
class Campaign:
    """A campaign: its folder is that of `campaign.yaml`."""

    path: Path
    """`campaign.yaml`."""
    config: CampaignConfig
    where: Where
    """The place of a key, such as `('job', 'imaging')`."""

    @property
    def engine(self) -> str:
        """What the template says of where squares run: `local` or `htcondor`; `local` if it says nothing."""
        execution = self.config.job.get("execution")
        return str(execution.get("engine", "local")) if isinstance(execution, dict) else "local"

    @property
    def folder(self) -> CampaignFolder:
        """What is in its folder."""
        return CampaignFolder(self.path.parent)


class CampaignFolder:
    """The folder of a campaign. Its layout stands here and nowhere else.

    campaign.yaml  campaign.csv      what the user wrote
    squares/<tile>/<name>.yaml       the job config of a square, written when its turn comes
    squares/<tile>/<name>/           its run folder
    dag/                             the outer DAG, and what became of the squares
    report/index.html  summary.ecsv
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.squares = self.path / "squares"
        self.dag = self.path / "dag"
        self.journal = self.dag / "squares.jsonl"
        """A line whenever a square changes its state."""
        self.at_work = self.dag / "at_work"
        """A file for each square at work, with the bytes of disk that it may take."""
        self.throttle = self.dag / "throttle"
        """A smaller bound on the squares at work than that of `campaign.yaml`."""
        self.halted = self.dag / "halted"
        """Exists while no square shall be begun."""
        self.report = self.path / "report"
        self.summary = self.path / "summary.ecsv"

    def run(self, name: str, tile: str) -> Path:
        """The run folder of a square."""
        return self.squares / tile / name

    def job(self, name: str, tile: str) -> Path:
        """The job config of a square."""
        return self.squares / tile / f"{name}.yaml"


def load_campaign(path: Path) -> Campaign:
    """Read `campaign.yaml`, or that of a campaign's folder.

    Raises ConfigError with all that is wrong, RunFolderError if there is none.
    """
    if path.is_dir():
        if not (path / NAME).is_file():
            raise RunFolderError(f"{path} is not the folder of a campaign: it has no {NAME}.")
        path = path / NAME
    if not path.exists():
        raise RunFolderError(f"{path} is not there. Name the folder of a campaign, or its {NAME}.")
    if path.name != NAME:
        raise RunFolderError(f"{path}: the file of a campaign is called {NAME}; each has a folder of its own.")
    problems: list[Problem] = []
    content = YamlFile.read(path, problems, "campaign config", _BEGIN)
    if content is None:
        raise failure(problems)
    config = validated(CampaignConfig, content.data, {"base": path.absolute().parent}, content.where, problems)
    if config is None:
        raise failure(problems)
    return Campaign(path.absolute(), config, content.where)
