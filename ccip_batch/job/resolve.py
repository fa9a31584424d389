"""From a job config and its parameter lists to a job with everything decided."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ccip_batch import __version__
from ccip_batch.job import parameter_list, tclean_table
from ccip_batch.job.config import Imaging, Job, PlaneParameters, Prediction, ResolvedJob
from ccip_batch.job.data_size import DataSize
from ccip_batch.job.option_types import PhaseCentre
from ccip_batch.job.parameter_list import ParameterList
from ccip_batch.job.problems import Problem, failure, shown
from ccip_batch.job.spw_groups import SCIENCE_SPWS, SpwGroup
from ccip_batch.job.validation import Checked, Where, validated
from ccip_batch.job.versions import casa_versions

CUBE_MODE = "VLASS-SE-CUBE"
CONTINUUM_MODE = "VLASS-SE-CONT-MOSAIC"
_AW_MODES = re.compile(r"VLASS-SE-CONT(-AWP.*|-AW.*)?")


_IMAGENAME = r"^[A-Za-z0-9][A-Za-z0-9+_-]*(\.[A-Za-z0-9+_-]+)*$"
_CUBE_IMAGENAME = r"^[A-Za-z0-9][A-Za-z0-9+_-]*(\.[A-Za-z0-9+_-]+){4,}$"


class CubeList(PlaneParameters):
    """What is read from CCIP_parameter.list."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    imagename: str = Field(
        pattern=_CUBE_IMAGENAME,
        description="Image name: letters, digits, `_`, `+`, `-`; at least five parts between dots, "
        "the fifth of which names the object.",
    )
    phasecenter: PhaseCentre = Field(description="Such as `J2000 13:33:35.814 +16.44.04.255`.")
    imaging_mode: str = Field(description=f"`{CUBE_MODE}`.")


