"""What is removed when a job is done and its products are verified (`execution.keep`)."""

from __future__ import annotations

import shutil

from ccip_batch.checksums import ProductFile
from ccip_batch.results import read_result
from ccip_batch.run_folder import RunFolder


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
    """Remove the measurement sets and files that only lead to the products. Call it when those are verified.

    A plane's image and samples stay, so that a change of the plane rejection or of the export images nothing again.
    """
    for node in run.graph().nodes:
        folder = run.node(node)
        if node.kind == "restore" and folder.out.is_dir():
            folder.cleaned.touch()
            for path in folder.out.iterdir():
                shutil.rmtree(path)
        elif node.kind == "image" and folder.out.is_dir():
            for path in folder.out.glob("*.fits"):  # they are in planes/ too, marked as kept or rejected
                path.unlink()
