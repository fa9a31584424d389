"""Checkpoints of a plane's imaging: what is needed to go on after an interruption and to end with the same bits.

What does not change after iter0 (psf, pb, weight, sumwt) is saved once, what does (model, residual) at each save, and
`state.json` when they are on the disk, so that a save is whole or does not count. The last save also has image and mask
of iter3.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import ValidationError

from ccip_batch.casa.session import Casa, copy_table
from ccip_batch.imaging.convergence import Convergence, IterationResult
from ccip_batch.records import Model, sync_tree

CONSTANT = ("psf", "pb", "weight", "sumwt")
CHANGING = ("model", "residual")
FINAL = ("image", "mask")


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
    folder: str
    """Where model and residual are."""


class Checkpoint:
    """The checkpoint folder of a node."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self._state = folder / "state.json"

    def load(self) -> State | None:
        """The last save; None if there is none of this fingerprint."""
        try:
            state = State.model_validate_json(self._state.read_bytes())
        except (OSError, ValidationError):
            return None
        return state if state.fingerprint == self.fingerprint and (self.folder / state.folder).is_dir() else None

    def clear(self) -> None:
        """Remove all saves."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def save(self, name: str, state: State, final: bool) -> None:
        """Save the images `<name>.<kind>.tt0` of the current folder; `final`: image and mask too."""
        constant = self.folder / "constant"
        constant.mkdir(parents=True, exist_ok=True)
        for kind in CONSTANT:
            if not (constant / kind).is_dir():
                copy_table(Path(f"{name}.{kind}.tt0"), constant / kind)
                sync_tree(constant / kind)
        changing = self.folder / state.folder
        shutil.rmtree(changing, ignore_errors=True)
        changing.mkdir()
        for kind in CHANGING:
            copy_table(Path(f"{name}.{kind}.tt0"), changing / kind)
        if final:
            copy_table(Path(f"{name}.image.tt0"), changing / "image")
            copy_table(Path(f"{name}.mask"), changing / "mask")
        sync_tree(changing)
        state.save(self._state)
        for old in self.folder.glob("save_*"):
            if old.name != state.folder:
                shutil.rmtree(old, ignore_errors=True)

    def restore(self, casa: Casa, name: str, state: State) -> None:
        """Put the saved images into the current folder under a name, and cut the record of CASA calls back."""
        casa.cut_script(state.script_bytes)
        for folder, kinds in ((self.folder / "constant", CONSTANT), (self.folder / state.folder, (*CHANGING, *FINAL))):
            for kind in kinds:
                if (folder / kind).is_dir():
                    target = Path(f"{name}.mask" if kind == "mask" else f"{name}.{kind}.tt0")
                    shutil.rmtree(target, ignore_errors=True)
                    copy_table(folder / kind, target)
