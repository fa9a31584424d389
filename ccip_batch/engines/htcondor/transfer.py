"""File transfer: what each node gets and gives, each as one tar file.

A node gets exactly what it needs: a plane's node never the visibilities of another plane, `analyze` results and samples
alone. Inside the tar stands a run folder with only these files, so that a node works as in the whole one. The tars are
not compressed: floating point data hardly shrink, and the time would be the access point's.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from ccip_batch.errors import DataError
from ccip_batch.run.run import Run
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import KINDS

INPUTS = "inputs"
"""Folder in the tar for the small input files, one folder each: two may have the same name."""
LARGE_INPUTS = ("vis", "reimaging_resources")
"""Inputs that HTCondor transfers by itself."""
_RECORDS = ("error.json", "failure.json", "node.log", "casa.log", "casa_commands.py", "checkpoint", "result.json")
"""What a node gives back beside its output; the result comes last, as it says that all is there."""


def input_name(run: Run, node: Node) -> Path:
    """The tar that a node gets, in the run folder."""
    return run.folder.dag / "transfer" / f"{node.name}.in.tar"


def output_name(run: Run, node: Node) -> Path:
    """The tar that a node gave, in the run folder."""
    return run.folder.dag / "transfer" / f"{node.name}.out.tar"


def pack_input(run: Run, node: Node) -> None:
    """Write the tar for a node that is about to run."""
    target = input_name(run, node)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    with tarfile.open(partial, "w") as tar:
        for path in needs(run, node):
            if path.exists():
                tar.add(path, arcname=str(path.relative_to(run.folder.path)))
        if set(LARGE_INPUTS) <= set(KINDS[node.kind].inputs):  # it resolves paths: all inputs are there as in the job
            for key in type(run.job.inputs).model_fields:
                given = getattr(run.job.inputs, key)
                if given is not None and key not in LARGE_INPUTS:
                    tar.add(given, arcname=f"{INPUTS}/{key}/{given.name}")
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
        there = sorted(parent.out.iterdir()) if parent.out.is_dir() else []
        yield from (path for path in there if node.reads(run.graph[name], path.name))


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
    """Make the run folder of a sandbox."""
    _extract(archive, run, (PurePosixPath(),))


def unpack_checkpoint(archive: Path, run: Run, node: Node) -> None:
    """Put what an earlier start of a node saved over its folder."""
    place = run.node(node).path
    _extract(archive, run.folder.path, (PurePosixPath(place.relative_to(run.folder.path)),))


def unpack_output(run: Run, node: Node) -> bool:
    """Put what a node gave back into the run folder, whole or not at all; False if it gave nothing.

    Raises DataError if the tar is damaged or has something else in it than that node's files.
    """
    archive = output_name(run, node)
    folder = run.node(node)
    folder.path.mkdir(parents=True, exist_ok=True)
    incoming = folder.path / ".incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    try:
        inside = [PurePosixPath(place.relative_to(run.folder.path)) for place in (folder.path, folder.out)]
        if not archive.is_file() or not _extract(archive, incoming, inside):
            return False
        came = incoming / folder.path.relative_to(run.folder.path)
        for name in _RECORDS:
            _remove(folder.path / name)
        output = incoming / folder.out.relative_to(run.folder.path)
        if output.is_dir():
            _remove(folder.out)
            folder.out.parent.mkdir(parents=True, exist_ok=True)
            output.rename(folder.out)
        for name in _RECORDS:
            if (came / name).exists():
                (came / name).rename(folder.path / name)
        return True
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def forget(run: Run, node: Node) -> None:
    """Remove the tars of a node, whose content is in the run folder."""
    input_name(run, node).unlink(missing_ok=True)
    output_name(run, node).unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _extract(archive: Path, target: Path, inside: Sequence[PurePosixPath]) -> int:
    """Unpack plain files and folders; gives their number. All must lie in one of the folders `inside`."""
    count = 0
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                safe = not name.is_absolute() and ".." not in name.parts
                if not safe or not any(name.is_relative_to(place) for place in inside):
                    raise DataError(f"{archive.name} has {member.name!r} in it, which does not belong there.")
                path = target / name
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    raise DataError(f"{archive.name}: {member.name!r} is neither a file nor a folder.")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                with path.open("xb") as out:
                    shutil.copyfileobj(content, out, 1 << 20)
                count += 1
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{archive.name} is damaged: {error}") from error
    return count
