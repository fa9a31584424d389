"""Progress on a terminal, or plain lines where there is none."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ccip_batch.config import ResolvedJob
from ccip_batch.engines.local import State
from ccip_batch.estimates import seconds
from ccip_batch.run_folder import RunFolder
from ccip_batch.workflow import Node

_STYLES = {"waiting": "dim", "running": "bold cyan", "done": "green", "failed": "bold red", "blocked": "yellow"}


class Progress:
    """Shows a run's nodes: a live table on a terminal, otherwise a line when something changes."""

    def __init__(self, run: RunFolder, job: ResolvedJob, workers: int) -> None:
        self._run = run
        self._job = job
        self._workers = workers
        self._console = Console(stderr=True)
        self._nodes = run.graph().nodes
        self._states: dict[str, State] = {node.name: "waiting" for node in self._nodes}
        self._texts: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._started = time.monotonic()
        self._live: Live | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live = self._stack.enter_context(
                Live(self._table(), console=self._console, refresh_per_second=2, transient=False)
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.update(self._table())
        self._stack.close()

    def changed(self, node: Node, state: State, text: str) -> None:
        """A node has started or ended."""
        now = time.monotonic()
        self._states[node.name] = state
        self._texts[node.name] = text
        if state == "running":
            self._since[node.name] = now
        elif node.name in self._since:
            self._took[node.name] = now - self._since[node.name]
        if self._live is None:
            ended = sum(1 for one in self._states.values() if one not in ("waiting", "running"))
            line = f"[{now - self._started:7.1f} s] {ended}/{len(self._nodes)} {node.name}: {state}"
            print(f"{line}{': ' + text if text else ''}", file=sys.stderr, flush=True)

    def tick(self) -> None:
        """Some time has passed."""
        if self._live:
            self._live.update(self._table())

    def _expected(self, node: Node) -> float:
        """Seconds that a node will take: the estimate, scaled by what nodes of its kind have taken so far."""
        alike = [
            (self._took[other.name], seconds(self._job, other))
            for other in self._nodes
            if other.kind == node.kind and self._took.get(other.name, 0) > 5
        ]
        factor = sum(took for took, _ in alike) / sum(guess for _, guess in alike) if alike else 1.0
        return factor * seconds(self._job, node)

    def _remaining(self) -> float:
        now = time.monotonic()
        total = 0.0
        for node in self._nodes:
            if self._states[node.name] == "waiting":
                total += self._expected(node)
            elif self._states[node.name] == "running":
                total += max(0.0, self._expected(node) - (now - self._since[node.name]))
        return total / self._workers

    def _table(self) -> Table:
        now = time.monotonic()
        caption = f"{_clock(now - self._started)} elapsed, some {_clock(self._remaining())} to go"
        table = Table(title=self._job.imagename, caption=caption, expand=False)
        for title in ("node", "state", "elapsed", "expected", ""):
            table.add_column(title)
        for node in self._nodes:
            state = self._states[node.name]
            elapsed = self._took.get(node.name)
            text = self._texts.get(node.name, "")
            if state == "running":
                elapsed = now - self._since[node.name]
                text = current_stage(self._run, node)
            expected = _clock(self._expected(node)) if state in ("waiting", "running") else ""
            table.add_row(
                node.name,
                f"[{_STYLES[state]}]{state}[/]",
                _clock(elapsed) if elapsed is not None else "",
                expected,
                text,
            )
        return table


def current_stage(run: RunFolder, node: Node) -> str:
    """The stage that a running node is in."""
    try:
        return str(json.loads(run.node(node).progress.read_bytes())["stage"])
    except (OSError, ValueError, KeyError):
        return ""


def _clock(seconds_: float) -> str:
    minutes, rest = divmod(int(seconds_), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
