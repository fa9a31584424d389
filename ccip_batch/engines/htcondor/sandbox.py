"""A node on a machine that does not see the run folder: unpack what came, run the node, pack what goes back.

Run by the submit descriptions as `python -m ccip_batch.engines.htcondor.sandbox NODE ATTEMPT` in the job's scratch
folder. The tar that goes back is made before CASA starts and replaced at once when it is whole, so that no end of the
process leaves it missing: HTCondor would hold the job for that.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

from ccip_batch import processes
from ccip_batch.engines.htcondor.transfer import INPUTS, pack_output, unpack_checkpoint, unpack_input
from ccip_batch.errors import CcipError, ExitCode, says_disk_is_full
from ccip_batch.job.config import ResolvedJob
from ccip_batch.nodes import supervisor as node_runner
from ccip_batch.records import write_whole
from ccip_batch.run.run import Run

RUN = Path("run")


def main(name: str, attempt: str) -> ExitCode:
    """Run a node in the current folder. Gives its exit code; 85 if it saved its work and is to be run again.

    attempt: a part of the name of the tar that came.
    """
    try:
        return _main(name, Path(f"{name}.in.{attempt}.tar"))
    except OSError as error:
        if not says_disk_is_full(error):
            raise
        shutil.rmtree(RUN, ignore_errors=True)  # makes room for what is said here
        print(f"{name}: the disk of the machine is full ({error})", file=sys.stderr, flush=True)
        return ExitCode.RESOURCES


def _main(name: str, archive: Path) -> ExitCode:
    output = Path(f"{name}.out.tar")
    fresh = not output.is_file()
    if fresh:
        with tarfile.open(output, "w"):
            pass
    try:
        run = _unpack(archive, name, None if fresh else output)
    except CcipError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    try:
        return node_runner.main(run.folder, name)
    finally:
        pack_output(run, run.graph[name], output)


def _unpack(archive: Path, name: str, saved: Path | None) -> Run:
    """Make the run folder, or find the one that is there: after exit code 85 a job goes on in its folder."""
    whole = RUN / ".unpacked"
    if not whole.exists():
        unpack_input(archive, RUN)
        run = Run.read(RUN)
        node = run.named(name)
        write_whole(run.folder.resolved, _with_inputs_here(run.job).to_yaml())
        if saved is not None:
            unpack_checkpoint(saved, run, node)
        archive.unlink()
        whole.touch()
    return Run.read(RUN)


def _with_inputs_here(job: ResolvedJob) -> ResolvedJob:
    """The job with the paths of its inputs as they are in this sandbox. Fingerprints do not contain them."""
    here = {}
    for key in type(job.inputs).model_fields:
        path = getattr(job.inputs, key)
        if path is not None:
            places = (Path(path.name), RUN / INPUTS / key / path.name)
            here[key] = next((place.absolute() for place in places if place.exists()), path)
    return job.model_copy(update={"inputs": job.inputs.model_copy(update=here)})


if __name__ == "__main__":
    processes.keep_others_from_writing()
    sys.exit(main(*sys.argv[1:]))
