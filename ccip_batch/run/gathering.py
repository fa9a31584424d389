"""The products folder: files of the planes are second names (hard links) of those that the exports left."""

from __future__ import annotations

from pathlib import Path

from ccip_batch.errors import DataError
from ccip_batch.records import link_or_copy
from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.results import NodeResult
from ccip_batch.run.run import Run
from ccip_batch.workflow.graph import Node

REPORT = "report"
"""What the report's folder is called in its archive."""


def report_archive(imagename: str) -> str:
    """Name of the report among the products."""
    return f"{imagename}.report.tgz"


def passed_on(run: Run, node: Node) -> dict[str, tuple[Path, ProductFile]]:
    """What the parents of a node made for the user: by name, where it is and what it was when it was made."""
    found = {}
    for name in node.parents:
        result = run.result(name)
        for file in result.files if result else ():
            found[file.name] = (run.node(name).out / file.name, file)
    return found


def require_whole(path: Path, file: ProductFile) -> None:
    """Raise DataError if a file that a parent made is not there with its size."""
    size = path.stat().st_size if path.is_file() else None
    if size != file.bytes:
        there = "is gone" if size is None else f"has {size} bytes instead of {file.bytes}"
        raise DataError(f"{path} {there}. Run again: its plane is exported anew.")


def add_passed_on(run: Run, node: Node, result: NodeResult, folder: Path) -> None:
    """Link what a node passes on into the folder of what it made itself elsewhere, in a part of the run folder.

    Raises DataError unless the folder then has exactly the files of the node's result, each with its size, and those
    that are passed on are the ones that its parents made.
    """
    parents = passed_on(run, node)
    for file in result.files:
        if file.name not in parents:
            continue
        source, made = parents[file.name]
        if made != file or (folder / file.name).exists():
            raise DataError(f"{node.name} gave {file.name} as another file than the one that is in {source.parent}.")
        require_whole(source, file)
        link_or_copy(source, folder / file.name)
    wanted = {file.name: file.bytes for file in result.files}
    there = {path.name: path.stat().st_size if path.is_file() else -1 for path in folder.iterdir()}
    wrong = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if wrong:
        raise DataError(f"{node.name} did not give back what its result lists; missing, too many or cut: {wrong}")
