"""What is removed when a job is done and its products are verified (`execution.keep`)."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.folder import RunFolder
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


def tidy(run: Run, place: Path, products: Path | None, *, with_report: bool = True, kept: Collection[str] = ()) -> None:
    """Keep of a run that is done its job, its products and perhaps its report alone; what was cut off is gone on with.

    Among the products are the logs of all nodes, and the report too, packed. place: where what is large is: the run
    folder, or a folder that it has links to. products: a folder that has all products too; they are removed here, and
    a link leads to it. kept: names in `dag/` that stay.
    """
    folder = run.folder
    folder.tidied.write_text(f"done; products: {products or folder.products.resolve()}\n", encoding="utf-8")
    if products is not None and products.resolve() != folder.products.resolve():
        _remove(folder.products, place)
        folder.products.symlink_to(products)
    remove_nodes(folder, place)
    if not with_report:
        _remove(folder.report, place)
    for path in folder.dag.glob("*"):  # the folder itself stays: the outer DAG of a campaign names it
        if path.name not in kept:
            _remove(path, place)


def remove_nodes(folder: RunFolder, place: Path) -> None:
    """Remove all that nodes left but for the products. place: as for `tidy`."""
    for path in (folder.path / "nodes", folder.path / "planes"):
        _remove(path, place)


def _remove(path: Path, place: Path) -> None:
    """Remove a file or a folder; of a link also what it leads to, if that is in `place`."""
    if path.is_symlink():
        target = path.resolve()
        path.unlink()
        if target.parent != place.resolve():
            return
        path = target
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
