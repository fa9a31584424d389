"""Where products come from: header cards, a job config without folders, and a description of the run as an RO-Crate.

The crate (RO-Crate 1.1 with the profile Process Run Crate) is JSON-LD: every product with its checksum, every node as
the action that made it, with software, parameters and inputs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from ccip_batch import __version__
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.versions import casa_versions
from ccip_batch.products.fits import Card
from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.results import NodeResult
from ccip_batch.workflow.graph import Graph

CRATE = "ro-crate-metadata.json"
_LABELS = Path("/.singularity.d/labels.json")
"""Where Apptainer keeps the labels of the image that a process runs in."""
_SPECIFICATION = "https://w3id.org/ro/crate/1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_FORMATS = {
    ".fits": "application/fits",
    ".xml": "application/xml",
    ".tgz": "application/gzip",
    ".list": "text/plain",
    ".yaml": "application/yaml",
}


@dataclass(frozen=True)
class Provenance:
    """What the products of a run were made from."""

    job: ResolvedJob
    graph: Graph
    inputs: Mapping[str, str]
    """Fingerprint of each input."""
    results: Mapping[str, NodeResult]
    """Of the nodes that are done, by name."""
    fingerprint: str
    """Of the node that publishes."""


def image(job: ResolvedJob) -> str:
    """The container image that nodes run in: its SHA-256 (hexadecimal), or what it was made from; else empty.

    The run knows the digest of an image that it starts itself. A process that was started inside one finds the digest
    of the files that it was made from among the image's labels.
    """
    known = job.versions.get("image", "")
    if known or not os.environ.get("APPTAINER_CONTAINER"):
        return known.removeprefix("sha256:")
    try:
        return str(json.loads(_LABELS.read_bytes())["ccip.source"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def cards(job: ResolvedJob, fingerprint: str, versions: Mapping[str, str] | None = None) -> dict[str, Card]:
    """Header cards that trace a FITS file to what made it.

    fingerprint: of the node that writes it. versions: of what made its pixels, if that was another process.
    """
    made_with = casa_versions() if versions is None else versions
    found: dict[str, Card] = {
        "CCIPVER": (__version__, "Version of ccip_batch"),
        "CASAVER": (made_with.get("casatools", ""), "Version of casatools"),
        "CCIPNODE": (fingerprint, ""),
    }
    if image(job):
        found["CCIPIMG"] = (image(job), "")
    return found


def portable_job(job: ResolvedJob) -> str:
    """The resolved job as YAML: all that decides the pixels, and of the inputs their file names alone."""
    content = job.model_dump(mode="json", exclude={"execution", "warnings"})
    content["inputs"] = {key: Path(path).name for key, path in content["inputs"].items() if path}
    return yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)


def write_crate(run: Provenance, files: Sequence[ProductFile], job_file: str, folder: Path) -> None:
    """Write `ro-crate-metadata.json` into the folder of the products. job_file: name of the job config among them."""
    graph = [_descriptor(), _root(run, files), *(_file(file) for file in files), *_software(run), *_inputs(run)]
    for name, result in run.results.items():
        graph += _action(run, name, result, files, job_file)
    text = json.dumps({"@context": f"{_SPECIFICATION}/context", "@graph": graph}, indent=1, ensure_ascii=False)
    (folder / CRATE).write_text(text + "\n", encoding="utf-8")


def _descriptor() -> dict[str, Any]:
    return {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": _SPECIFICATION},
        "about": {"@id": "./"},
    }


def _root(run: Provenance, files: Sequence[ProductFile]) -> dict[str, Any]:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": run.job.imagename,
        "description": f"Coarse cube of the VLA Sky Survey: one full-Stokes plane per spw group of {run.job.root}.ms",
        "datePublished": _moment(max((one.ended for one in run.results.values()), default=0.0)),
        "license": "Terms of use of the NRAO data archive",
        "conformsTo": {"@id": _PROFILE},
        "hasPart": [_reference(file.name) for file in files],
        "mentions": [{"@id": f"#{name}"} for name in run.results],
    }


def _file(file: ProductFile) -> dict[str, Any]:
    return {
        **_reference(file.name),
        "@type": "File",
        "name": file.name,
        "contentSize": str(file.bytes),
        "sha256": file.sha256,
        "encodingFormat": _FORMATS.get(Path(file.name).suffix, "application/octet-stream"),
    }


def _software(run: Provenance) -> list[dict[str, Any]]:
    versions = {key: value for one in run.results.values() for key, value in one.versions.items()}
    versions.pop("image", None)
    found: list[dict[str, Any]] = [
        {"@id": f"#software/{name}", "@type": "SoftwareApplication", "name": name, "softwareVersion": version}
        for name, version in sorted(versions.items())
    ]
    if image(run.job):
        found.append({"@id": "#image", "@type": "ContainerImage", "name": "Apptainer image", "sha256": image(run.job)})
    return found


def _inputs(run: Provenance) -> list[dict[str, Any]]:
    """The inputs that are not among the products, with fingerprints: a digest of names, sizes and samples."""
    found = []
    for key in ("vis", "reimaging_resources", "flag_commands"):
        path = getattr(run.job.inputs, key)
        if path is not None:
            found.append(
                {
                    "@id": f"#input/{key}",
                    "@type": "Dataset" if key == "vis" else "CreativeWork",
                    "name": path.name,
                    "identifier": f"fingerprint:{run.inputs.get(key, '')}",
                }
            )
    return found


def _action(
    run: Provenance, name: str, result: NodeResult, files: Sequence[ProductFile], job_file: str
) -> list[dict[str, Any]]:
    """A node as an action, and what it left for other nodes.

    run: what the crate describes. name, result: of the node. files: the products. job_file: name of the job config.
    """
    node = run.graph[name]
    known = {file.name for file in files}
    given = [_left(parent) for parent in node.parents if parent in run.results]
    if node.kind == "restore":
        given = [{"@id": entity["@id"]} for entity in _inputs(run)]
    made = [_reference(file.name) for file in result.files if file.name in known]
    software = [entity for entity in _software(run) if entity["@type"] == "SoftwareApplication"]
    action = {
        "@id": f"#{name}",
        "@type": "CreateAction",
        "name": name,
        "description": result.summary,
        "identifier": f"fingerprint:{result.fingerprint}",
        "startTime": _moment(result.started),
        "endTime": _moment(result.ended),
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
        "instrument": [{"@id": entity["@id"]} for entity in software],
        "object": [*given, _reference(job_file)],
        "result": [_left(name), *made],
    }
    if image(run.job):
        action["containerImage"] = {"@id": "#image"}
    what = f"What node {name} left to other nodes; not among the products"
    return [action, {**_left(name), "@type": "Dataset", "name": f"{name} (intermediate)", "description": what}]


def _left(name: str) -> dict[str, str]:
    return {"@id": f"#left/{name}"}


def _reference(name: str) -> dict[str, str]:
    return {"@id": quote(name, safe="+")}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
