"""`ccip-batch explain`: what failed, is held or waits for a machine, why, and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator

import click

from ccip_batch.engines.htcondor.event_log import IN_QUEUE, JobState, NodeRow
from ccip_batch.engines.htcondor.holds import HoldKind
from ccip_batch.engines.htcondor.plan import LOGS, planned_site
from ccip_batch.engines.htcondor.staging import Staging
from ccip_batch.engines.htcondor.state import Standing, earlier_holds, is_planned, is_pool_run, pool_rows, standing_of
from ccip_batch.engines.htcondor.waiting import Waiting, waiting_nodes
from ccip_batch.errors import ExitCode
from ccip_batch.run.failures import headline, last_lines, repeat_command, span
from ccip_batch.run.run import Run
from ccip_batch.run.state import clock
from ccip_batch.workflow.graph import Node


def explain(run: Run, name: str | None) -> ExitCode:
    """Print what failed or is held: the cause, the last lines that matter, the command that repeats it here.

    And what waits for a machine: of all nodes in short, and only if it is worth a word.
    """
    nodes = run.graph.nodes if name is None else [run.named(name)]
    rows = pool_rows(run) if is_pool_run(run) else {}
    queued = [key for key, row in rows.items() if row.state in IN_QUEUE]
    dag = standing_of(run) if is_planned(run) and (queued or not rows) else Standing(False, "")
    if dag.lost:
        rows = {key: row for key, row in rows.items() if key not in queued}
    told = [[f"{dag.sentence}."]] if dag.lost else []
    for node in nodes:
        told += [
            list(_explanation(run, node, rows.get(node.name))),
            list(_not_unpacked(run, node, rows.get(node.name))),
        ]
    if name is None:
        told.append(_in_short(run, waiting_nodes(run, rows).values()))
    else:
        told += [
            list(_in_full(run, one)) for one in waiting_nodes(run, {k: rows[k] for k in rows if k == name}).values()
        ]
    texts = ["\n".join(lines) for lines in told if lines]
    if not texts:
        texts = ["Nothing failed and nothing is held." if name is None else f"{name} neither failed nor is held."]
        if dag.sentence and not rows:
            texts = [f"No job has been in the queue yet; {dag.sentence}"]
    click.echo("\n\n".join(texts))
    return ExitCode.DONE


def _not_unpacked(run: Run, node: Node, row: NodeRow | None) -> Iterator[str]:
    """Output that came back and waits: the access point's disk, where it is to be unpacked, was full."""
    if not is_planned(run) or (row is not None and row.state in IN_QUEUE) or run.is_done(node):
        return
    archive = Staging(run, planned_site(run)).waiting_output(node.name)
    if archive is None:
        return
    size, free = archive.stat().st_size, shutil.disk_usage(archive.parent).free
    full = "is full" if free < size else "was full, or the script that unpacks it was ended"
    yield f"{node.name} has given its output back, but it is not unpacked: the disk of the access point {full}."
    yield f"  it waits in {archive} ({size / 1e9:.2f} GB; {free / 1e9:.2f} GB are free there)"
    yield f"  make room, then when the DAG has ended: ccip-batch resume {run.folder.path}"


def _in_short(run: Run, waiting: Iterable[Waiting]) -> list[str]:
    """The nodes that have waited long or that no machine could run, those of the same kind together."""
    groups: dict[tuple[object, ...], list[Waiting]] = {}
    for one in waiting:
        if one.is_notable:
            groups.setdefault((one.asked, one.matches, one.note), []).append(one)
    lines = []
    for first, *others in groups.values():
        longest = max(one.idle_s for one in [first, *others])
        who = f"{first.node} and {len(others)} more have" if others else f"{first.node} has"
        lines.append(f"{who} been idle for {clock(longest)}: {first.matches.words if first.matches else first.note}.")
        lines.append(f"  more: ccip-batch explain {run.folder.path} {first.node}")
    return lines


def _in_full(run: Run, one: Waiting) -> Iterator[str]:
    yield f"{one.node} is idle: it has waited for a machine for {clock(one.idle_s)}."
    if one.asked:
        yield f"  it asks for {one.asked.words}"
    yield f"  {one.matches.words if one.matches else one.note}"
    if one.matches:
        yield f"  HTCondor's own analysis: condor_q -better-analyze {one.job}"
    limit = span(planned_site(run).idle_limit)
    yield f"  if none takes it in {limit} (idle_limit of the site's profile), it is removed and counts as failed"


def _explanation(run: Run, node: Node, row: NodeRow | None) -> Iterator[str]:
    failure = run.failure(node)
    held = row is not None and row.state is JobState.HELD
    removed = row is not None and row.state is JobState.REMOVED and not run.is_done(node)
    if failure is None and not held and not removed:
        return
    if held and row is not None and row.hold is not None:
        yield f"{node.name} is held: {row.hold.words}."
        yield f"  HTCondor says: {row.hold.reason} (code {row.hold.code}/{row.hold.subcode})"
        if row.hold.kind is HoldKind.USER:
            yield f"  release it: condor_release {row.job}"
        else:
            times = planned_site(run).most_holds
            yield f"  it is released by itself, up to {times} times; after that, release it: condor_release {row.job}"
            yield f"  or have it tried again from the start: condor_rm {row.job}"
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
