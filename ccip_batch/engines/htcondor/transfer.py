"""File transfer: what each node gets and gives, each as one tar file.

A node gets exactly what it needs: a plane's node never the visibilities of another plane, `analyze` results and samples
alone. Inside the tar stands a run folder with only these files, so that a node works as in the whole one. The tars are
not compressed: floating point data hardly shrink, and the time would be the access point's.

`publish` passes the planes' files on, many GB: they stay in the run folder, where they are linked into the products
when it has given back all others. It gets those that it computes on, and of the others the headers, for the report.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from ccip_batch.engines.htcondor.staging import LARGE_INPUTS
from ccip_batch.errors import DataError
from ccip_batch.products.raw_header import SUFFIX, raw_header
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.gathering import add_passed_on, require_whole
from ccip_batch.run.results import read_result
from ccip_batch.run.run import Run
from ccip_batch.run.unpacking import unpack
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import KINDS

INPUTS = "inputs"
"""Folder in the tar for the small input files, one folder each: two may have the same name."""
_RECORDS = ("error.json", "failure.json", "node.log", "casa.log", "casa_commands.py", "checkpoint", "result.json")
"""What a node gives back beside its output; the result comes last, as it says that all is there."""


def pack_input(run: Run, node: Node, target: Path, large: Sequence[str] = ()) -> None:
    """Write the tar for a node that is about to run. large: keys of those of the large inputs that go in it.

    Raises DataError if a file that it passes on is not whole.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    with tarfile.open(partial, "w") as tar:
        for path in needs(run, node):
            if path.exists():
                tar.add(path, arcname=str(path.relative_to(run.folder.path)))
        keys = KINDS[node.kind].inputs
        if set(LARGE_INPUTS) <= set(keys):  # it resolves paths: all inputs are there as in the job
            keys = tuple(key for key in type(run.job.inputs).model_fields if key not in LARGE_INPUTS or key in large)
        for key in keys:
            given = getattr(run.job.inputs, key)
            if given is not None:
                tar.add(given, arcname=f"{INPUTS}/{key}/{given.name}")
        if KINDS[node.kind].gathers:
            _add_headers(run, node, tar)
    partial.replace(target)


def needs(run: Run, node: Node) -> Iterator[Path]:
    """The files and folders of the run folder that a node may read; those that are not there are not needed."""
    own = run.node(node)
    yield run.folder.resolved
    yield run.folder.inputs
    yield from (own.failure, own.casa_commands, own.casa_log, own.log, own.checkpoint)
    for name in node.parents:
        parent = run.node(name)
        yield parent.result
        yield from (path for path in _inside(parent.out) if node.reads(run.graph[name], path.name))
    if KINDS[node.kind].gathers:
        yield from _left_by_all(run, node)


def _left_by_all(run: Run, node: Node) -> Iterator[Path]:
    """What the report and the packed logs are made of; a parent's result is given already."""
    yield from (run.folder.history, run.folder.pool)
    for other in run.graph.nodes:
        if other.name == node.name:
            continue
        folder = run.node(other)
        if other.name not in node.parents:
            yield folder.result
            yield from (path for path in _inside(folder.out) if node.reads(other, path.name))
        yield from (folder.failure, folder.log, folder.casa_log, folder.casa_commands, folder.stages)


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _add_headers(run: Run, node: Node, tar: tarfile.TarFile) -> None:
    """The headers of the files that a node passes on without reading them, each beside the place of its file."""
    for name in node.parents:
        result = run.result(name)
        for file in result.files if result else ():
            path = run.node(name).out / file.name
            require_whole(path, file)
            if not node.reads(run.graph[name], file.name):
                header = raw_header(path)
                member = tarfile.TarInfo(str(path.relative_to(run.folder.path)) + SUFFIX)
                member.size = len(header)
                tar.addfile(member, io.BytesIO(header))


def pack_output(run: Run, node: Node, target: Path) -> None:
    """Write the tar that a node gives back: its output if it is done, its checkpoint if not, and its logs."""
    folder = run.node(node)
    partial = target.with_suffix(".part")
    with tarfile.open(partial, "w") as tar:
        if folder.result.is_file() and folder.out.is_dir():
            tar.add(folder.out, arcname=str(folder.out.relative_to(run.folder.path)))
        for name in _RECORDS:
            if (folder.path / name).exists():
                tar.add(folder.path / name, arcname=str((folder.path / name).relative_to(run.folder.path)))
    partial.replace(target)


def unpack_input(archive: Path, run: Path) -> None:
    """Make the run folder of a sandbox, which says that it is a part."""
    unpack(archive, run, (PurePosixPath(),))
    RunFolder(run).part.touch()


def unpack_checkpoint(archive: Path, run: Run, node: Node) -> None:
    """Put what an earlier start of a node saved over its folder."""
    place = run.node(node).path
    unpack(archive, run.folder.path, (PurePosixPath(place.relative_to(run.folder.path)),))


def unpack_output(run: Run, node: Node, archive: Path) -> bool:
    """Put what a node gave back into the run folder, whole or not at all; False if it gave nothing.

    What the node passes on is linked beside what it made. Raises DataError if the tar is damaged or has something else
    in it than that node's files, or if its files are then not those of its result.
    """
    folder = run.node(node)
    folder.path.mkdir(parents=True, exist_ok=True)
    incoming = folder.path / ".incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    try:
        inside = [PurePosixPath(place.relative_to(run.folder.path)) for place in (folder.path, folder.out)]
        if not archive.is_file() or not unpack(archive, incoming, inside):
            return False
        came = incoming / folder.path.relative_to(run.folder.path)
        output = incoming / folder.out.relative_to(run.folder.path)
        if output.is_dir() and KINDS[node.kind].gathers:
            result = read_result(came / folder.result.name)
            if result is None:
                raise DataError(f"{archive.name} has files of {node.name} in it, but no result that lists them.")
            add_passed_on(run, node, result, output)
        for name in _RECORDS:
            _remove(folder.path / name)
        if output.is_dir():
            _remove(folder.out_place)
            folder.out_place.parent.mkdir(parents=True, exist_ok=True)
            output.rename(folder.out_place)
        for name in _RECORDS:
            if (came / name).exists():
                (came / name).rename(folder.path / name)
        return True
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
