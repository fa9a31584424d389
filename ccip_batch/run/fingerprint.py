"""Fingerprints: what a node's work depends on. A node is done if its result has the fingerprint that the job gives now.

No absolute path and no time stamp goes in, so that a copied run folder stays done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ccip_batch import __version__
from ccip_batch.job.config import ResolvedJob
from ccip_batch.records import write_whole
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.results import NodeResult
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import KINDS

_WHOLE = 1 << 20
"""Files up to this size are hashed as a whole, larger ones by samples."""
_SAMPLE = 1 << 16
_SAMPLES = 16
_FAILED = "failed"


def of_path(path: Path) -> str:
    """Fingerprint of a file, or of a folder: names, sizes, contents of small files and samples of large ones.

    `table.lock` is left out: reading a CASA table may touch it.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
            if file.name != "table.lock":
                digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
                _add_content(digest, file)
    else:
        digest.update(f"{path.stat().st_size}\0".encode())
        _add_content(digest, path)
    return digest.hexdigest()


def _add_content(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as stream:
        if size <= _WHOLE:
            digest.update(stream.read())
            return
        for sample in range(_SAMPLES):
            stream.seek((size - _SAMPLE) * sample // (_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE))


def of_inputs(job: ResolvedJob) -> dict[str, str]:
    """Fingerprint of each input of a job."""
    paths = {name: getattr(job.inputs, name) for name in type(job.inputs).model_fields}
    return {name: of_path(path) for name, path in paths.items() if path is not None}


def stamps(path: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of change (ns) of a file, or of all files in a folder, `table.lock` left out."""
    files = [entry for entry in path.rglob("*") if entry.is_file()] if path.is_dir() else [path]
    seen = {file: file.stat() for file in files if file.name != "table.lock"}
    return {file: (stat.st_size, stat.st_mtime_ns) for file, stat in seen.items()}


def save_inputs(folder: RunFolder, inputs: Mapping[str, str]) -> None:
    """Keep the inputs' fingerprints in the run folder, where nodes read them."""
    folder.dag.mkdir(parents=True, exist_ok=True)
    write_whole(folder.inputs, json.dumps(dict(inputs), indent=1) + "\n")


def read_inputs(folder: RunFolder) -> dict[str, str]:
    """What `save_inputs` kept; empty if there is nothing."""
    try:
        return TypeAdapter(dict[str, str]).validate_json(folder.inputs.read_bytes())
    except (OSError, ValueError):
        return {}


def of_node(job: ResolvedJob, inputs: Mapping[str, str], node: Node, parents: Mapping[str, NodeResult | None]) -> str:
    """Fingerprint of a node's work: its parameters, and the results of its parents (None: one that failed).

    inputs: what `of_inputs` gave. A plane depends on how the data were restored and on its own target, not on what
    other planes there are.
    """
    above: dict[str, Any] = {}
    for name, result in parents.items():
        if KINDS[node.kind].own_target_only and result is not None and node.group is not None:
            planes = result.stage("editimlist_cube")["planes"]
            target = next((plane for plane in planes if plane["spw"] == node.group.selection), None)
            above[name] = [_chosen(job, _RESTORED), _inputs(inputs, KINDS["restore"].inputs), target]
        else:
            above[name] = result.fingerprint if result else _FAILED
    parts = {
        "versions": [__version__, _casa(job)],
        "node": node.name,
        "parameters": _parameters(job, node),
        "inputs": _inputs(inputs, KINDS[node.kind].inputs),
        "parents": above,
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _casa(job: ResolvedJob) -> str:
    """The CASA that nodes run with; for nodes in a pool, that of the image that they are started in."""
    return job.versions.get("casatools") or job.versions.get("image") or job.execution.container or ""


_RESTORED = (
    "root", "imagename", "phasecenter", "continuum_imagename", "continuum_phasecenter", "science_spws",
    "prediction_call",
)  # fmt: skip
"""What the restored data follow from, apart from the groups that they are split into."""


def _chosen(job: ResolvedJob, keys: Sequence[str]) -> dict[str, Any]:
    everything = job.model_dump(mode="json")
    return {key: everything[key] for key in keys}


def _inputs(inputs: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: inputs[name] for name in names if name in inputs}


def _parameters(job: ResolvedJob, node: Node) -> dict[str, Any]:
    """The part of the job that matters to a node itself; what matters to its parents comes in through them."""
    rejection = job.plane_rejection
    if node.kind == "restore":
        return {**_chosen(job, (*_RESTORED, "groups")), "rejection": rejection.before_imaging.model_dump(mode="json")}
    if node.kind == "image":
        return _chosen(job, ("iteration_calls",))
    if node.kind == "analyze":
        return {"rejection": rejection.after_imaging.model_dump(mode="json")}
    return {}
