"""What is most likely wrong with a site profile or with the place where a job is planned, but need not be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ccip_batch.engines.htcondor.requests import request
from ccip_batch.engines.htcondor.sites import SITES_VARIABLE, Site, read_site, site_path
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.package_files import data_folder
from ccip_batch.job.versions import casa_is_installed
from ccip_batch.nodes.apptainer import is_address
from ccip_batch.processes import PYTHON_OPTIONS
from ccip_batch.workflow.graph import build_graph

_LOOK = (
    "import importlib.util\n"
    "print(*(name for name in ('ccip_batch', 'casatools', 'casatasks') if importlib.util.find_spec(name) is None))"
)
_LONGEST_S = 60.0


def can_submit() -> bool:
    """Whether this machine has HTCondor's tools."""
    return shutil.which("condor_submit_dag") is not None


def doubts(job: ResolvedJob, site: Site) -> Iterator[str]:
    """A sentence for each doubt about a job and its site."""
    path, container = site_path(str(job.execution.site)), job.execution.container or site.container
    if not can_submit():
        yield (
            "condor_submit_dag is not on the PATH, so this is no access point: a plan made here shows what the job "
            "asks for, but has the paths of this machine; plan again where you submit"
        )
    yield from _of_example(path, site)
    if site.data == "transfer" and site.largest_file is not None and not site.urls:
        yield f"{path} has no `urls`: files over {site.largest_file / 1e9:.0f} GB cannot be transferred there"
    if site.urls and container and not is_address(container) and site.url_of(Path(container)) is None:
        yield f"{container} is below no folder of `urls`: each job gets the image by plain transfer"
    yield from _too_long(job, site, path)
    if container is None:
        yield from _of_python(site)


def _of_example(path: Path, site: Site) -> Iterator[str]:
    """Of a profile that is one of the package's examples, itself or as a copy in which nothing was changed."""
    examples = data_folder("condor") / "sites"
    if path.stem == "local":  # of the pool on this machine: there is nothing to change
        return
    if path.is_relative_to(examples):
        where = os.environ.get(SITES_VARIABLE)
        found = f"{where} has no {path.name}" if where else "not set"
        yield (
            f"{path} is the package's example: copy it to a folder of yours, change it, and name that folder in "
            f"{SITES_VARIABLE} ({found})"
        )
    elif any(site == read_site(example) for example in examples.glob("*.yaml")):
        yield f"{path} has the values of the package's example: change what is different in your pool"


def _of_python(site: Site) -> Iterator[str]:
    """Of the Python of nodes that run in no image, as far as it can be known here."""
    if site.python is None:
        if can_submit() and not casa_is_installed():
            yield f"nodes use {sys.executable}, which has no CASA: pip install '.[casa,htcondor]' in a checkout"
    elif site.data == "shared" and (missing := _missing(site)):
        yield f"nodes use {site.python} (`python` of the profile), which has no {missing}"


def _missing(site: Site) -> str:
    """What the Python of a profile lacks for a node; empty if nothing, or if it cannot be run here."""
    try:
        words = [str(site.python), *PYTHON_OPTIONS, "-c", _LOOK]
        environment = {"PATH": os.defpath, **site.environment}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=_LONGEST_S, cwd="/")
    except (OSError, subprocess.SubprocessError):
        return ""
    return ", ".join(done.stdout.split()) if done.returncode == 0 else ""


def _too_long(job: ResolvedJob, site: Site, path: Path) -> Iterator[str]:
    """Nodes that may take longer than the longest of the site's categories allows."""
    longest = max(site.job_durations.values(), default=None)
    if longest is None:
        return
    asked = {node.name: request(job, site, node).seconds for node in build_graph(job.groups).nodes}
    names = [name for name, seconds in asked.items() if seconds > longest]
    if names:
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield (
            f"{path}: none of job_durations is long enough: {names[0]}{others} may take up to "
            f"{max(asked.values()) / 3600:.1f} hours (margins.time is in that), and the longest allows "
            f"{longest / 3600:.1f}; a node that takes longer is held"
        )
