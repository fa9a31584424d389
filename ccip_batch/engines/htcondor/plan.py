"""What HTCondor is given for a job: ccip.dag, the submit descriptions, and what both need, in the run folder's dag/."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2
import yaml

from ccip_batch.engines.htcondor.attempts import ATTEMPTS, Attempt, read_attempt, write_attempt
from ccip_batch.engines.htcondor.doubts import doubts
from ccip_batch.engines.htcondor.requests import largest_file_bytes, megabytes, request
from ccip_batch.engines.htcondor.sites import Site, load_site, read_site, site_path
from ccip_batch.engines.htcondor.staging import LARGE_INPUTS, Staging, image_address
from ccip_batch.errors import ConfigError, ExitCode
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.package_files import data_folder
from ccip_batch.nodes.apptainer import image_complaints, is_address
from ccip_batch.processes import CHECKPOINT_VARIABLE, PYTHON_OPTIONS, PYTHON_PATH, python_path
from ccip_batch.records import write_whole
from ccip_batch.run.run import Run
from ccip_batch.workflow import estimates
from ccip_batch.workflow.graph import build_graph
from ccip_batch.workflow.kinds import KINDS

DAG = "ccip.dag"
SCRIPT = "ccip-dag.sh"
CONFIG = "dagman.config"
_CONFIG = """\
# DAGMan's own configuration for this DAG. Its scripts pack, unpack and link files on the access point: a few at a time.
DAGMAN_MAX_PRE_SCRIPTS = 2
DAGMAN_MAX_POST_SCRIPTS = 2
"""
SITE = "site.yaml"
"""The site profile as it was when the run was planned."""
DAG_SCRIPTS = "ccip_batch.engines.htcondor.dag_scripts"
"""The module that DAGMan's scripts call."""
LOGS = "logs"

NO_RETRY = int(ExitCode.PLANES_FAILED)
"""Exit code of a POST script: a retry cannot repair it."""

IMAGE_PYTHON = "/opt/ccip/bin/python"
"""In an image that `make image` made."""

_NO_LIMIT_MB = 10**9
_EXAMPLE = re.compile(r"your\.(name|project)|Your_Project")
_SAFE_PATH = re.compile(r"[^\s,;\"'$\\]+")
"""Paths that HTCondor's lists of files and of arguments take as they are."""


def site_of(job: ResolvedJob) -> Site:
    """The site profile of a job. Raises ConfigError if the job is not for HTCondor, or its site is unknown."""
    if job.execution.engine != "htcondor" or job.execution.site is None:
        raise ConfigError(
            "execution.engine is local; `plan` and `submit` need execution.engine: htcondor and an execution.site, "
            "in the job config or with --set."
        )
    return load_site(job.execution.site)


def planned_site(run: Run) -> Site:
    """The site profile that a run was planned with. Raises ConfigError if it was not planned."""
    return read_site(run.folder.dag / SITE)


def write_plan(run: Run, most_jobs: int | None = None) -> list[str]:
    """Write everything that HTCondor needs into dag/; gives warnings. The same job gives the same text.

    most_jobs: how many jobs of the DAG may be in the queue at once.

    Raises ConfigError if the site is unknown or does not fit the job, ResourceError if no machine is large enough.
    """
    job, dag = run.job, run.folder.dag
    site = check_site(job)
    container = job.execution.container or site.container
    staging = Staging(run, site)
    for folder in (dag / LOGS, dag / ATTEMPTS):
        folder.mkdir(parents=True, exist_ok=True)
    if site.data == "transfer":
        staging.make_folders()
    for node in run.graph.nodes:  # the name stays: a tar of that name may wait to be unpacked
        write_attempt(run, node.name, Attempt(name=read_attempt(run, node.name).name))
    for name in ("common.sub", *(f"{kind}.sub" for kind in KINDS)):
        shutil.copyfile(data_folder("condor") / name, dag / name)
    variables = planning_variables(site.environment)
    here = _words(variables)
    python = site.python or (IMAGE_PYTHON if container else sys.executable)
    there = here if python == sys.executable else _words(site.environment)
    if site.data == "transfer":
        there = f"{there} {CHECKPOINT_VARIABLE}={site.checkpoint_every}".strip()
    values = {
        "name": job.execution.site,
        "site": site,
        "container": container and image_address(run, site, container),
        "python": python,
        "python_options": " ".join(PYTHON_OPTIONS),
        "environment": there,
        "tars": staging.address,
        "memory_limit": megabytes(site.memory_limit) or _NO_LIMIT_MB,
        "disk_limit": megabytes(site.disk_limit) or _NO_LIMIT_MB,
    }
    render = _templates()
    write_whole(dag / SITE, yaml.safe_dump(site.model_dump(mode="json", exclude_none=True), sort_keys=False))
    write_whole(dag / "site.sub", render("site.sub.j2", values))
    write_whole(dag / "machines.sub", render("machines.sub.j2", values))
    bound = f"DAGMAN_MAX_JOBS_SUBMITTED = {most_jobs}\n" if most_jobs else ""
    write_whole(dag / CONFIG, _CONFIG + bound)
    write_script(
        dag / SCRIPT, DAG_SCRIPTS, "before (pre) and after (post) each node, and at the end (final)", "plan", variables
    )
    write_whole(dag / DAG, _dag_text(render, staging))  # last: with it, the run is planned
    return [*doubts(job, site), *estimates.extrapolated(job)]


