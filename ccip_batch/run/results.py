"""What a node that is done leaves behind: its result."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import Field, JsonValue, ValidationError

from ccip_batch.casa.speed import SelfChecks
from ccip_batch.errors import DataError
from ccip_batch.records import Model
from ccip_batch.run.checksums import Output, ProductFile

T = TypeVar("T", bound=Model)
R = TypeVar("R", bound="StageResult")


class StageRecord(Model):
    """One stage as a node ran it."""

    name: str
    started: float
    """Seconds since 1970, UTC."""
    elapsed_s: float
    cpu_s: float
    casa_cpu_s: float
    """CPU seconds inside CASA calls."""
    result: JsonValue
    """What the stage returned, as its own type writes it."""


class StageResult(Model):
    """What a stage returns; the class says which stage, so that a result is looked up by its type."""

    stage: ClassVar[str]
    """Name of the stage in the records of nodes."""


class Usage(Model):
    """What a node used."""

    cpu_s: float
    peak_memory_bytes: int
    """Largest resident set of the process that did the work, and of its children with it, seen once a second."""
    wall_s: float
    cores: int = 1
    """That it might use; more than one are asked for with more memory."""


OUTCOME = "outcome.json"
"""In the work folder, written by a worker that is done."""


class Outcome(Model):
    """What a worker tells its supervisor: what became of the node, and the files that it gives to the user."""

    summary: str
    files: tuple[ProductFile, ...] = ()
    outputs: tuple[Output, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    """Of what made them: ccip_batch, Python, CASA."""
    self_checks: SelfChecks | None = None
    """Whether casacore's were off; None without CASA."""


class NodeResult(Model):
    """A node that is done."""

    node: str
    kind: str
    spw: str | None
    fingerprint: str
    summary: str
    """What became of it, in a sentence."""
    started: float
    ended: float
    host: str
    attempts: int
    usage: Usage
    versions: dict[str, str]
    self_checks: SelfChecks | None = None
    """Whether casacore's were off; None if CASA was not needed, or not known."""
    stages: list[StageRecord]
    files: tuple[ProductFile, ...] = ()
    """Files that it gives to the user, with checksums."""
    outputs: tuple[Output, ...] = ()
    """What it leaves for other nodes alone, with checksums."""
    checksum: str = ""
    """SHA-256 of all the rest: a figure that was changed afterwards would be no damage that JSON shows."""

    def sealed(self) -> NodeResult:
        """The same with its checksum."""
        return self.model_copy(update={"checksum": self._sum()})

    def is_intact(self) -> bool:
        """Whether nothing was changed since it was sealed."""
        return self.checksum == self._sum()

    def _sum(self) -> str:
        content = self.model_dump(mode="json", exclude={"checksum"})
        if self.self_checks is None:  # older results do not have it
            del content["self_checks"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def of(self, kind: type[R]) -> R:
        """What the stage that returns this type returned. Raises DataError if the node did not run it."""
        return kind.model_validate(self.stage(kind.stage))

    def stage(self, name: str) -> Any:
        """What a stage returned, as JSON data. Raises DataError if the node did not run it."""
        for record in self.stages:
            if record.name == name:
                return record.result
        raise DataError(f"node {self.node} has no result of stage {name}")


def read_result(path: Path) -> NodeResult | None:
    """A node's result; None without one, or if it is damaged: the node is then run again."""
    result = read_record(path, NodeResult)
    return result if result is not None and result.is_intact() else None


def read_record(path: Path, kind: type[T]) -> T | None:
    """A record saved as JSON; None if the file is missing or damaged."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
