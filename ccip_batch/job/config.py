"""The job config: YAML is read into a typed `Job`; parameter lists and defaults make it a `ResolvedJob`.

Of these the last one wins: default < parameter list < job config < command line. (In NRAO's pipeline a parameter list
wins over the arguments of a task.)
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from astropy.units import Quantity
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from ccip_batch.job.data_size import DataSize
from ccip_batch.job.option_types import (
    MOST,
    Angle,
    Container,
    Count,
    Duration,
    Flux,
    Fraction,
    Frequency,
    ImageSize,
    InputPath,
    Memory,
    Number,
    Scales,
    SpwGroups,
    Spws,
    Switch,
    Taper,
    UvRange,
)
from ccip_batch.job.problems import Problem, failure
from ccip_batch.job.validation import Where, validated
from ccip_batch.job.yaml_file import YamlFile

CUTOUT_ARCSEC = 3600.0 + 120.0
"""Side of the cutout of a plane: 1 degree + 2 arcmin."""


class Section(BaseModel):
    """A section of the config: frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Inputs(Section):
    """The files of one job. Relative paths are relative to the file that names them."""

    vis: InputPath = Field(description="The PIMS, `<root>.ms`; it is only read.")
    reimaging_resources: InputPath = Field(
        description="`reimaging_resources.tgz` of SE-CONT: masks, model, self-calibration table, flag version."
    )
    seip_parameter_list: InputPath = Field(description="`SEIP_parameter.list`, the parameters of the SE-CONT run.")
    ccip_parameter_list: InputPath = Field(description="`CCIP_parameter.list`, the parameters of the cube.")
    flag_commands: InputPath | None = Field(
        None, description="Extra flag commands for the target, one `flagdata` command per line, applied in stage 5."
    )


class CleanParameters(Section):
    """Deconvolution: may differ between iter1, iter2 and iter3."""

    niter: Annotated[int, Field(strict=True, ge=0, le=MOST)] | None = Field(
        None, description="Largest number of minor cycle iterations."
    )
    nsigma: Number | None = Field(None, ge=0, description="Cleaning stops at this many times the robust rms.")
    threshold: Flux | None = Field(None, description="Cleaning stops at this flux density, such as `0.5mJy`.")
    cycleniter: Count | None = Field(None, description="Largest number of minor iterations in a major cycle.")
    nmajor: Count | None = Field(None, description="Largest number of major cycles.")
    scales: Scales | None = Field(None, description="Scales of the multi-scale clean, in pixels; 0 is a point.")
    smallscalebias: Number | None = Field(None, ge=-1, le=1, description="Bias of multi-scale towards small scales.")
    cyclefactor: Number | None = Field(
        None, gt=0, description="A minor cycle ends at this factor times the psf's sidelobe level times the peak."
    )


class ImageParameters(Section):
    """The image and the weights of the visibilities."""

    imsize: ImageSize | None = Field(None, description="Image size in pixels: one number or two.")
    cell: Angle | None = Field(None, description="Pixel size with its unit.")
    robust: Number | None = Field(None, ge=-2, le=2, description="Robustness of Briggs weighting.")
    uvrange: UvRange | None = Field(None, description="Range of baselines, as CASA selects it.")
    uvtaper: Taper | None = Field(None, description="Taper of the visibilities with its unit; `[]` means no taper.")
    weighting: Literal["briggs", "natural", "uniform"] | None = Field(None, description="Weighting scheme.")
    pblimit: Fraction | None = Field(
        None, description="Pixels where the primary beam is below this level are left out."
    )


class PlaneParameters(ImageParameters, CleanParameters):
    """Options of the planes that both a parameter list and the job config can set."""

    spw: SpwGroups | None = Field(
        None, description="One string per plane: `'2'`, or `'3,4'` for a plane of two spws; no ranges, no channels."
    )
    psfcutoff: Fraction | None = Field(None, description="The beam is fitted to psf pixels above this level.")
    cycleniter: Count | None = Field(
        None,
        description="Largest number of minor iterations in a major cycle of iter1 and iter2; "
        "iter3 has `cycleniter_final_image_nomask`.",
    )
    cycleniter_final_image_nomask: Count | None = Field(
        None, description="Largest number of minor iterations in a major cycle of iter3."
    )
    pbmask: Fraction | None = Field(None, description="iter3 cleans where the primary beam is above this level.")


class Imaging(PlaneParameters):
    """Stage 7, the planes. A value here holds for iter1 to iter3, or for all iterations if it defines the image."""

    iter1: CleanParameters = Field(CleanParameters(), description="For iter1 (tier-1 mask) alone.")
    iter2: CleanParameters = Field(CleanParameters(), description="For iter2 (tier-2 mask) alone.")
    iter3: CleanParameters = Field(CleanParameters(), description="For iter3 (primary beam mask) alone.")


