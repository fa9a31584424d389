"""What DAGMan runs on the access point: before a node (pre), after it (post), and at the end of the DAG (final).

Run as `python -m ccip_batch.engines.htcondor.dag_scripts VERB RUN ...`; it needs no CASA.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ccip_batch import processes
from ccip_batch.engines.htcondor import transfer
from ccip_batch.engines.htcondor.asked import read_asked
from ccip_batch.engines.htcondor.attempts import Attempt, note_moved, read_attempt, write_attempt
from ccip_batch.engines.htcondor.holds import HoldKind
from ccip_batch.engines.htcondor.plan import DAG, LOGS, NO_RETRY, planned_site
from ccip_batch.engines.htcondor.staging import Staging, require_own_place
from ccip_batch.engines.htcondor.state import hold_at_removal, idle_at_removal, pool_records, shortages_of
from ccip_batch.errors import CcipError, DataError, ExitCode, ResourceError
from ccip_batch.run.failures import (
    NO_MACHINE,
    REMOVED,
    attempt_number,
    cause_of_job,
    make_failure,
    no_machine,
    tail_of,
    too_large,
)
from ccip_batch.run.needed import needed_nodes
from ccip_batch.run.pool import write_pool_records
from ccip_batch.run.run import Run
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import KINDS

_FIRST_MENDABLE = ExitCode.RESOURCES
"""Exit codes from here on are failures that another try can get past."""
_MOST_TIMES_OVER = 3
"""Eight times the first request: beyond that something else is wrong."""


def pre(run: Run, name: str) -> int:
    """Before a node: its job is skipped if it need not run, otherwise what it needs is made ready.

    `publish` always runs: it must tell each time that planes are missing. An export whose plane failed is skipped.
    """
    node = run.graph[name]
    failed = any(run.result(parent) is None for parent in node.parents if parent not in node.may_fail)
    needed = KINDS[node.kind].always_runs or name in needed_nodes(run)
    if needed and _is_transferred(run) and _unpack_what_waits(run, node):
        needed = name in needed_nodes(run)
    skip = failed or not needed
    more = _times_over(run, node)
    attempt = Attempt(True, more, read_attempt(run, name).name) if skip else Attempt.now(False, more)
    write_attempt(run, name, attempt)
    if skip or not _is_transferred(run):
        return 0
    if KINDS[node.kind].gathers:
        _write_pool_records(run)
    staging = _staging(run)
    try:
        staging.forget(name)
        staging.provide()
        transfer.pack_input(run, node, staging.input(name, attempt), staging.packed_inputs())
    except DataError as error:
        _write_failure(run, node, int(error.exit_code), str(error))
        print(f"{name}: {error}", file=sys.stderr)
        return NO_RETRY
    except OSError as error:
        _write_failure(run, node, int(ExitCode.RESOURCES), f"its input files could not be packed: {error}")
        raise ResourceError(f"{name}: its input files could not be packed: {error}") from error
    return 0


def post(run: Run, name: str, returned: int, retry: int, retries: int) -> int:
    """After a node: what DAGMan shall take as its exit code.

    The real exit code while there are retries left; NO_RETRY for what a retry cannot repair. A plane's node that
    failed for good counts as good here, so that the other planes go on: its failure stands in its folder, and `publish`
    reports it. returned: exit code of the job; negative: the signal that killed it, or that it was removed. retry: how
    often it was tried again so far; retries: how often at most.
    """
    attempt = read_attempt(run, name)
    node = run.graph[name]
    if attempt.skip:
        return _code_of_done(run, node) if KINDS[node.kind].always_runs else 0
    code, cause, came = returned if returned >= 0 else int(ExitCode.CASA), "", True
    if _is_transferred(run):
        staging = _staging(run)
        try:
            note_moved(run, name, staging.sizes(name, attempt))
            came = transfer.unpack_output(run, node, staging.output(name, attempt))
        except CcipError as error:
            came, code, cause = False, code or int(error.exit_code), str(error)
        except OSError as error:  # of this machine's disk: what came stays where it is, for the next PRE script
            print(f"{name}: its output could not be unpacked: {error}", file=sys.stderr)
            return int(ExitCode.RESOURCES) if retry < retries else NO_RETRY
        staging.forget(name)
    if code == 0:
        if run.is_done(node):  # so it is, too, if this script was cut off after it had unpacked, and runs once more
            return _code_of_done(run, node)
        code, cause = int(ExitCode.DATA), "it ended well, but what it gave back is not there, or not whole"
    in_vain = _why_in_vain(run, node) if returned <= REMOVED else ""
    if in_vain:
        code, cause = int(ExitCode.RESOURCES), in_vain
    if returned < 0 or not came or run.failure(node) is None:
        _write_failure(run, node, code, cause or cause_of_job(returned, _last_lines(run, node)))
    if code >= _FIRST_MENDABLE and retry < retries and not in_vain:
        return code
    if any(name in child.may_fail for child in run.graph.children(name)):
        return 0
    return NO_RETRY


def _unpack_what_waits(run: Run, node: Node) -> bool:
    """Unpack an earlier try's output that its POST script could not unpack on a full disk; whether there was one."""
    staging = _staging(run)
    archive = staging.output(node.name, read_attempt(run, node.name))
    if not archive.is_file():
        return False
    try:
        came = transfer.unpack_output(run, node, archive)
    except DataError as error:
        print(error, file=sys.stderr)
        came = False
    except OSError as error:
        raise ResourceError(f"{node.name}: its output could not be unpacked: {error}") from error
    staging.forget(node.name)
    return came


def _staging(run: Run) -> Staging:
    return Staging(run, planned_site(run))


