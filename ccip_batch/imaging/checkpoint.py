"""Checkpoints of a plane's imaging: what is needed to go on after an interruption and to end with the same bits.

Only the model is saved: it is almost empty, so that it is small when it is compressed. psf, pb, weight and residual are
noise, which hardly shrinks, and one call of tclean with the parameters of iter0 makes them again from the data and the
model, with the same bits (stages/makeimages.py). A save is `state.json`, written when the model that it names is on the
disk, so that a save is whole or does not count.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

from pydantic import ValidationError

from ccip_batch.imaging.convergence import Convergence, IterationResult
from ccip_batch.records import Model, sync_tree
from ccip_batch.run.checksums import ProductFile


class State(Model):
    """Where the imaging of a plane stood when it was saved."""

    fingerprint: str
    """Of the node: a checkpoint of other parameters is not used."""
    iteration: int
    """The iteration that was at work or has just ended."""
    ended: bool
    iterations: int
    """Minor iterations that it had made."""
    major_cycles: int
    convergence: dict[str, Convergence]
    results: list[IterationResult]
    """Of the iterations that have ended."""
    cycle_s: float
    """Wall seconds that a major cycle took."""
    script_bytes: int
    """Length of `casa_commands.py` then; what was recorded later is made again."""
    model: ProductFile
    """The CASA table of the model, in a zip file of the checkpoint folder."""
    residual: str
    """SHA-256 of the residual's pixels."""


class Checkpoint:
    """The checkpoint folder of a node."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self._state = folder / "state.json"

    def load(self) -> State | None:
        """The last save; None if there is none of this fingerprint, or if it is damaged."""
        try:
            state = State.model_validate_json(self._state.read_bytes())
            whole = ProductFile.of(self.folder / state.model.name) == state.model
        except (OSError, ValidationError):
            return None
        return state if whole and state.fingerprint == self.fingerprint else None

    def clear(self) -> None:
        """Remove all saves."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def save_model(self, table: Path) -> ProductFile:
        """Save the model, a CASA table, beside the last one: that goes when `save` has been told of this one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "model.part"
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as out:
            for path in sorted(table.rglob("*")):
                out.write(path, path.relative_to(table))
        made = ProductFile.of(partial)
        made = made.model_copy(update={"name": f"model_{made.sha256[:12]}.zip"})
        partial.replace(self.folder / made.name)
        sync_tree(self.folder)
        return made

    def save(self, state: State) -> None:
        """Have this be the save from which the imaging goes on."""
        state.save(self._state)
        for old in self.folder.glob("model_*"):
            if old.name != state.model.name:
                old.unlink()

    def restore_model(self, state: State, table: Path) -> None:
        """Put the saved model into the current folder."""
        shutil.rmtree(table, ignore_errors=True)
        with zipfile.ZipFile(self.folder / state.model.name) as saved:
            saved.extractall(table)


def pixel_sum(table: Path) -> str:
    """SHA-256 of the pixels of a CASA image, and of its mask's, as they are in its files."""
    digest = hashlib.sha256()
    for path in sorted(table.rglob("*_TSM*")):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
