"""What is removed when a job is done and its products are verified (`execution.keep`)."""

from __future__ import annotations

import shutil
from pathlib import Path

from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.run import Run
from ccip_batch.workflow.kinds import KINDS


def bad_products(run: Run, read: bool = True) -> list[str]:
    """Names of the products whose checksum is not that of when they were written, or that are gone.

    Their nodes' results are removed, so that the next run makes them again. read: without it only sizes are compared.
    """
    result = run.result("publish")
    if result is None:
        return ["(publish is not done)"]
    bad = [file.name for file in result.files if not _is_whole(run.folder.products / file.name, file, read)]
    if bad:
        run.node("publish").result.unlink()
        for parent in run.graph["publish"].parents:
            made = run.result(parent)
            if made and any(file.name in bad for file in made.files):
                run.node(parent).result.unlink()
    return bad


def _is_whole(path: Path, file: ProductFile, read: bool) -> bool:
    if not path.is_file() or path.stat().st_size != file.bytes:
        return False
    return not read or ProductFile.of(path) == file


def clean(run: Run) -> None:
    """Remove what only leads to the products (measurement sets and masks). Call it when those are verified.

    What an export needs of a plane stays, so that other rejection thresholds image nothing again.
    """
    for node in run.graph.nodes:
        folder = run.node(node)
        if KINDS[node.kind].cleaned and folder.out.is_dir():
            folder.cleaned.touch()
            for path in folder.out.iterdir():
                shutil.rmtree(path)
