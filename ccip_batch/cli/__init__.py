"""The command `ccip-batch`: its verbs, nothing else. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ccip_batch import __version__, processes
from ccip_batch.cli.campaign import campaign
from ccip_batch.cli.ending import command, explained, show_all_characters
from ccip_batch.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from ccip_batch.run.run import Run

_PATH = click.Path(path_type=Path)
_JOB = click.argument("job", type=_PATH, metavar="JOB.yaml")
_RUN = click.argument("run", type=_PATH, metavar="RUN")
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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ccip-batch")
def main() -> None:
    """VLASS coarse-cube imaging: from a PIMS and its SE-CONT products to archive-ready FITS planes.

    Exit codes: 0 done, 1 unforeseen error, 2 wrong command line, 10 bad configuration, 11 bad or missing data,
    12 not a run folder, in use, or of another job, 13 files have changed, 20 some planes failed,
    30 out of memory or disk, 31 failure inside CASA, 85 checkpointed, 130 interrupted.
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
@click.argument("folder", type=_PATH, metavar="RUN")
@explained
def cancel(folder: Path) -> int:
    """Remove a run from the pool's queue; it can be resumed."""
    from ccip_batch.run.folder import RunFolder
    from ccip_batch.verbs import submit

    return submit.cancel(RunFolder.existing(folder))


@main.command()
@_RUN
@explained
def resume(run: Run) -> int:
    """Submit the unfinished part of a run again: failed nodes and everything that waits for them."""
    from ccip_batch.verbs import submit

    return submit.resume(run)


@main.command()
@_RUN
@click.argument("name", metavar="NODE")
@explained
def retry(run: Run, name: str) -> int:
    """Submit one node of a run again, with everything that comes after it."""
    from ccip_batch.verbs import submit

    return submit.retry(run, name)


@main.command()
@_RUN
@click.argument("name", metavar="[NODE]", required=False)
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
@click.argument("source", type=_PATH, metavar="RUN_OR_PRODUCTS")
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

    return node_main(RunFolder.existing(folder), name)


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
@click.option("--beam", metavar="BMAJ,BMIN,BPA", help="Beam of the cubes (arcsec, arcsec, degrees). Default: smallest.")
@click.option("--spw", multiple=True, metavar="GROUP", help="Only these groups, e.g. --spw 2 --spw 3,4.")
@click.option("--blank-missing", is_flag=True, help="Give rejected and missing spws a blank plane.")
@click.option("--regular", is_flag=True, help="Make the frequency axis linear, where the spacing allows it.")
@click.option("--include-rejected", is_flag=True, help="Use rejected planes too.")
@click.option(
    "--interpolation",
    type=click.Choice(["linear", "exact"]),
    default="linear",
    show_default=True,
    help="How planes are moved to the nominal grid: as in the .com files, or without loss.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing cubes.")
@explained
def cube(source: Path, out: Path, beam: str | None, spw: tuple[str, ...], **options: Any) -> int:
    """Make I, Q and U cubes of a run, or of a folder of archive planes. Needs no CASA."""
    from ccip_batch.cube.beams import parse_beam
    from ccip_batch.cube.cubes import Options
    from ccip_batch.verbs.cube import make_cubes

    return make_cubes(source, out, Options(beam=parse_beam(beam) if beam else None, spws=spw or None, **options))


@main.command()
@click.argument("source", type=_PATH, metavar="RUN_OR_FOLDER")
@click.argument("position", nargs=-1, metavar="[RA DEC]")
@click.option("--catalogue", type=_PATH, help="A table of positions (ECSV, CSV, FITS, VOTable) instead of RA DEC.")
@click.option("--out", type=_PATH, default=Path("spectra.ecsv"), show_default=True, help="ECSV, FITS, VOTable or CSV.")
@click.option("--plot", "picture", type=_PATH, help="Draw the spectra too (PNG, PDF or SVG).")
@click.option("--common-beam", is_flag=True, help="Convolve to the common beam of the kept planes first.")
@click.option("--overwrite", is_flag=True, help="Replace an existing table.")
@explained
def extract(
    source: Path,
    position: tuple[str, ...],
    catalogue: Path | None,
    out: Path,
    picture: Path | None,
    common_beam: bool,
    overwrite: bool,
) -> int:
    """Tabulate I, Q, U, V against frequency at one position or at those of a catalogue. Needs no CASA.

    RA DEC: degrees, or 13:33:35.8 +16:44:04; put -- before a negative declination.
    """
    from ccip_batch.cube import extract as spectra
    from ccip_batch.cube.catalogue import parse_position, read_catalogue

    if (len(position) == 2) == (catalogue is not None):
        raise click.UsageError("Give RA and DEC, or --catalogue.")
    positions = read_catalogue(catalogue) if catalogue else [parse_position(*position)]
    spectra.check_out(out, picture, overwrite=overwrite, positions=len(positions))
    table = spectra.extract(
        source, positions, in_common_beam=common_beam, warn=lambda line: click.echo(f"warning: {line}", err=True)
    )
    spectra.write_spectra(table, out, picture, overwrite=overwrite)
    click.echo(out)
    if picture:
        click.echo(picture)
    return ExitCode.DONE
