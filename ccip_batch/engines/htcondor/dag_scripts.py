"""What DAGMan runs on the access point: before a node (pre), after it (post), and at the end of the DAG (final).

Run as `python -m ccip_batch.engines.htcondor.dag_scripts VERB RUN ...`; it needs no CASA.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ccip_batch import processes
from ccip_batch.engines.htcondor import transfer
from ccip_batch.engines.htcondor.holds import HoldKind
from ccip_batch.engines.htcondor.plan import LOGS, NO_RETRY, is_skipped, planned_site, read_more, write_skip
from ccip_batch.engines.htcondor.state import hold_at_removal, pool_records
from ccip_batch.errors import CcipError, DataError, ExitCode, ResourceError
from ccip_batch.records import write_whole
from ccip_batch.run.failures import REMOVED, TOO_LARGE, attempt_number, cause_of_job, make_failure, tail_of
from ccip_batch.run.needed import needed_nodes
from ccip_batch.run.run import Run
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import KINDS

_FIRST_MENDABLE = ExitCode.RESOURCES
"""Exit codes from here on are failures that another try can get past."""
_MOST_TIMES_OVER = 3
"""Eight times the first request: beyond that something else is wrong."""
POOL_RECORDS = "pool.json"
"""In dag/: what the pool's logs tell of the nodes, for the report."""


def pre(run: Run, name: str) -> int:
    """Before a node: its job is skipped if it need not run, otherwise what it needs is made ready.

    `publish` always runs: it must tell each time that planes are missing. An export whose plane failed is skipped.
    """
    node = run.graph[name]
    failed = any(run.result(parent) is None for parent in node.parents if parent not in node.may_fail)
    needed = KINDS[node.kind].always_runs or name in needed_nodes(run)
    if needed and _is_transferred(run, node) and _unpack_what_waits(run, node):
        needed = name in needed_nodes(run)
    skip = failed or not needed
    write_skip(run, name, skip, _times_over(run, node))
    if skip or not _is_transferred(run, node):
        return 0
    try:
        transfer.output_name(run, node).unlink(missing_ok=True)
        transfer.pack_input(run, node)
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
    if is_skipped(run, name):
        return 0
    node = run.graph[name]
    code, cause, came = returned if returned >= 0 else int(ExitCode.CASA), "", True
    if _is_transferred(run, node):
        try:
            came = transfer.unpack_output(run, node)
        except CcipError as error:
            came, code, cause = False, code or int(error.exit_code), str(error)
        except OSError as error:  # of this machine's disk: what came stays where it is, for the next PRE script
            print(f"{name}: its output could not be unpacked: {error}", file=sys.stderr)
            return int(ExitCode.RESOURCES) if retry < retries else NO_RETRY
        if not came and code == 0:
            code = int(ExitCode.DATA)
        transfer.forget(run, node)
    if code == 0:
        return _code_of_done(run, node)
    too_large = returned <= REMOVED and _was_held_for_memory(run, node)
    if too_large:
        code, cause = int(ExitCode.RESOURCES), TOO_LARGE
    if returned < 0 or not came or run.failure(node) is None:
        _write_failure(run, node, code, cause or cause_of_job(returned, _last_lines(run, node)))
    if code >= _FIRST_MENDABLE and retry < retries and not too_large:
        return code
    if any(name in child.may_fail for child in run.graph.children(name)):
        return 0
    return NO_RETRY


def _unpack_what_waits(run: Run, node: Node) -> bool:
    """Unpack an earlier try's output that its POST script could not unpack on a full disk; whether there was one."""
    if not transfer.output_name(run, node).is_file():
        return False
    try:
        came = transfer.unpack_output(run, node)
    except DataError as error:
        print(error, file=sys.stderr)
        came = False
    except OSError as error:
        raise ResourceError(f"{node.name}: its output could not be unpacked: {error}") from error
    transfer.forget(run, node)
    return came


def _times_over(run: Run, node: Node) -> int:
    """How often a node's request is doubled: once more after each try that ran out of memory or disk."""
    failure = run.failure(node)
    if failure is None or failure.fingerprint != run.fingerprint(node):
        return 0
    before = read_more(run, node.name)
    return min(before + 1, _MOST_TIMES_OVER) if failure.exit_code == ExitCode.RESOURCES else before


def _was_held_for_memory(run: Run, node: Node) -> bool:
    """Whether a node's job was removed when it was held for its memory: it had asked for more as long as it could."""
    hold = hold_at_removal(run.folder, node)
    return hold is not None and hold.kind is HoldKind.MEMORY


def final(run: Run, dag_status: int) -> int:
    """At the end of the DAG: check the products, clean up, write the report; passes the state of the DAG on."""
    # these import matplotlib and scipy, which takes too long for what runs before and after each node
    from ccip_batch.engines.finish import finish
    from ccip_batch.stages.publish import pack_logs

    _write_pool_records(run)
    bad = finish(run, done=dag_status == 0)
    for name in bad:
        print(f"{name} has changed since it was written", file=sys.stderr)
    if dag_status != 0:
        pack_logs(run.job, run.folder.path / "nodes", run.folder.dag / "logs.tgz")
        return int(ExitCode.PLANES_FAILED)
    return int(ExitCode.DATA) if bad else 0


def _is_transferred(run: Run, node: Node) -> bool:
    """Whether a node works in a sandbox."""
    return planned_site(run).data == "transfer" and not KINDS[node.kind].on_access_point


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
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.result.unlink(missing_ok=True)  # of other parameters
    fingerprint = run.fingerprint(node)
    make_failure(
        run.folder.path,
        node,
        code,
        cause,
        fingerprint=fingerprint,
        attempts=attempt_number(before, fingerprint),
        tail=_last_lines(run, node),
    ).save(folder.failure)


def _last_lines(run: Run, node: Node) -> list[str]:
    """The end of what the last job of a node wrote to its standard error."""
    files = sorted((run.folder.dag / LOGS).glob(f"{node.name}.*.err"), key=lambda path: path.stat().st_mtime)
    return tail_of(files[-1]) if files else []


def _write_pool_records(run: Run) -> None:
    """Keep what the event logs tell of each node: where it ran, what it asked and used, how many bytes it moved."""
    try:
        records = pool_records(run)
    except CcipError as error:  # without the bindings the report does without
        print(error, file=sys.stderr)
        return
    write_whole(run.folder.dag / POOL_RECORDS, json.dumps(records, indent=1) + "\n")


def main(verb: str, run_folder: str, *arguments: str) -> int:
    """Run a verb. Raises DataError for an unknown verb."""
    run = Run.read(Path(run_folder))
    if verb == "pre":
        return pre(run, arguments[0])
    if verb == "post":
        name, returned, retry, retries = arguments
        return post(run, name, int(returned), int(retry), int(retries))
    if verb == "final":
        return final(run, int(arguments[0]))
    raise DataError(f"unknown verb {verb}")


if __name__ == "__main__":
    processes.keep_others_from_writing()
    try:
        sys.exit(main(*sys.argv[1:]))
    except CcipError as error:
        print(error, file=sys.stderr)
        sys.exit(int(error.exit_code))
