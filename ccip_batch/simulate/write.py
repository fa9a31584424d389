"""Simulate a job: its measurement set, its SE-CONT products, its parameter lists, the truth and a job config."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ccip_batch import processes
from ccip_batch.casa.session import Casa
from ccip_batch.errors import CasaError, DataError
from ccip_batch.job.casa_names import unfit_in_folder
from ccip_batch.job.spw_groups import SCIENCE_SPWS
from ccip_batch.job.versions import CASA_MISSING, casa_is_installed
from ccip_batch.simulate.continuum import SE_NAME, UVTAPER, make_products, pack
from ccip_batch.simulate.observation import (
    PHASE_CENTRE,
    PHASE_CENTRE_TEXT,
    ROOT,
    Field,
    antenna_names,
    make_structure,
    mosaic,
    spw_frequencies,
)
from ccip_batch.simulate.presets import Preset, resolve
from ccip_batch.simulate.sky import REFERENCE_FREQUENCY
from ccip_batch.simulate.visibilities import PHASE_RMS, SEFD, Interference, fill, phase_errors

CC_NAME = "VLASS2.1.cc.T00t00.J133336+164404.06.2048.v{seed}"
"""The imagename of CCIP_parameter.list; each seed has its own, so that several can be squares of a campaign."""
Progress = Callable[[str], None]
PROGRESS_MARK = "progress: "
"""What a line of progress of the CASA process begins with."""
_WORK = ".simulate.part"


def simulate(
    folder: Path, preset: str = "demo", seed: int = 1, progress: Progress | None = None, **sizes: float | None
) -> Path:
    """Write a simulated job into a folder and return the path of its `job.yaml`.

    folder: made if it is not there; must be empty. preset: a key of `presets.PRESETS`. seed: the same seed gives the
    same bytes in the measurement set's columns. progress: called with a line for each step. sizes: `channels`,
    `fields`, `integrations`, `pixels`, `cell` (arcsec), `niter` override the preset's.

    CASA works in a process and a folder of its own, so that neither its settings nor its crash reach the caller. The
    files appear under their names only when all of them are whole. Raises DataError if the folder is not empty,
    ConfigError for an unknown preset or impossible sizes, CasaError if CASA fails.
    """
    if not casa_is_installed():
        raise CasaError(f"{CASA_MISSING}, or simulate in the container.")
    chosen = resolve(preset, **sizes)
    mosaic(chosen)
    antenna_names(chosen.configuration)
    _require_empty(folder)
    unfit = unfit_in_folder(folder.resolve())
    if unfit:
        raise DataError(f"{str(folder)!r} has {unfit} in its path, with which CASA cannot work: name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / _WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        _run({"preset": preset, "seed": seed, "sizes": sizes}, work, progress or (lambda line: None))
        finished = work / "finished"
        for path in sorted(finished.iterdir(), key=lambda path: path.name == "job.yaml"):
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder / "job.yaml"


def _require_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: name a new folder to simulate into.")
    if folder.is_dir() and any(path.name != _WORK for path in folder.iterdir()):
        raise DataError(f"{folder} is not empty: nothing is overwritten, name a new folder or empty this one.")


def _run(request: dict[str, Any], work: Path, progress: Progress) -> None:
    """Run `make` in a process of its own, passing its lines of progress on."""
    command = processes.python_module("ccip_batch.simulate", json.dumps(request))
    last: deque[str] = deque(maxlen=8)
    with subprocess.Popen(
        command,
        cwd=work,
        env=processes.child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                if line.startswith(PROGRESS_MARK):
                    progress(line.removeprefix(PROGRESS_MARK).rstrip())
                elif line.strip():
                    last.append(line.rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise CasaError(
            f"The simulation failed (exit status {process.returncode}). Its last lines:\n" + "\n".join(last)
        )


def make(preset: Preset, seed: int, progress: Progress) -> None:
    """Simulate in the current folder; the files to keep end up in its folder `finished`."""
    casa = Casa(Path("casa.log"))
    fields = mosaic(preset)
    antennas = len(antenna_names(preset.configuration))
    phases = phase_errors(preset, sorted({field.scan for field in fields}), antennas, seed)
    progress(f"structure of the measurement set: {len(fields)} fields, {preset.channels} channels a spw")
    start = make_structure(casa, f"{ROOT}.ms", preset, fields)
    progress("visibilities")
    fractions, bursts = fill(casa, f"{ROOT}.ms", preset, fields, phases, seed)
    products = make_products(casa, preset, fields, bursts, progress)
    progress("packing")
    finished = Path("finished")
    finished.mkdir()
    pack(products, finished / "reimaging_resources.tgz")
    Path(f"{ROOT}.ms").rename(finished / f"{ROOT}.ms")
    _write_lists(finished, preset, seed)
    truth = _truth(preset, seed, start, fields, phases, fractions, bursts)
    (finished / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    (finished / "job.yaml").write_text(_job(preset))


def _write_lists(folder: Path, preset: Preset, seed: int) -> None:
    size = f"imsize=[{preset.pixels}, {preset.pixels}]\ncell=['{preset.cell:g}arcsec']\n"
    groups = ",".join(repr(group) for group in preset.groups)
    name = CC_NAME.format(seed=seed)
    (folder / "CCIP_parameter.list").write_text(
        f"imagename={name!r}\nphasecenter={PHASE_CENTRE_TEXT!r}\nimaging_mode='VLASS-SE-CUBE'\n{size}"
        f"niter={preset.niter}\nspw=[{groups}]\n"
    )
    spws = ",".join(str(spw) for spw in preset.spws)
    (folder / "SEIP_parameter.list").write_text(
        f"imagename={SE_NAME!r}\nphasecenter={PHASE_CENTRE_TEXT!r}\nimaging_mode='VLASS-SE-CONT-MOSAIC'\n{size}"
        f"niter={preset.niter}\nuvtaper=[{UVTAPER[preset.configuration]!r}]\nspw={spws!r}\n"
    )


def _truth(
    preset: Preset,
    seed: int,
    start: float,
    fields: list[Field],
    phases: dict[int, np.ndarray[Any, np.dtype[np.float64]]],
    fractions: dict[int, float],
    bursts: list[Interference],
) -> dict[str, Any]:
    """The content of truth.json.

    preset, seed: what was simulated. start: of the first target scan, MJD (UTC). fields: of the mosaic. phases: errors
    of the antennas by scan, radians. fractions: flagged fraction by spw. bursts: the interference.
    """
    frequencies = {spw: spw_frequencies(spw, preset.channels) for spw in (0, 1, *SCIENCE_SPWS)}
    return {
        "ms": f"{ROOT}.ms",
        "phasecenter": PHASE_CENTRE_TEXT,
        "ra0_rad": float(PHASE_CENTRE[0]),
        "dec0_rad": float(PHASE_CENTRE[1]),
        "reffreq_hz": REFERENCE_FREQUENCY,
        "conventions": "dx, dy: arcsec from phasecenter (SIN projection, +dx east); i0: Jy at reffreq; I ~ nu^alpha; "
        "p: fraction linearly polarised, chi = chi0 (deg) + rm lambda^2, Q = p I cos 2chi, U = p I sin 2chi; "
        "v: fraction V; gauss: major and minor axis (arcsec), position angle (deg); in_ql: in the tier-1 mask",
        "sources": [source.as_dict() for source in preset.sources],
        "config": f"vla.{preset.configuration} antenna positions",
        "preset": preset.name,
        "nchan": preset.channels,
        "nint": preset.integrations,
        "seed": seed,
        "sefd_jy": SEFD,
        "phase_rms_deg": PHASE_RMS,
        "fields": [field.as_dict() for field in fields],
        "obs_mjd": start,
        "phase_err_rad": {str(scan): values.tolist() for scan, values in phases.items()},
        "antennas": antenna_names(preset.configuration),
        "flagged_frac": {str(spw): fraction for spw, fraction in fractions.items()},
        "rfi_rows": {str(burst.spw): len(burst.keys) for burst in bursts},
        "imsize": preset.pixels,
        "cell": f"{preset.cell:g}arcsec",
        "spw_groups": list(preset.groups),
        "spw_freq_hz": {str(spw): float(values.mean()) for spw, values in frequencies.items()},
    }


def _job(preset: Preset) -> str:
    job: dict[str, Any] = {
        "inputs": {
            "vis": f"{ROOT}.ms",
            "reimaging_resources": "reimaging_resources.tgz",
            "seip_parameter_list": "SEIP_parameter.list",
            "ccip_parameter_list": "CCIP_parameter.list",
        }
    }
    if preset.imaging:
        job["imaging"] = preset.imaging
    if preset.nfield_thresh is not None:
        job["plane_rejection"] = {"before_imaging": {"nfield_thresh": preset.nfield_thresh}}
    job["execution"] = {"engine": "local"}
    head = f"# A simulated job (preset {preset.name}): ccip-batch run job.yaml\n"
    return head + str(yaml.safe_dump(job, sort_keys=False))
