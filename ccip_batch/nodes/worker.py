"""The process that does a node's work: it runs the node's stages, one after the other, in the node's work folder.

It may be killed, or aborted by CASA, at any moment; its supervisor outlives it and judges what it left. It writes one
file per stage, and `error.json` if a stage raised. Run as `python -m ccip_batch.nodes.worker RUN NODE FINGERPRINT`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from ccip_batch import processes
from ccip_batch.errors import CcipError, ExitCode, says_disk_is_full
from ccip_batch.job.versions import versions
from ccip_batch.nodes.workspace import Workspace
from ccip_batch.records import write_whole
from ccip_batch.run.checksums import Output
from ccip_batch.run.folder import NodeFolder
from ccip_batch.run.results import OUTCOME, Outcome
from ccip_batch.run.run import Run
from ccip_batch.workflow.kinds import Kind


def main(run_folder: str, name: str, fingerprint: str) -> ExitCode:
    """Do a node's work. The exit code tells how it ended; what failed is in `error.json`."""
    run = Run.read(Path(run_folder))
    node = run.graph[name]
    folder = run.node(node)
    os.chdir(folder.work)
    try:
        work = Workspace(run, node, fingerprint)
        work.check_inputs()
        try:
            outcome = _work_of(node.kind)(work)
        finally:
            work.check_inputs()  # also after a failure: this is then its cause
        # files that are given to the user have their checksums already
        made = () if outcome.files else tuple(Output.of(path) for path in sorted(work.out.iterdir()))
        known = {"outputs": made, "versions": versions(), "self_checks": work.self_checks}
        outcome.model_copy(update=known).save(Path(OUTCOME))
    except CcipError as error:
        return _tell(folder, str(error), error.exit_code)
    except MemoryError:
        return _tell(folder, "out of memory", ExitCode.RESOURCES)
    except OSError as error:
        if says_disk_is_full(error):
            return _tell(folder, f"the disk is full: {error}", ExitCode.RESOURCES)
        traceback.print_exc()
        return _tell(folder, f"{type(error).__name__}: {error}", ExitCode.INTERNAL)
    except Exception as error:
        traceback.print_exc()
        return _tell(folder, f"{type(error).__name__}: {error}", ExitCode.INTERNAL)
    return ExitCode.DONE


def _work_of(kind: Kind) -> Callable[[Workspace], Outcome]:
    """What a kind of node does. The modules of other kinds, with all that they import, stay out."""
    match kind:
        case "restore":
            from ccip_batch.nodes.restore import restore as work
        case "image":
            from ccip_batch.nodes.image import image as work
        case "analyze":
            from ccip_batch.nodes.analyze import analyze as work
        case "export":
            from ccip_batch.nodes.export import export as work
        case "publish":
            from ccip_batch.nodes.publish import publish as work
    return work


def _tell(folder: NodeFolder, cause: str, code: ExitCode) -> ExitCode:
    print(f"ccip-batch: {cause}", file=sys.stderr, flush=True)
    write_whole(folder.error, json.dumps({"cause": cause, "exit_code": int(code)}))
    return code


if __name__ == "__main__":
    processes.die_with_parent()
    processes.keep_others_from_writing()
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3]))
