"""What `extract` does: spectra at positions, as tables and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ccip_batch.cube.spectra.catalogue import Position
from ccip_batch.cube.spectra.extract import extract
from ccip_batch.cube.spectra.measure import Photometry
from ccip_batch.cube.spectra.output import check_out, write_tables
from ccip_batch.cube.spectra.rotation import rotation_measures
from ccip_batch.errors import ExitCode


@dataclass(frozen=True)
class Output:
    """What is written."""

    out: Path
    """The table."""
    picture: Path | None = None
    """A plot of the spectra."""
    rm: bool = False
    """Rotation measures too, in a table beside: `<out>.rm.<ending>`."""
    overwrite: bool = False
    """Replace tables that are there."""

    @property
    def tables(self) -> list[Path]:
        """The files of the tables."""
        return [self.out, self.out.with_suffix(f".rm{self.out.suffix}")] if self.rm else [self.out]


def write_spectra(source: Path, positions: Sequence[Position], how: Photometry, output: Output) -> int:
    """Tabulate the spectra of a run folder or a folder of planes at positions, and tell the files."""

    def warn(line: str) -> None:
        click.echo(f"warning: {line}", err=True)

    check_out(output.tables, output.picture, overwrite=output.overwrite, positions=len(positions))
    made = [extract(source, positions, how, warn=warn)]
    if output.rm:
        made.append(rotation_measures(made[0], warn))
    for path in write_tables(dict(zip(output.tables, made, strict=True)), output.picture, overwrite=output.overwrite):
        click.echo(path)
    return ExitCode.DONE
