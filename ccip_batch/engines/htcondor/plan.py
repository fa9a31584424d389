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

import ccip_batch
from ccip_batch.engines.htcondor.requests import memory_limit_mb, request
from ccip_batch.engines.htcondor.sites import Site, load_site, read_site
from ccip_batch.engines.htcondor.transfer import LARGE_INPUTS
from ccip_batch.errors import ConfigError, ExitCode
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.package_files import data_folder
from ccip_batch.processes import CHECKPOINT_VARIABLE
from ccip_batch.records import write_whole
from ccip_batch.run.run import Run
from ccip_batch.workflow import estimates
from ccip_batch.workflow.graph import build_graph
from ccip_batch.workflow.kinds import KINDS

DAG = "ccip.dag"
SCRIPT = "ccip-dag.sh"
SITE = "site.yaml"
"""The site profile as it was when the run was planned."""
TRANSFER = "transfer"
DAG_SCRIPTS = "ccip_batch.engines.htcondor.dag_scripts"
"""The module that DAGMan's scripts call."""
LOGS = "logs"

SKIP = "skip"
"""In dag/: lines of each node's submit description, by which its PRE script lets it run or not."""
NO_RETRY = int(ExitCode.PLANES_FAILED)
"""Exit code of a POST script: a retry cannot repair it."""

IMAGE_PYTHON = "/opt/ccip/bin/python"
"""In an image that `make image` made."""

_NO_LIMIT_MB = 10**9
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


def write_plan(run: Run) -> list[str]:
    """Write everything that HTCondor needs into dag/; gives warnings. The same job gives the same text.

    Raises ConfigError if the site is unknown or does not fit the job, ResourceError if no machine is large enough.
    """
    job, dag = run.job, run.folder.dag
    site = check_site(job)
    container = job.execution.container or site.container
    for folder in (dag / LOGS, dag / TRANSFER, dag / SKIP):
        folder.mkdir(parents=True, exist_ok=True)
    for node in run.graph.nodes:
        write_skip(run, node.name, False)
    for name in ("common.sub", "final.sub", *(f"{kind}.sub" for kind in KINDS)):
        shutil.copyfile(data_folder("condor") / name, dag / name)
    here = _environment(site.environment)
    python = site.python or (IMAGE_PYTHON if container else sys.executable)
    there = here if python == sys.executable else _words(site.environment)
    if site.data == "transfer":
        there = f"{there} {CHECKPOINT_VARIABLE}={site.checkpoint_every}".strip()
    values = {
        "name": job.execution.site,
        "site": site,
        "container": container,
        "python": python,
        "python_here": sys.executable,
        "environment": there,
        "environment_here": here,
        "memory_limit": memory_limit_mb(site) or _NO_LIMIT_MB,
    }
    render = _templates()
    write_whole(dag / SITE, yaml.safe_dump(site.model_dump(mode="json", exclude_none=True), sort_keys=False))
    write_whole(dag / "site.sub", render("site.sub.j2", values))
    write_whole(dag / "machines.sub", render("machines.sub.j2", values))
    write_whole(dag / DAG, _dag_text(render, run, site))
    _write_script(dag / SCRIPT, here)
    return estimates.extrapolated(job)


def write_skip(run: Run, name: str, skip: bool, more: int = 0) -> None:
    """Let a node's next job run, or end in the queue before it starts (with a log of its own: nothing happened).

    more: how often what it asks of memory and disk is doubled.
    """
    lines = f"noop_job = true\nlog = {SKIP}/skipped.log\n" if skip else "noop_job = false\n"
    write_whole(_skip_file(run, name), f"{lines}more = {more}\n")


def is_skipped(run: Run, name: str) -> bool:
    """Whether a node's last job was not to run."""
    return _skip_file(run, name).read_text(encoding="utf-8").startswith("noop_job = true")


def read_more(run: Run, name: str) -> int:
    """How often it was doubled for a node's last job."""
    return int(_skip_file(run, name).read_text(encoding="utf-8").rpartition("=")[2])


def _skip_file(run: Run, name: str) -> Path:
    return run.folder.dag / SKIP / f"{name}.sub"


def check_site(job: ResolvedJob) -> Site:
    """The site of a job that it can take. Raises ConfigError, or ResourceError if no machine is large enough."""
    site = site_of(job)
    container = job.execution.container or site.container
    if site.needs_container and container is None:
        raise ConfigError(
            f"execution.container: nodes run in a container at {job.execution.site}; name the image, such as "
            "osdf:///ospool/ap40/data/your.name/ccip-batch-0.1.0.sif"
        )
    if container is not None and "/your.name/" in container:
        raise ConfigError(f"execution.container: {container} is the example's address; put that of your image there.")
    paths = [sys.executable]
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
    return site


def _dag_text(render: Callable[[str, Mapping[str, object]], str], run: Run, site: Site) -> str:
    job = run.job
    inputs = ", ".join(str(getattr(job.inputs, key)) for key in LARGE_INPUTS) if site.data == "transfer" else ""
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


def _environment(given: dict[str, str]) -> str:
    """Variables for a node that runs with the Python that plans: PYTHONPATH too, if this package was found by it."""
    package = str(Path(ccip_batch.__file__).parents[1])
    by_path = package in [str(Path(part).absolute()) for part in os.environ.get("PYTHONPATH", "").split(":") if part]
    return _words({**({"PYTHONPATH": package} if by_path else {}), **given})


def _words(variables: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(variables.items()))


def _write_script(path: Path, environment: str) -> None:
    """What DAGMan calls before and after a node: this Python, wherever DAGMan was started from."""
    words = [f"export {shlex.quote(word)}\n" for word in environment.split()]
    write_whole(
        path,
        "#!/bin/sh\n# Runs before (pre) and after (post) each node, on the access point. Written by ccip-batch plan.\n"
        + "".join(words)
        + f'exec {shlex.quote(sys.executable)} -m {DAG_SCRIPTS} "$@"\n',
    )
    path.chmod(0o755)
