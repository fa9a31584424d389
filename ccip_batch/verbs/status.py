"""`ccip-batch status`: the state of every node of a run, as a table or as JSON."""

from __future__ import annotations

import json

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccip_batch.engines.htcondor.state import is_planned, is_pool_run, read_pool_status, standing_of
from ccip_batch.engines.htcondor.waiting import LONG_S
from ccip_batch.errors import ExitCode
from ccip_batch.run.run import Run
from ccip_batch.run.state import NodeStatus, clock, read_status


def show_status(run: Run, as_json: bool) -> ExitCode:
    """Print the state of a run; of one in a pool, how its DAG stands too."""
    dag = standing_of(run) if is_planned(run) else None
    rows = read_pool_status(run, dag is not None and dag.alive) if is_pool_run(run) else read_status(run)
    if as_json:
        click.echo(json.dumps([row.model_dump() for row in rows], indent=1))
        return ExitCode.DONE
    print_status(rows)
    if dag is not None:
        click.echo(dag.sentence)
        if any((row.idle_s or 0) > LONG_S for row in rows):
            click.echo(f"why nodes are idle for so long: ccip-batch explain {run.folder.path}")
    return ExitCode.DONE


def print_status(rows: list[NodeStatus]) -> None:
    """Print the nodes as a table that fits a terminal of 80 columns; figures that no node has are left out."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    in_pool = any(row.memory_asked_bytes is not None for row in rows)
    repeated = any(row.attempts > 1 for row in rows)
    table.add_column("node", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for title in ("elapsed", "CPU", "GB/asked" if in_pool else "GB", *(["tries"] if repeated else [])):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for row in rows:
        table.add_row(
            row.node,
            row.state,
            clock(row.elapsed_s),
            clock(row.cpu_s),
            _memory(row),
            *([str(row.attempts or "")] if repeated else []),
            Text(_words(row, with_host=in_pool)),
        )
    Console(highlight=False).print(table)


def _words(row: NodeStatus, with_host: bool) -> str:
    """Where a node is or for how long it has waited for a machine, in which stage, and what became of it."""
    host = f"on {row.host.rpartition('@')[2]}" if with_host and row.host else ""
    if row.idle_s is not None:
        host = f"waits for {clock(row.idle_s)}"
    return ": ".join(part for part in (host, row.stage, row.text) if part)


def _memory(row: NodeStatus) -> str:
    """Memory used, and in a pool what was asked for, in GB."""
    used = f"{row.peak_memory_bytes / 1e9:.2f}" if row.peak_memory_bytes else ""
    return f"{used or '-'}/{row.memory_asked_bytes / 1e9:.2f}" if row.memory_asked_bytes else used
