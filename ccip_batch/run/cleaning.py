"""What is removed when a job is done and its products are verified (`execution.keep`)."""

from __future__ import annotations

import shutil
from pathlib import Path

from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.results import read_result


def bad_products(run: RunFolder) -> list[str]:
    """Names of the products whose checksum is not that of when they were written, or that are gone.

    Their nodes' results are removed, so that the next run makes them again.
    """
    graph = run.graph()
    publish = run.node(graph["publish"])
    result = read_result(publish.result)
    if result is None:
        return ["(publish is not done)"]
    bad = [file.name for file in result.files if not _is_whole(run.products / file.name, file)]
    if bad:
        publish.result.unlink()
        for node in graph.nodes:
            made = read_result(run.node(node).result) if node.kind == "export" else None
            if made and any(file.name in bad for file in made.files):
                run.node(node).result.unlink()
    return bad


def _is_whole(path: Path, file: ProductFile) -> bool:
    return path.is_file() and ProductFile.of(path) == file


def clean(run: RunFolder) -> None:
    """Remove the measurement sets that only lead to the products. Call it when those are verified.

    What an export needs of a plane stays, so that other rejection thresholds image nothing again.
    """
    for node in run.graph().nodes:
        folder = run.node(node)
        if node.kind == "restore" and folder.out.is_dir():
            folder.cleaned.touch()
            for path in folder.out.iterdir():
                shutil.rmtree(path)
