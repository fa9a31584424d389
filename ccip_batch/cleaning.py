"""What is removed when a job is done and its products are verified (`execution.keep`)."""

from __future__ import annotations

import shutil
from pathlib import Path

from ccip_batch.checksums import ProductFile
from ccip_batch.results import read_result
from ccip_batch.run_folder import RunFolder

_KEPT = ("samples.npz", "previews.npz")
"""Of a node's output: small, and what the report is made from."""


def verify_products(run: RunFolder) -> list[str]:
    """Recompute the checksums of all products; gives a complaint for each file that does not fit."""
    result = read_result(run.node(run.graph()["publish"]).result)
    if result is None:
        return ["there are no products: publish is not done"]
    complaints = []
    for file in result.files:
        path = run.products / file.name
        if not path.is_file():
            complaints.append(f"{path} is missing")
        elif ProductFile.of(path) != file:
            complaints.append(f"{path} has changed since it was written")
    return complaints


def clean(run: RunFolder) -> None:
    """Remove the measurement sets and images that only lead to the products. Call it when those are verified."""
    for node in run.graph().nodes:
        folder = run.node(node)
        if node.kind in ("restore", "image") and folder.out.is_dir():
            folder.cleaned.touch()
            for path in folder.out.iterdir():
                if path.name not in _KEPT:
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
