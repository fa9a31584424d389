"""The command `ccip-batch`: its verbs, nothing else. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import functools
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ccip_batch import __version__, processes
from ccip_batch.cli.campaign import campaign
from ccip_batch.cli.ending import Command, command, explained, show_all_characters
from ccip_batch.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from ccip_batch.run.run import Run

_PATH = click.Path(path_type=Path)
_JOB = click.argument("job", type=_PATH, metavar="JOB.yaml")
_RUN = click.argument("run", type=_PATH, metavar="[RUN]", default=Path())


def _run_and_node(optional: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Arguments RUN, which may be left out inside a run folder, and NODE; optional: this may be left out too."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapper(words: tuple[str, ...]) -> None:
            if len(words) > 2 or not (words or optional):
                raise click.UsageError("Give RUN and NODE; inside a run folder, NODE alone.")
            is_run = len(words) == 2 or (optional and len(words) == 1 and Path(words[0]).exists())
            function(run=Path(words[0]) if is_run else Path(), name=words[-1] if len(words) > is_run else None)

        return click.argument("words", nargs=-1, metavar="[RUN] [NODE]" if optional else "[RUN] NODE")(wrapper)

    return decorate


_RUN_DIR = click.option("--run-dir", type=_PATH, metavar="DIR", help="The run folder. Default: <imagename>.run here.")
_SET = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override an option of the job, e.g. imaging.niter=100.",
)

_CONTAINER = click.option(
    "--container", metavar="IMAGE.sif", help="Run the nodes in this Apptainer image (execution.container)."
)


@click.group(cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ccip-batch")
def main() -> None:
    """VLASS coarse-cube imaging: from a PIMS and its SE-CONT products to archive-ready FITS planes.

    Exit codes: 0 done, 1 unexpected error, 2 wrong command line, 10 bad configuration, 11 bad or missing data,
    12 not a run folder, in use, or of another job, 13 files have changed, 20 some planes failed,
    30 out of memory or disk, 31 failure inside CASA, 85 checkpointed, 130 interrupted.

    Inside a run folder, RUN may be left out.
    """
    processes.keep_to_own_python()
    show_all_characters()
    processes.keep_others_from_writing()
    processes.die_with_parent()


main.add_command(campaign)


@main.command()
@_JOB
@_RUN_DIR
@click.option("--workers", type=click.IntRange(min=1), help="How many nodes run side by side. Default: one per core.")
@_CONTAINER
@_SET
@explained
def run(job: Path, run_dir: Path | None, workers: int | None, container: str | None, overrides: tuple[str, ...]) -> int:
    """Run a job on this machine; in an existing run folder, continue where it stopped."""
    from ccip_batch.verbs.run import run_job

    overrides = _with_container(overrides, container)
    if workers is not None:
        overrides = (*overrides, f"execution.workers={workers}")
    return run_job(job, overrides, run_dir)


def _with_container(overrides: tuple[str, ...], container: str | None) -> tuple[str, ...]:
    """The overrides with the image of the command line. Its path is relative to the current folder."""
    if container is None:
        return overrides
    image = container if "://" in container else str(Path(container).expanduser().absolute())
    return (*overrides, f"execution.container={json.dumps(image)}")


@main.command()
@_JOB
@_RUN_DIR
@_CONTAINER
@_SET
@explained
def validate(job: Path, run_dir: Path | None, container: str | None, overrides: tuple[str, ...]) -> int:
    """Check a job config, all its inputs and its image without running a node."""
    from ccip_batch.verbs.prepare import validate as validate_job

    return validate_job(job, _with_container(overrides, container), run_dir)


@main.command()
@_RUN
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@explained
def status(run: Run, as_json: bool) -> int:
    """Show the state of every node of a run."""
    from ccip_batch.verbs.status import show_status

    return show_status(run, as_json)


@main.command()
@_JOB
@_RUN_DIR
@_SET
@explained
def plan(job: Path, run_dir: Path | None, overrides: tuple[str, ...]) -> int:
    """Write a run folder with a DAG for `condor_submit_dag ccip.dag`. Needs neither CASA nor a pool."""
    from ccip_batch.engines.htcondor.doubts import can_submit
    from ccip_batch.verbs import plan as planning

    run = planning.plan(job, overrides, run_dir)
    planning.show_forecast(run)
    there = shlex.quote(str(run.folder.dag))
    if not can_submit():
        click.echo(f"Planned, to be read: {there}")
        return ExitCode.DONE
    click.echo(f"Planned. Next: {command('submit', run.folder.path)}, or: cd {there} && condor_submit_dag ccip.dag")
    return ExitCode.DONE


@main.command()
@_JOB
@_RUN_DIR
@_SET
@explained
def submit(job: Path, run_dir: Path | None, overrides: tuple[str, ...]) -> int:
    """Plan a job and submit it to the pool. JOB may also be a run folder that is already planned."""
    from ccip_batch.run.run import Run
    from ccip_batch.verbs import plan, submit

    if not job.is_dir():
        return submit.submit(plan.plan(job, overrides, run_dir))
    if overrides or run_dir:
        raise ConfigError(
            f"{job} is a run folder; --set and --run-dir go only with a job config, which is then planned again."
        )
    return submit.submit(Run.read(job))


@main.command()
@click.argument("folder", type=_PATH, metavar="[RUN]", default=Path())
@explained
def cancel(folder: Path) -> int:
    """Remove a run from the pool's queue; it can be resumed."""
    from ccip_batch.run.folder import RunFolder
    from ccip_batch.verbs import submit

    return submit.cancel(RunFolder.around(folder))