def _times_over(run: Run, node: Node) -> int:
    """How often a node's request is doubled: once more after each try that ran out of memory or disk."""
    failure = run.failure(node)
    if failure is None or failure.fingerprint != run.fingerprint(node):
        return 0
    more = read_attempt(run, node.name).more
    if failure.cause.startswith(NO_MACHINE):
        return more
    before = more + shortages_of(run.folder, node)
    return min(before + 1, _MOST_TIMES_OVER) if failure.exit_code == ExitCode.RESOURCES else before


def _why_in_vain(run: Run, node: Node) -> str:
    """Why a node's job was removed that it would be in vain to submit again; empty if it may help.

    Held for its memory or disk, it had asked for all that the site has; idle, it had waited as long as the profile lets
    it.
    """
    site, shortages = planned_site(run), shortages_of(run.folder, node)
    hold = hold_at_removal(run.folder, node)
    if hold is not None and hold.is_shortage:
        last = read_asked(run, {node.name: shortages - 1}).get(node.name)
        for kind, limit, asked_mb in (
            (HoldKind.MEMORY, site.memory_limit, last.memory_mb if last else 0),
            (HoldKind.DISK, site.disk_limit, last.disk_mb if last else 0),
        ):
            if hold.kind is kind and limit is not None and asked_mb >= limit // 2**20:
                return too_large(str(kind), int(limit))
    idle_s = idle_at_removal(run.folder, node)
    if idle_s is None:
        return ""
    asked = read_asked(run, {node.name: shortages}).get(node.name)
    return no_machine(idle_s, asked.words if asked else "more than they have")


def final(run: Run, dag_status: int) -> int:
    """At the end of the DAG: check the products, clean up, write the report; passes the state of the DAG on.

    It runs on the access point, which is not there for work: it draws nothing, and where files are transferred it looks
    at the sizes of the products alone.
    """
    # what it imports takes too long for what runs before and after each node
    from ccip_batch.engines.finish import finish

    _write_pool_records(run)
    bad = finish(run, done=dag_status == 0, light=True, read=planned_site(run).data == "shared")
    for name in bad:
        print(f"{name} has changed since it was written", file=sys.stderr)
    if dag_status != 0:
        from ccip_batch.stages.publish import pack_logs

        pack_logs(run.job, run.folder.path / "nodes", run.folder.dag / "logs.tgz")
        return int(ExitCode.PLANES_FAILED)
    if bad:
        return int(ExitCode.DATA)
    if _is_transferred(run):
        _staging(run).tidy()
    # A DAGMan that starts again when its log has this node never ends. Without the file that tells it that it was here
    # before, it takes the DAG from its beginning, where nothing is left to do.
    (run.folder.dag / f"{DAG}.lock").unlink(missing_ok=True)
    return 0


def _is_transferred(run: Run) -> bool:
    """Whether nodes work in sandboxes."""
    return planned_site(run).data == "transfer"


def _code_of_done(run: Run, node: Node) -> int:
    result = run.result(node)
    if result is None:
        print(f"{node.name} ended with 0 but left no result", file=sys.stderr)
        return NO_RETRY
    if node.kind == "publish" and run.missing_planes():
        return int(ExitCode.PLANES_FAILED)
    return 0


def _write_failure(run: Run, node: Node, code: int, cause: str) -> None:
    """Note a failure of which the node itself could not tell: it was killed or removed, or never started."""
    folder = run.node(node)
    before = run.failure(node)
    fingerprint = run.fingerprint(node)
    failed = make_failure(
        run.folder.path,
        node,
        code,
        cause,
        fingerprint=fingerprint,
        attempts=attempt_number(before, fingerprint),
        tail=_last_lines(run, node),
    )
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.result.unlink(missing_ok=True)  # of other parameters
        failed.save(folder.failure)
    except OSError as error:  # on a full disk the cause is told at least
        print(f"{node.name}: {cause}; this could not be written to {folder.failure}: {error}", file=sys.stderr)


def _last_lines(run: Run, node: Node) -> list[str]:
    """The end of what the last job of a node wrote to its standard error."""
    files = sorted((run.folder.dag / LOGS).glob(f"{node.name}.*.err"), key=lambda path: path.stat().st_mtime)
    return tail_of(files[-1]) if files else []


def _write_pool_records(run: Run) -> None:
    """Keep what the event logs tell of each node: where it ran, what it asked and used, how many bytes it moved."""
    try:
        records = pool_records(run)
        write_pool_records(run.folder, records)
    except (CcipError, OSError) as error:  # without the bindings, or on a full disk, the report does without
        print(error, file=sys.stderr)


def main(verb: str, run_folder: str, *arguments: str) -> int:
    """Run a verb. Raises DataError for an unknown verb."""
    run = Run.read(Path(run_folder))
    require_own_place(run.folder)
    if verb == "pre":
        return pre(run, arguments[0])
    if verb == "post":
        name, returned, retry, retries = arguments
        return post(run, name, int(returned), int(retry), int(retries))
    if verb == "final":
        return final(run, int(arguments[0]))
    raise DataError(f"unknown verb {verb}")


def run_as_script(run: Callable[..., int]) -> int:
    """Run what DAGMan calls with the words of its command line; gives the exit code, of a failure that is told too."""
    processes.die_with_this_parent()  # DAGMan may be killed; its next one starts this again
    processes.keep_others_from_writing()
    processes.yield_to_others()
    try:
        return run(*sys.argv[1:])
    except CcipError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    except OSError as error:
        print(f"{' '.join(sys.argv[1:])}: {error}", file=sys.stderr)
        return int(ExitCode.RESOURCES)


if __name__ == "__main__":
    sys.exit(run_as_script(main))