class Prediction(ImageParameters):
    """Stage 4, which repeats SE-CONT's model prediction. Change it only if SE-CONT was run that way."""

    reffreq: Frequency | None = Field(None, description="Reference frequency of the model's Taylor terms.")
    nterms: int | None = Field(None, strict=True, ge=1, le=2, description="Number of Taylor terms of the model.")


class RejectBefore(Section):
    """Rejection by flags, before imaging."""

    apply: Switch = Field(True, description="Whether planes are rejected before imaging.")
    exclude_spw: Spws = Field((), description="A plane with one of these spws is never rejected here.")
    flagpct_thresh: Fraction = Field(0.9, description="A field counts if more than this fraction of it is flagged.")
    nfield_thresh: Count = Field(12, description="A plane is rejected if at least this many fields count.")


class RejectAfter(Section):
    """Rejection by beam and flags, after imaging: rejected planes are exported and marked."""

    apply: Switch = Field(True, description="Whether planes are rejected after imaging.")
    exclude_spw: Spws = Field((), description="A plane with one of these spws is never rejected here.")
    beamdev_thresh: Fraction = Field(0.2, description="Largest relative deviation of the beam from the expected one.")
    flagpct_thresh: Fraction = Field(0.8, description="A plane is rejected if this fraction of it is flagged, or more.")


class PlaneRejection(Section):
    """Which planes are left out."""

    before_imaging: RejectBefore = Field(RejectBefore(), description="By flags, before imaging.")
    after_imaging: RejectAfter = Field(RejectAfter(), description="By beam and flags, after imaging.")


class Execution(Section):
    """How the job is run. Nothing here changes a product."""

    engine: Literal["local", "htcondor"] = Field("local", description="Processes on this machine, or HTCondor.")
    site: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="Name of the pool's site profile, such as `ospool`; HTCondor needs it.",
    )
    container: Container | None = Field(
        None,
        description="Apptainer image for the nodes: a path, or a URL such as `osdf://`; without it, no image is used.",
    )
    workers: Count | None = Field(None, description="How many nodes run side by side; without it, one per core.")
    memory: Memory | None = Field(
        None, description="Memory for all nodes together, such as `12 GB`; without it, what the machine has."
    )
    keep: Literal["products", "debug", "all"] = Field(
        "products", description="What is kept after the export is verified: products, what helps debugging, or all."
    )
    checkpoint_interval: Duration = Field(
        3600, description="Time between checkpoints: seconds, or with a unit, such as `1h`."
    )
    casa_self_checks: Switch = Field(
        False,
        description="Leave casacore's checks of its own iterators on: products stay the same, "
        "but CASA takes up to three times as long.",
    )
    time_limit: Duration | None = Field(
        None,
        description="A node that takes longer is assumed to hang and is killed: seconds, or with a unit, such as `2h`; "
        "without it, 20 times the estimate, but at least six hours.",
    )


class Job(Section):
    """The job config: one PIMS, one square degree."""

    inputs: Inputs = Field(description="The files of the job.")
    imaging: Imaging = Field(Imaging(), description="Stage 7, the planes.")
    prediction: Prediction = Field(Prediction(), description="Stage 4, the prediction of SE-CONT's model.")
    plane_rejection: PlaneRejection = Field(PlaneRejection(), description="Which planes are left out or marked.")
    execution: Execution = Field(Execution(), description="How the job is run; changes no product.")