@main.command()
@_RUN
@explained
def resume(run: Run) -> int:
    """Submit the unfinished part of a run again: failed nodes and everything that waits for them."""
    from ccip_batch.verbs import submit

    return submit.resume(run)


@main.command()
@_run_and_node(optional=False)
@explained
def retry(run: Run, name: str) -> int:
    """Submit one node of a run again, with everything that comes after it."""
    from ccip_batch.verbs import submit

    return submit.retry(run, name)


@main.command()
@_run_and_node(optional=True)
@explained
def explain(run: Run, name: str | None) -> int:
    """Explain each node that failed, is held or finds no machine: the cause, and the command that repeats it here."""
    from ccip_batch.verbs.explain import explain as explain_run

    return explain_run(run, name)


@main.command()
@_RUN
@click.option("--text", "as_text", is_flag=True, help="Print the verdict and the table of planes; write nothing.")
@explained
def report(run: Run, as_text: bool) -> int:
    """Write RUN/report/index.html, at any time: also while a run is under way or after it has failed."""
    from ccip_batch import report as run_report

    click.echo(run_report.text(run) if as_text else run_report.write(run), nl=not as_text)
    return ExitCode.DONE


@main.command()
@click.argument("source", type=_PATH, metavar="[RUN_OR_PRODUCTS]", default=Path())
@explained
def verify(source: Path) -> int:
    """Compute all checksums of a run, or of a copied products folder, and list what differs. Needs no CASA."""
    from ccip_batch.verbs.verify import show_verification

    return show_verification(source)


@main.command()
@click.argument("folder", type=_PATH, metavar="RUN")
@click.argument("name", metavar="NODE")
@explained
def node(folder: Path, name: str) -> int:
    """Run one node of a run folder. Engines call this; it also repeats a node by hand."""
    from ccip_batch.nodes.supervisor import main as node_main
    from ccip_batch.run.folder import RunFolder

    return node_main(RunFolder.around(folder), name)


