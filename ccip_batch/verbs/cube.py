"""`ccip-batch cube`: what it needs of a run is read here; the rest is done in the room `cube`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ccip_batch.cube.cubes import Options, make_cube
from ccip_batch.errors import CcipError, ExitCode
from ccip_batch.report.facts import gather
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.run import Run


def make_cubes(source: Path, out: Path, options: Options) -> ExitCode:
    """Make the cubes of a run or of a folder of planes, and say what is in them and what is not."""
    result = make_cube(source, out, replace(options, states=_states(source)), lambda line: click.echo(line, err=True))
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    for group, reason in result.left_out.items():
        click.echo(f"{'blank' if options.blank_missing else 'left out'}: spw {group}: {reason}", err=True)
    for path in (*result.cubes.values(), result.frequencies, result.noise):
        click.echo(path)
    return ExitCode.DONE


def _states(source: Path) -> dict[str, str] | None:
    """What a run says of each of its planes; None if the folder is not that of a run."""
    folder = RunFolder(source)
    if not folder.resolved.is_file():
        return None
    try:
        planes = gather(Run.read(folder)).planes
    except CcipError as error:
        click.echo(f"warning: what became of the planes is not known: {error}", err=True)
        return None
    return {
        plane.spw.replace(",", "_"): "no file" if plane.state == "kept" else f"{plane.state}: {plane.reason}"
        for plane in planes
    }
