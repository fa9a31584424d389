"""Looking into a finished run, and taking parts of it away."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from astropy.io import fits

from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.results import NodeResult, Usage
from ccip_batch.run.run import Run


def forget(run: Path, *nodes: str) -> None:
    """Take nodes out of a run as if they had not been run."""
    for name in nodes:
        shutil.rmtree(run / "nodes" / name)


def result(run: Path, node: str) -> dict[str, Any]:
    return json.loads((run / "nodes" / node / "result.json").read_text())


def write_result(run: Run, name: str, files: Sequence[ProductFile] = ()) -> None:
    """Have a node be done, without a stage: a result as it would be now. files: what it made for the user."""
    node = run.graph[name]
    run.node(node).path.mkdir(parents=True, exist_ok=True)
    NodeResult(
        node=name,
        kind=node.kind,
        spw=node.group.selection if node.group else None,
        fingerprint=run.fingerprint(node),
        summary="done",
        started=0.0,
        ended=1.0,
        host="here",
        attempts=1,
        usage=Usage(cpu_s=1.0, peak_memory_bytes=1, wall_s=1.0),
        versions={},
        stages=[],
        files=tuple(files),
    ).sealed().save(run.node(node).result)


def stage(run: Path, node: str, name: str) -> Any:
    return next(record["result"] for record in result(run, node)["stages"] if record["name"] == name)


def imagename(run: Path) -> str:
    return next(run.glob("products/*.spw17.IQU.*")).name.split(".spw17")[0]


def pixel_sums(products: Path) -> dict[str, str]:
    sums = {}
    for path in sorted(products.glob("*.fits")):
        sums[path.name] = hashlib.sha256(fits.getdata(path).tobytes()).hexdigest()
    return sums


def wait_for(condition: Any) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def worker_of(run: Path, node: str) -> int:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"ccip_batch.nodes.worker" in words and str(run).encode() in words and node.encode() in words:
            return int(process.name)
    raise AssertionError(f"no worker of {node}")