def _refuse_examples(path: Path, site: Site) -> None:
    """Raise ConfigError if a profile still has the names of the package's examples in it."""
    values = {f"accounting.{key}": value for key, value in site.accounting if value}
    values |= {f"urls.{folder}": url for folder, url in site.urls.items()}
    values |= {f"submit.{key}": value for key, value in site.submit.items()}
    values |= {"container": site.container} if site.container else {}
    for key, value in values.items():
        if _EXAMPLE.search(f"{key} {value}"):
            raise ConfigError(f"{path}: {key}: {value} is the example's; put yours there.")


def check_site(job: ResolvedJob) -> Site:
    """The site of a job that it can take. Raises ConfigError, or ResourceError if no machine is large enough."""
    site = site_of(job)
    _refuse_examples(site_path(str(job.execution.site)), site)
    container = job.execution.container or site.container
    if site.needs_container and container is None:
        raise ConfigError(
            f"execution.container: nodes run in a container at {job.execution.site}; name the image, such as "
            "osdf:///ospool/ap40/data/your.name/ccip-batch-0.1.0.sif"
        )
    if container is not None and "/your.name/" in container:
        raise ConfigError(f"execution.container: {container} is the example's address; put that of your image there.")
    if container is not None and not is_address(container):
        for wrong, right in image_complaints(container):
            raise ConfigError(f"execution.container: {wrong}. {right}")
    paths = [sys.executable, *python_path()]
    if container is not None:
        paths.append(container)
    if site.data == "transfer":
        paths += [str(job.inputs.vis), str(job.inputs.reimaging_resources)]
    for path in paths:
        if not _SAFE_PATH.fullmatch(path):
            raise ConfigError(
                f"{path!r} has a blank, a comma, a quote or such in it, which HTCondor's lists do not take. "
                "Rename it, or make a link with a plain name."
            )
    for node in build_graph(job.groups).nodes:
        request(job, site, node)
    for folder in site.urls:
        if not Path(folder).is_dir():
            raise ConfigError(
                f"{job.execution.site}: {folder} (`urls`) is not a folder here. Plan on the access point, or "
                "correct the site profile."
            )
    _refuse_large_image(job, site, container)
    largest = largest_file_bytes(job)
    if site.data == "transfer" and site.largest_file is not None and largest > site.largest_file and not site.urls:
        raise ConfigError(
            f"a file of some {largest / 1e9:.1f} GB must be transferred, and {job.execution.site} takes none over "
            f"{site.largest_file / 1e9:.0f} GB without a URL. Map a folder of the access point to its URL in the site "
            "profile (`urls`)."
        )
    return site


def _refuse_large_image(job: ResolvedJob, site: Site, container: str | None) -> None:
    """Raise ConfigError for an image that goes to each job by plain transfer and is larger than the site takes so."""
    if site.data == "shared" or site.largest_file is None or container is None or is_address(container):
        return
    size = Path(container).stat().st_size
    if size > site.largest_file and site.url_of(Path(container)) is None:
        raise ConfigError(
            f"execution.container: {container} has {size / 1e9:.2f} GB, and {job.execution.site} takes no file over "
            f"{site.largest_file / 1e9:.2f} GB without a URL. Put it into a folder of `urls` in the site profile."
        )


def _dag_text(render: Callable[[str, Mapping[str, object]], str], staging: Staging) -> str:
    run, site, job = staging.run, staging.site, staging.run.job
    inputs = ", ".join(staging.inputs()) if site.data == "transfer" else ""
    nodes = [
        {
            "name": node.name,
            "kind": node.kind,
            "parents": node.parents,
            "request": request(job, site, node),
            "inputs": inputs if set(LARGE_INPUTS) <= set(KINDS[node.kind].inputs) else "",
        }
        for node in run.graph.nodes
    ]
    return render(
        f"{DAG}.j2",
        {
            "imagename": job.imagename,
            "planes": len(job.groups),
            "site": job.execution.site,
            "version": site.htcondor,
            "data": "files are transferred" if site.data == "transfer" else "shared file system",
            "nodes": nodes,
            "max_jobs": {kind: site.max_jobs[kind] for kind in KINDS if kind in site.max_jobs},
            "retries": site.retries,
            "no_retry": NO_RETRY,
            "config": CONFIG,
        },
    )


def _templates() -> Callable[[str, Mapping[str, object]], str]:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_folder("condor")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # it is no HTML; what comes in was checked to be plain
    )

    def render(name: str, values: Mapping[str, object]) -> str:
        return environment.get_template(name).render(values)

    return render


def planning_variables(given: Mapping[str, str]) -> dict[str, str]:
    """Variables for what runs with the Python that plans: PYTHONPATH too, if this package was found by it."""
    needed = python_path()
    return {**({PYTHON_PATH: os.pathsep.join(needed)} if needed else {}), **given}


def _words(variables: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(variables.items()))


def write_script(path: Path, module: str, when: str, verb: str, variables: Mapping[str, str]) -> None:
    """Write what DAGMan calls around its nodes: a module with this Python, wherever DAGMan was started from.

    when: in words, and verb: of `ccip-batch`, for the reader. variables: of its environment.
    """
    words = [f"export {shlex.quote(f'{name}={value}')}\n" for name, value in sorted(variables.items())]
    # DAGMan hands on the PYTHONPATH of whoever submitted: one of ours takes its place, or none is heeded
    options = " ".join(PYTHON_OPTIONS) if PYTHON_PATH in variables else "-I"
    write_whole(
        path,
        f"#!/bin/sh\n# Runs {when}, on the access point. Written by ccip-batch {verb}.\n"
        + "".join(words)
        + f'exec {shlex.quote(sys.executable)} {options} -m {module} "$@"\n',
    )
    path.chmod(0o755)