class ResolvedJob(Section):
    """The job with everything decided; the nodes are made from it. Written as `job.resolved.yaml`."""

    root: str = Field(description="Stem of the PIMS's name.")
    inputs: Inputs = Field(description="Absolute paths of the inputs.")
    imagename: str = Field(description="Image name of the cube, from CCIP_parameter.list.")
    phasecenter: str = Field(description="Phase centre of the planes.")
    imaging_mode: str = Field(description="Imaging mode of the planes.")
    continuum_imagename: str = Field(description="Image name of SE-CONT, from SEIP_parameter.list.")
    continuum_phasecenter: str = Field(description="Phase centre of SE-CONT.")
    continuum_mode: str = Field(description="Imaging mode of SE-CONT.")
    groups: SpwGroups = Field(description="The spw groups, a plane each.")
    science_spws: Spws = Field(description="The spws of stages 2 to 5, in ascending order.")
    prediction_call: dict[str, JsonValue] = Field(description="tclean parameters of the prediction.")
    iteration_calls: tuple[dict[str, JsonValue], ...] = Field(description="tclean parameters of iter0 to iter3.")
    plane_rejection: PlaneRejection = Field(description="Which planes are left out.")
    execution: Execution = Field(description="How the job is run.")
    data: DataSize = Field(description="How much data the PIMS holds.")
    versions: dict[str, str] = Field(description="Versions of ccip_batch and CASA where the job was resolved.")
    warnings: tuple[str, ...] = Field((), description="What was noticed in the inputs without being an error.")

    def prediction(self) -> dict[str, Any]:
        """tclean arguments of stage 4's first call, without vis, imagename, field, spw, scan and antenna."""
        return copy.deepcopy(self.prediction_call)

    def iteration(self, n: int) -> dict[str, Any]:
        """tclean arguments of iter`n` (0 to 3), without vis, imagename, field, spw, scan, antenna, reffreq, mask."""
        return copy.deepcopy(self.iteration_calls[n])

    def image_size(self) -> tuple[int, int]:
        """Pixels of the images of a plane."""
        return _size_of(self.iteration_calls[0])

    def prediction_size(self) -> tuple[int, int]:
        """Pixels of the images of stage 4."""
        return _size_of(self.prediction_call)

    def cutout_size(self) -> tuple[int, int]:
        """Pixels of the cutout of a plane."""
        side = round(CUTOUT_ARCSEC / Quantity(str(self.iteration_calls[0]["cell"])).to_value("arcsec"))
        width, height = self.image_size()
        return min(width, side), min(height, side)

    def to_yaml(self) -> str:
        """The job as text; the same job gives the same text."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, width=120, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str) -> ResolvedJob:
        """Read what `to_yaml` wrote. Raises ConfigError for anything else."""
        try:
            return cls.model_validate(yaml.safe_load(text))
        except (yaml.YAMLError, ValidationError) as error:
            raise failure(
                [Problem("job.resolved.yaml", "", f"is damaged: {error}", "Remove the run folder.")]
            ) from error


def _size_of(call: Mapping[str, Any]) -> tuple[int, int]:
    """Of a tclean call. The call itself is not copied: plans of thousands of jobs ask for this often."""
    width, height = call["imsize"]
    return int(width), int(height)


@dataclass(frozen=True)
class JobFile:
    """The parts of a job config that are right."""

    job: Job | None
    """The job, if everything is right."""
    inputs: dict[str, Path]
    """The inputs whose paths are right, by key."""
    execution: Execution
    """The options of `execution` that are right."""
    where: Where


def load_job(path: Path, overrides: Sequence[str] = ()) -> Job:
    """Read a job config.

    overrides: texts `KEY.SUB=VALUE` of the command line, the value in YAML. They win over the file; their paths are
    relative to the file too. Raises ConfigError, which lists everything that is wrong.
    """
    problems: list[Problem] = []
    read = read_job(path, overrides, problems)
    if read is None or read.job is None:
        raise failure(problems)
    return read.job


def read_job(path: Path, overrides: Sequence[str], problems: list[Problem]) -> JobFile | None:
    """Like `load_job`, but what is wrong is added to `problems`. None if the file cannot be read at all."""
    content = YamlFile.read(path, problems)
    if content is None:
        return None
    before = len(problems)
    for text in overrides:
        content.override(text, problems)
    read = job_file(content.data, path.absolute().parent, content.where, problems)
    return read if len(problems) == before else replace(read, job=None)


def job_file(data: dict[str, Any], base: Path, where: Where, problems: list[Problem]) -> JobFile:
    """A job config from its content; what is wrong is added to `problems`.

    base: the folder that relative paths are relative to. where: finds the place of a key, for messages.
    """
    before = len(problems)
    context = {"base": base}
    job = validated(Job, data, context, where, problems)
    if job is not None:
        _check_execution(job.execution, where, problems)
        _check_cycleniter(job.imaging, where, problems)
    inputs, execution = _right_parts(data, context)
    return JobFile(job if len(problems) == before else None, inputs, execution, where)


def _right_parts(data: dict[str, Any], context: dict[str, Any]) -> tuple[dict[str, Path], Execution]:
    """Each input and each option of `execution` whose value is right, whatever is wrong elsewhere."""
    sections = {name: part if isinstance(part := data.get(name), dict) else {} for name in ("inputs", "execution")}
    paths: dict[str, Path] = {}
    for key in Inputs.model_fields:
        with suppress(ValidationError):
            paths[key] = TypeAdapter(InputPath).validate_python(sections["inputs"].get(key), context=context)
    right: dict[str, Any] = {}
    for key, value in sections["execution"].items():
        with suppress(ValidationError):
            Execution.model_validate({key: value}, context=context)
            right[key] = value
    return paths, Execution.model_validate(right, context=context)


def _check_execution(execution: Execution, where: Where, problems: list[Problem]) -> None:
    if execution.engine == "htcondor" and execution.site is None:
        problems.append(
            Problem(
                where(("execution", "engine")), "execution.site", "is missing", "Name a site profile, such as nrao."
            )
        )


def _check_cycleniter(planes: Imaging, where: Where, problems: list[Problem]) -> None:
    if planes.iter3.cycleniter is not None and planes.cycleniter_final_image_nomask is not None:
        problems.append(
            Problem(
                where(("imaging", "iter3", "cycleniter")),
                "imaging.iter3.cycleniter",
                "means the same as imaging.cycleniter_final_image_nomask, and both are given",
                "Keep one of them.",
            )
        )
