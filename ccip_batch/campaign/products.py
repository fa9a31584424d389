"""The products of a square are put where those of the campaign go, before anything of its run folder is removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pydantic import ValidationError

from ccip_batch.errors import DataError
from ccip_batch.records import Model, sync
from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.run import Run

RECORD = "archived.json"
"""In the run folder of a square: which files it has put elsewhere."""


class Archived(Model):
    """Files that a square has put elsewhere, or was about to: it may replace them when it is done again."""

    files: dict[str, tuple[str, ...]]
    """By path: the checksums (SHA-256) that the file may have."""


def archive_products(run: Run, target: Path) -> None:
    """Put the products of a run that is done into a folder too; what was cut off is gone on with.

    Within a file system they get a second name; to another one they are copied, and the checksums of the copies
    compared. The run folder keeps all of them. Raises DataError if another file of such a name is there that this run
    has not put there, if one of the products is gone, or if there is something else among them.
    """
    here, result = run.folder.products, run.result("publish")
    if result is None:
        raise DataError(f"{run.folder.path}: publish is not done, so there are no products to move.")
    others = {path.name for path in here.glob("*")} - {file.name for file in result.files}
    if others:
        raise DataError(f"{here} has files that are no products: {', '.join(sorted(others))}. Move them away; retry.")
    target.mkdir(parents=True, exist_ok=True)
    record = run.folder.path / RECORD
    before = _read(record)
    paths = {file.name: str(target.resolve() / file.name) for file in result.files}
    now = {paths[file.name]: (file.sha256,) for file in result.files}
    Archived(files={**before, **{path: (*before.get(path, ()), *sums) for path, sums in now.items()}}).save(record)
    for file in result.files:
        _put(here / file.name, target / file.name, file, before.get(paths[file.name], ()))
    sync(target)
    Archived(files={**before, **now}).save(record)


def _read(record: Path) -> dict[str, tuple[str, ...]]:
    try:
        return Archived.model_validate_json(record.read_bytes()).files
    except (OSError, ValidationError):
        return {}


def _put(source: Path, target: Path, file: ProductFile, ours: tuple[str, ...]) -> None:
    """Put a product there. ours: checksums with which what is there is an earlier product of this square."""
    if not source.is_file():
        raise DataError(f"{source} is gone. Retry the square: it is made again.")
    is_there = os.path.lexists(target)
    if is_there:
        found = ProductFile.of(target).sha256 if target.is_file() and not target.is_symlink() else ""
        if found == file.sha256:
            return
        if found not in ours:
            raise _of_others(target)
    partial = target.with_name(f".{target.name}.part")
    partial.unlink(missing_ok=True)
    try:
        _copy(source, partial, file)
        if is_there:
            partial.replace(target)
        else:
            _name(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _copy(source: Path, partial: Path, file: ProductFile) -> None:
    try:
        os.link(source, partial)
        return
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, partial)
    with partial.open("rb") as copied:
        os.fsync(copied.fileno())
    if ProductFile.of(partial).sha256 != file.sha256:
        raise DataError(f"{source}: its copy in {partial.parent} is not whole. Look at that disk; then retry.")


def _name(partial: Path, target: Path) -> None:
    """Give a file its name, unless somebody else has made a file of that name just now."""
    try:
        os.link(partial, target)
    except FileExistsError as error:
        raise _of_others(target) from error
    except OSError:  # there are no hard links on that disk
        partial.replace(target)


def _of_others(target: Path) -> DataError:
    return DataError(f"{target} is there and is another file. Remove it, or set another `products`; then retry.")
