"""`ccip-batch explain`: what failed or is held, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ccip_batch.engines.htcondor.event_log import JobState, NodeRow
from ccip_batch.engines.htcondor.plan import LOGS
from ccip_batch.engines.htcondor.state import earlier_holds, is_pool_run, pool_rows
from ccip_batch.errors import ExitCode
from ccip_batch.run.failures import headline, last_lines, repeat_command
from ccip_batch.run.run import Run
from ccip_batch.workflow.graph import Node


def explain(run: Run, name: str | None) -> ExitCode:
    """Print what failed or is held: the cause, the last lines that matter, the command that repeats it here."""
    nodes = run.graph.nodes if name is None else [run.named(name)]
    rows = pool_rows(run) if is_pool_run(run) else {}
    told = 0
    for node in nodes:
        lines = list(_explanation(run, node, rows.get(node.name)))
        if lines:
            told += 1
            click.echo("\n".join([("\n" if told > 1 else "") + lines[0], *lines[1:]]))
    if not told:
        click.echo("Nothing failed and nothing is held." if name is None else f"{name} neither failed nor is held.")
    return ExitCode.DONE


def _explanation(run: Run, node: Node, row: NodeRow | None) -> Iterator[str]:
    failure = run.failure(node)
    held = row is not None and row.state is JobState.HELD
    removed = row is not None and row.state is JobState.REMOVED and not run.is_done(node)
    if failure is None and not held and not removed:
        return
    if held and row is not None and row.hold is not None:
        yield f"{node.name} is held: {row.hold.words}."
        yield f"  HTCondor says: {row.hold.reason} (code {row.hold.code}/{row.hold.subcode})"
        if row.hold.code == 1:
            yield f"  release it: condor_release {row.job}"
    elif failure is not None:
        yield headline(failure)
    else:
        yield f"{node.name} was removed from the queue: {row.reason if row else ''}"
    holds = earlier_holds(run.folder, node)
    if row is not None:
        facts = [f"host {row.host}"] if row.host else []
        facts += [f"{row.submissions} submissions, {row.attempts} starts"]
        facts += [f"killed by signal {row.signal}"] if row.signal else []
        used, asked = row.memory_used, row.memory_asked or row.memory_given
        facts += [f"memory {used} MB used, {asked} MB asked"] if used and asked else []
        yield "  " + ", ".join(facts)
    if holds and not held:
        yield f"  held {len(holds)} times before, most recently: {holds[-1].words} ({holds[-1].reason})"
    if failure is not None:
        yield from last_lines(failure)
    of_jobs = f", {run.folder.dag / LOGS}/{node.name}.*" if row is not None else ""
    yield f"  logs: {run.node(node).log}{of_jobs}"
    yield f"  again here: {repeat_command(run.folder.path, node.name)}"
    if row is not None and not held:
        yield f"  again in the pool: ccip-batch retry {run.folder.path} {node.name}"
