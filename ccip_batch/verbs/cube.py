"""`ccip-batch cube`: what it needs of a run is read here; the rest is done in the room `cube`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import click

from ccip_batch.cube.cubes import Options, make_cube
from ccip_batch.cube.faraday import FaradayMaps, FaradayOptions, check_maps, faraday_maps, require_channels
from ccip_batch.cube.planes.plane import find_planes
from ccip_batch.errors import CcipError, ExitCode
from ccip_batch.report.facts import gather
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.run import Run


def make_cubes(source: Path, out: Path, options: Options, faraday: FaradayOptions | None) -> ExitCode:
    """Make the cubes of a run or of a folder of planes, and say what is in them and what is not.

    faraday: how to make maps of the Faraday depth peaks of the cubes; None: none are wanted.
    """
    if faraday is not None:
        planes = find_planes(source, "IQU", options.spws)
        check_maps(out, planes[0].imagename, faraday)
        if taken := [plane for plane in planes if options.include_rejected or not plane.rejected]:
            require_channels(len(taken), "The cube")
    result = make_cube(source, out, replace(options, states=_states(source)), _say)
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    blank = {channel.group for channel in result.channels if channel.plane is None}
    for group, reason in result.left_out.items():
        click.echo(f"{'blank' if group in blank else 'left out'}: spw {group}: {reason}", err=True)
    for path in (*result.cubes.values(), result.frequencies, result.noise):
        click.echo(path)
    if faraday is not None:
        maps = faraday_maps(result, faraday, _say)
        for path in maps.paths.values():
            click.echo(path)
        _make_pictures(maps, out, source)
    return ExitCode.DONE


def _make_pictures(maps: FaradayMaps, out: Path, source: Path) -> None:
    """Draw RM and P beside the maps; for a run, they are kept in its folder as well, for its report."""
    from ccip_batch.cube import faraday_pictures  # matplotlib and its like take a second to import

    pictures = faraday_pictures.draw(maps, out)
    for picture in pictures:
        click.echo(out / picture.file)
    folder = RunFolder(source)
    if not folder.resolved.is_file():
        return
    try:
        faraday_pictures.keep(pictures, out, folder.faraday)
    except OSError as error:
        _say(f"warning: the report of {source} will be without the pictures: {error}")
        return
    _say(f"To see the pictures in the report of the run: ccip-batch report {shlex.quote(str(source))}")


def _say(line: str) -> None:
    click.echo(line, err=True)


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