@main.command()
@click.argument("folder", type=_PATH, metavar="DIR")
@click.option(
    "--preset",
    default="demo",
    show_default=True,
    help="Size: demo, small, case, custom, rehearsal (3 GB).",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same data.")
@click.option("--channels", type=click.IntRange(min=2), help="Channels per spw (preset custom).")
@click.option("--fields", type=click.IntRange(min=1), help="Fields of the mosaic (preset custom).")
@click.option("--pixels", type=click.IntRange(min=64), help="Pixels along a side of the images (preset custom).")
@explained
def simulate(folder: Path, preset: str, seed: int, **size: int | None) -> int:
    """Write a simulated PIMS, its SE-CONT products and a ready job.yaml into a new folder. Needs CASA."""
    from ccip_batch.simulate import simulate as write_simulation

    given = {key: value for key, value in size.items() if value is not None}
    job = write_simulation(folder, preset, seed, lambda line: click.echo(line, err=True), **given)
    click.echo(f"Wrote {folder}. Next: {command('run', job)}")
    return ExitCode.DONE


@main.command()
@explained
def schema() -> int:
    """Print the JSON schema of the job config, for editors."""
    from ccip_batch.job.options_page import schema as config_schema

    click.echo(json.dumps(config_schema(), indent=2))
    return ExitCode.DONE


@main.command()
@click.argument("source", type=_PATH, metavar="RUN_OR_FOLDER")
@click.option("--out", type=_PATH, default=Path("cubes"), show_default=True, help="Folder for the cubes.")
@click.option(
    "--beam",
    metavar="BMAJ,BMIN,BPA",
    help="Beam of the cubes (arcsec, arcsec, degrees), or `native`: each plane keeps its own. Default: smallest.",
)
@click.option("--spw", multiple=True, metavar="SPWS", help="Only these planes, e.g. --spw 2,3,4 or --spw 2 --spw 3.")
@click.option(
    "--axis",
    type=click.Choice(["auto", "linear", "table"]),
    default="auto",
    show_default=True,
    help="Frequencies: a linear axis, with blank planes for what is missing, or a table; auto: linear if they fit one.",
)
@click.option("--blank-missing", is_flag=True, help="Blank planes also before the first plane and after the last.")
@click.option("--include-rejected", is_flag=True, help="Use rejected planes too.")
@click.option(
    "--interpolation",
    type=click.Choice(["linear", "exact"]),
    default="linear",
    show_default=True,
    help="How planes are moved to the nominal grid: as in the .com files, or without loss.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing cubes.")
@click.option("--rm", is_flag=True, help="Make maps of RM, polarised intensity and angle too. Needs RM-Tools.")
@click.option(
    "--rm-snr", type=click.FloatRange(min=3), default=7, show_default=True, help="Maps are blank below this S/N."
)
@click.option(
    "--rm-max", type=click.FloatRange(min=50), default=500, show_default=True, help="Largest |RM| searched (rad/m2)."
)
@explained
def cube(
    source: Path, out: Path, beam: str | None, spw: tuple[str, ...], rm: bool, rm_snr: float, rm_max: float,
    **options: Any,
) -> int:  # fmt: skip
    """Make I, Q and U cubes of a run, or of a folder of archive planes. Needs no CASA."""
    from ccip_batch.cube.beams import parse_beam
    from ccip_batch.cube.cubes import Options
    from ccip_batch.cube.faraday import FaradayOptions
    from ccip_batch.verbs.cube import make_cubes

    given = click.get_current_context().get_parameter_source
    if not rm and ParameterSource.COMMANDLINE in (given("rm_snr"), given("rm_max")):
        raise click.UsageError("--rm-snr and --rm-max are of the maps: give --rm too.")
    faraday = FaradayOptions(snr=rm_snr, limit=rm_max, overwrite=options["overwrite"]) if rm else None
    if rm and beam == "native":
        raise click.UsageError("Faraday depth needs planes of one beam: leave out --rm, or --beam native.")
    common = parse_beam(beam) if beam and beam != "native" else None
    chosen = Options(beam="native" if beam == "native" else common, spws=spw or None, **options)
    return make_cubes(source, out, chosen, faraday)


@main.command()
@click.argument("folders", type=_PATH, nargs=-1, required=True, metavar="RUN_OR_FOLDER...")
@click.option("--out", type=_PATH, default=Path("mosaic"), show_default=True, help="Folder for the mosaics.")
@click.option("--name", default="mosaic", show_default=True, help="What the names of the files begin with.")
@click.option("--spw", multiple=True, metavar="GROUP", help="Only these groups, e.g. --spw 2 --spw 3,4.")
@click.option("--common-beam", is_flag=True, help="One beam for all groups. Default: one for each.")
@click.option("--overwrite", is_flag=True, help="Replace existing mosaics.")
@explained
def mosaic(folders: tuple[Path, ...], out: Path, spw: tuple[str, ...], **options: Any) -> int:
    """Put the planes of neighbouring squares into one image for each spw. Needs no CASA."""
    from ccip_batch.cube.mosaic import MosaicOptions, make_mosaics

    files = make_mosaics(
        folders, out, MosaicOptions(spws=spw or None, **options), lambda line: click.echo(line, err=True)
    )
    for path in files:
        click.echo(path)
    return ExitCode.DONE


class _AtPositions(click.Command):
    """A verb with a declination among its words."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split the words into options and arguments; a declination that looks like an option is told as what it is."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if not re.match(r"-[\d.]", error.option_name):
                raise
            raise click.UsageError(
                "Put --, after all options, before a position with a negative declination: -- 203.4 -16.6", ctx
            ) from None


@main.command(cls=_AtPositions)
@click.argument("source", type=_PATH, metavar="RUN_OR_FOLDER")
@click.argument("position", nargs=-1, metavar="[RA DEC]")
@click.option("--catalogue", type=_PATH, help="A table of positions (ECSV, CSV, FITS, VOTable) instead of RA DEC.")
@click.option("--out", type=_PATH, default=Path("spectra.ecsv"), show_default=True, help="ECSV, FITS, VOTable or CSV.")
@click.option("--plot", "picture", type=_PATH, help="Draw the spectra too (PNG, PDF or SVG).")
@click.option("--common-beam", is_flag=True, help="Convolve to the common beam of the kept planes first.")
@click.option(
    "--measure",
    type=click.Choice(["value", "peak", "aperture", "gaussian"]),
    default="value",
    show_default=True,
    help="The value at the position, the peak of I within a beam of it, the sum in an aperture, or a Gaussian fit.",
)
@click.option("--aperture", type=float, metavar="ARCSEC", help="Radius of the aperture, for --measure aperture.")
@click.option(
    "--limit", type=float, default=3.0, show_default=True, help="Below this S/N, an upper limit of as many errors."
)
@click.option("--rm", is_flag=True, help="Fit rotation measures too, into a table <out>.rm.<ending>.")
@click.option("--overwrite", is_flag=True, help="Replace existing tables.")
@explained
def extract(
    source: Path, position: tuple[str, ...], catalogue: Path | None, common_beam: bool, aperture: float | None,
    measure: str, limit: float, **output: Any,
) -> int:  # fmt: skip
    """Tabulate I, Q, U, V against frequency at one position or at those of a catalogue. Needs no CASA.

    RA DEC: degrees, or 13:33:35.8 +16:44:04; put -- before a negative declination.
    """
    from ccip_batch.cube.spectra.catalogue import parse_position, read_catalogue
    from ccip_batch.cube.spectra.measure import Photometry
    from ccip_batch.verbs.extract import Output, write_spectra

    if len(position) != (0 if catalogue else 2):
        behind = any(word.startswith("--") for word in position)
        raise click.UsageError(f"Give RA and DEC, or --catalogue{'; options go before --' if behind else ''}.")
    if (measure == "aperture") != (aperture is not None):
        raise click.UsageError("Give --measure aperture together with --aperture ARCSEC.")
    positions = read_catalogue(catalogue) if catalogue else [parse_position(*position)]
    return write_spectra(source, positions, Photometry(measure, aperture, limit, common_beam), Output(**output))
