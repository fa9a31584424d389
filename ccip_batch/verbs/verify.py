"""`ccip-batch verify`: whether files are what they were when they were written. Needs no CASA.

A products folder is compared with its SHA256SUMS. In a run folder, the files of results are compared with what the
nodes noted when they wrote them, and the inputs with their fingerprints of when the job was started.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import click
from pydantic import ValidationError

from ccip_batch.errors import DataError, ExitCode, RunFolderError
from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.fingerprint import of_path
from ccip_batch.run.folder import NodeFolder, RunFolder
from ccip_batch.run.results import NodeResult
from ccip_batch.run.run import Run
from ccip_batch.stages.exportvlassdata import NativeExport
from ccip_batch.stages.publish import CHECKSUMS

MAX_BYTES = 10_000_000
"""A SHA256SUMS has some ten kB; a file larger than this is something else."""
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/\x00-\x1f]+)")


@dataclass
class Verification:
    """What was found."""

    checked: int = 0
    """Files and inputs whose checksum was computed."""
    wrong: list[str] = field(default_factory=list)
    """What does not fit."""
    notes: list[str] = field(default_factory=list)
    """What could not be compared, and why that may be right."""

    def sentence(self) -> str:
        """All of it in a sentence."""
        verdict = f"{len(self.wrong)} do not match" if self.wrong else "all match"
        return f"{self.checked} checksums computed: {verdict}"


def verify(source: Path) -> Verification:
    """Verify a products folder, or the run that a folder is of.

    Raises RunFolderError if it is neither, DataError if its list of checksums is too large to be one.
    """
    found = Verification()
    if (source / CHECKSUMS).is_file():
        _verify_products(source, found)
        return found
    try:
        folder = RunFolder.around(source)
    except RunFolderError as error:
        raise RunFolderError(
            f"{source.absolute()} is neither a run folder (job.resolved.yaml) nor a products folder ({CHECKSUMS}). "
            "Name one."
        ) from error
    if folder.tidied.exists():
        _verify_products(folder.products, found)
    else:
        _verify_run(Run.read(folder), found)
    return found


def show_verification(source: Path) -> ExitCode:
    """What `ccip-batch verify` does: print what was found. Raises as `verify`."""
    found = verify(source)
    for line in found.notes:
        click.echo(f"note: {line}")
    for line in found.wrong:
        click.echo(f"wrong: {line}", err=True)
    click.echo(found.sentence())
    return ExitCode.CHANGED if found.wrong else ExitCode.DONE


def _verify_run(run: Run, found: Verification) -> None:
    seen: set[Path] = set()
    for node in run.graph.nodes:
        folder = run.node(node)
        result = run.result(node)
        if result is None:
            if folder.result.exists():
                found.wrong.append(f"{folder.result}: is damaged; run the job again, which repeats {node.name}")
            else:
                found.notes.append(f"{node.name} is not done, so nothing was compared")
            continue
        try:
            files = _files(folder, result)
        except ValidationError:
            found.wrong.append(f"{folder.result}: its list of files is damaged; run the job again")
            continue
        for path, file in files:
            seen.add(path)
            _compare(path, file.sha256, found)
        for output in () if folder.cleaned.exists() else result.outputs:
            found.checked += 1
            if not output.is_whole_in(folder.out):
                found.wrong.append(f"{folder.out / output.name}: has changed since {node.name} made it")
    if (run.folder.products / CHECKSUMS).is_file():
        _verify_products(run.folder.products, found, seen)
    _verify_inputs(run, found)


def _files(folder: NodeFolder, result: NodeResult) -> list[tuple[Path, ProductFile]]:
    """The files of a result, and where they are; those of a plane's imaging are in the record of its stage."""
    files = list(result.files)
    for record in result.stages:
        if record.name == "exportnative":
            files += NativeExport.model_validate(record.result).files
    return [(folder.out / file.name, file) for file in files]


def _verify_products(folder: Path, found: Verification, seen: Iterable[Path] = ()) -> None:
    """Compare a folder with its SHA256SUMS. seen: files that have been compared already."""
    sums = folder / CHECKSUMS
    if sums.stat().st_size > MAX_BYTES:
        raise DataError(f"{sums} is larger than {MAX_BYTES} bytes, too large for a list of checksums.")
    listed = {CHECKSUMS}
    for number, line in enumerate(sums.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in (".", ".."):
            found.wrong.append(f"{sums}:{number}: is not a checksum, two blanks, and the name of a file beside it")
            continue
        listed.add(match[2])
        if folder / match[2] not in seen:
            _compare(folder / match[2], match[1], found)
    others = sorted(path.name for path in folder.iterdir() if path.name not in listed)
    if others:
        found.notes.append(f"{folder}: not listed in {CHECKSUMS}: {', '.join(map(repr, others))}")


def _verify_inputs(run: Run, found: Verification) -> None:
    kept = run.inputs
    for key, path in run.job.inputs:
        if path is None:
            continue
        if key not in kept:
            found.wrong.append(f"inputs.{key}: the run folder has no fingerprint of it; run the job again")
        elif not path.exists():
            found.notes.append(f"inputs.{key}: {path} is missing, so it was not compared")
        else:
            found.checked += 1
            if of_path(path) != kept[key]:
                found.wrong.append(f"inputs.{key}: {path} has changed since the run was started")


def _compare(path: Path, sha256: str, found: Verification) -> None:
    if not path.is_file():
        found.wrong.append(f"{path}: is missing")
        return
    try:
        now = ProductFile.of(path).sha256
    except OSError as error:
        found.wrong.append(f"{path}: cannot be read ({error.strerror})")
        return
    found.checked += 1
    if now != sha256:
        found.wrong.append(f"{path}: has changed (SHA-256 {now}, was {sha256})")