class ContinuumList(Prediction):
    """What is read from SEIP_parameter.list. Its cleaning parameters do not matter: the model is only predicted."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    imagename: str = Field(pattern=_IMAGENAME, description="Image name: letters, digits, `.`, `_`, `+` and `-`.")
    phasecenter: PhaseCentre = Field(description="Such as `J2000 13:33:35.814 +16.44.04.255`.")
    imaging_mode: str = Field(description=f"`{CONTINUUM_MODE}`.")


_WITHOUT_EFFECT = {"niter", "cycleniter", "cycleniter_final_image_nomask", "threshold", "nsigma", "scales", "nmajor"}
_KNOWN_ELSEWHERE = {"cfcache", "cfcache_nowb", "editmode", "spw"}


@dataclass(frozen=True)
class Lists:
    """The contents of both parameter lists, as far as they are right."""

    continuum: ContinuumList | None
    cube: CubeList | None
    science_spws: tuple[int, ...] | None
    """The spws of SE-CONT, in ascending order."""
    warnings: tuple[str, ...]


def read_lists(seip: Path | None, ccip: Path | None, problems: list[Problem]) -> Lists:
    """Read the parameter lists (None for one that is missing). What is wrong is added to `problems`."""
    warnings: list[str] = []
    of_continuum = parameter_list.read(seip, problems) if seip else None
    of_cube = parameter_list.read(ccip, problems) if ccip else None
    return Lists(
        continuum=_from_list(ContinuumList, of_continuum, CONTINUUM_MODE, problems, warnings),
        cube=_from_list(CubeList, of_cube, CUBE_MODE, problems, warnings),
        science_spws=_science_spws(of_continuum, problems),
        warnings=tuple(warnings),
    )


def resolve(job: Job) -> ResolvedJob:
    """Read both parameter lists and decide everything. Raises ConfigError, listing everything that is wrong."""
    problems: list[Problem] = []
    lists = read_lists(job.inputs.seip_parameter_list, job.inputs.ccip_parameter_list, problems)
    resolved = decide(job, lists, lambda _: "the job config", problems)
    if resolved is None or problems:
        raise failure(problems)
    return resolved


def decide(job: Job, lists: Lists, where: Where, problems: list[Problem]) -> ResolvedJob | None:
    """The job with everything decided; None if a list is not right. What is wrong is added to `problems`."""
    continuum, cube, science = lists.continuum, lists.cube, lists.science_spws
    if cube is None or continuum is None or science is None:
        return None
    groups = job.imaging.spw or cube.spw or tuple(SpwGroup((spw,)) for spw in science)
    outside = sorted({spw for group in groups for spw in group.spws} - set(science))
    if outside:
        source = where(("imaging", "spw")) if job.imaging.spw else str(job.inputs.ccip_parameter_list)
        problems.append(
            Problem(
                source,
                "imaging.spw",
                f"spws {outside} are not among those of SE-CONT",
                f"Its science spws are {list(science)}.",
            )
        )
        return None
    warnings = lists.warnings
    if cube.phasecenter != continuum.phasecenter:
        differ = f"the phase centres of the two parameter lists differ: {continuum.phasecenter!r}, {cube.phasecenter!r}"
        warnings = (*warnings, differ)
    return ResolvedJob(
        root=job.inputs.vis.stem,
        inputs=job.inputs,
        imagename=cube.imagename,
        phasecenter=cube.phasecenter,
        imaging_mode=cube.imaging_mode,
        continuum_imagename=continuum.imagename,
        continuum_phasecenter=continuum.phasecenter,
        continuum_mode=continuum.imaging_mode,
        groups=groups,
        science_spws=science,
        prediction_call=_prediction_call(continuum, job.prediction),
        iteration_calls=tuple(_iteration_call(n, cube, job.imaging) for n in range(len(tclean_table.ITERATIONS))),
        plane_rejection=job.plane_rejection,
        execution=job.execution,
        data=DataSize.of(job.inputs.vis, science),
        # In an image, CASA is the image's: the local engine asks it; in a pool it is in the results of the nodes.
        versions={"ccip_batch": __version__, **(casa_versions() if job.execution.container is None else {})},
        warnings=warnings,
    )


def _prediction_call(continuum: ContinuumList, config: Prediction) -> dict[str, Any]:
    call = {**copy.deepcopy(tclean_table.PREDICTION), "phasecenter": continuum.phasecenter}
    for source in (continuum, config):
        call.update(_given(source, tuple(Prediction.model_fields)))
    return _without_empty_taper(call)


def _iteration_call(n: int, cube: CubeList, config: Imaging) -> dict[str, Any]:
    call = {**copy.deepcopy(tclean_table.ITERATIONS[n]), "phasecenter": cube.phasecenter}
    for source in (cube, config):
        call.update(_given(source, tclean_table.IMAGE_PARAMETERS))
        if n == 0:
            continue
        clean = _given(source, tclean_table.CLEAN_PARAMETERS)
        if n == 3:
            clean.pop("cycleniter", None)
            if source.cycleniter_final_image_nomask is not None:
                clean["cycleniter"] = source.cycleniter_final_image_nomask
            if source.pbmask is not None:
                clean["pbmask"] = source.pbmask
        call.update(clean)
    if n > 0:
        call.update(_given((config.iter1, config.iter2, config.iter3)[n - 1], tclean_table.CLEAN_PARAMETERS))
    return _without_empty_taper(call)


def _given(source: BaseModel, names: Sequence[str]) -> dict[str, Any]:
    values = source.model_dump(mode="json", include=set(names))
    return {name: values[name] for name in names if values.get(name) is not None}


def _without_empty_taper(call: dict[str, Any]) -> dict[str, Any]:
    if not call.get("uvtaper"):
        call.pop("uvtaper", None)
    return call


def _from_list(
    model: type[Checked], values: ParameterList | None, mode: str, problems: list[Problem], warnings: list[str]
) -> Checked | None:
    """A parameter list against its model; None if it is missing or something in it is wrong.

    model: CubeList or ContinuumList. values: the list, or None. mode: the imaging mode that it must have.
    problems, warnings: what is wrong, and what is only noticed, is added to these.
    """
    if values is None:
        return None
    known = set(model.model_fields) | _KNOWN_ELSEWHERE
    warnings.extend(_fixed_parameters(model, values))
    table = set(tclean_table.ITERATIONS[0]) if model is CubeList else set(tclean_table.PREDICTION)
    warnings.extend(values.unknown(known | _WITHOUT_EFFECT | table))
    found = validated(model, values.values, {}, lambda loc: values.where(str(loc[0]) if loc else ""), problems)
    given = values.values.get("imaging_mode")
    if isinstance(given, str) and given != mode:
        problems.append(Problem(values.where("imaging_mode"), "imaging_mode", *_wrong_mode(given, mode)))
        return None
    return found


def _wrong_mode(given: str, mode: str) -> tuple[str, str]:
    if mode == CONTINUUM_MODE and _AW_MODES.fullmatch(given):
        return (
            f"{shown(given)} is an AW-projection mode, which is not supported (it needs a cfcache)",
            f"Only squares whose SE-CONT was made with the mosaic gridder, {mode!r}, can be imaged.",
        )
    return f"{shown(given)} is not an imaging mode that belongs here", f"It must be {mode!r}."


def _fixed_parameters(model: type[BaseModel], values: ParameterList) -> list[str]:
    """A warning for each parameter of the list that differs from the value that is always used."""
    table = tclean_table.ITERATIONS[0] if model is CubeList else tclean_table.PREDICTION
    return [
        f"{values.where(key)}: {key}: {shown(value)} is not used; this mode always takes {table[key]!r}"
        for key, value in values.values.items()
        if key in table and key not in model.model_fields and key not in _WITHOUT_EFFECT and value != table[key]
    ]


def _science_spws(seip: ParameterList | None, problems: list[Problem]) -> tuple[int, ...] | None:
    """The spws of SE-CONT: `'2,3,4'`, `'2~17'`, or a list of such."""
    if seip is None:
        return None
    value = seip.values.get("spw", list(SCIENCE_SPWS))
    parts = [part for item in (value if isinstance(value, list | tuple) else [value]) for part in str(item).split(",")]
    spws: list[int] = []
    for part in parts:
        found = re.fullmatch(r"(\d{1,4})(?:~(\d{1,4}))?", part.strip(), re.ASCII)
        if found is None:
            problems.append(
                Problem(
                    seip.where("spw"),
                    "spw",
                    f"{shown(value)} is not a list of spws",
                    "Write it like '2,3,4' or '2~17'.",
                )
            )
            return None
        spws.extend(range(int(found[1]), int(found[2] or found[1]) + 1))
    if not spws or len(set(spws)) != len(spws):
        problems.append(
            Problem(seip.where("spw"), "spw", f"{shown(value)} names no spw, or names one twice", "Name each once.")
        )
        return None
    return tuple(sorted(spws))
