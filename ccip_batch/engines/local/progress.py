"""Progress on a terminal, or plain lines without one."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ccip_batch.engines.local.scheduler import State
from ccip_batch.imaging.checkpoint import Checkpoint
from ccip_batch.run.run import Run
from ccip_batch.run.state import clock, present_stage
from ccip_batch.workflow.estimates import seconds
from ccip_batch.workflow.graph import Node
from ccip_batch.workflow.kinds import KINDS

_STYLES = {"waiting": "dim", "running": "bold cyan", "done": "green", "failed": "bold red", "blocked": "yellow"}
_LINES_AROUND = 7
"""Lines of the table besides the nodes, and one for the prompt."""
_LOOK_EVERY_S = 1.0
"""How often it is looked what running nodes do."""


class Progress:
    """Shows a run's nodes: a live table on a terminal, otherwise a line when a node or its stage changes."""

    def __init__(self, run: Run, workers: int) -> None:
        self._run = run
        self._guesses = {node.name: seconds(run.job, node) for node in run.graph.nodes}
        self._workers = workers
        self._console = Console(stderr=True)
        self._nodes = run.graph.nodes
        self._states: dict[str, State] = {node.name: "waiting" for node in self._nodes}
        self._texts: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._stages: dict[str, str] = {}
        self._looked = 0.0
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
        if state == "running":
            self._since[node.name] = now
            text = "from its checkpoint" if self._has_checkpoint(node) else ""
        elif node.name in self._since:
            self._took[node.name] = now - self._since[node.name]
            self._stages.pop(node.name, None)
        self._texts[node.name] = text
        if self._live is None:
            expected = f"expected {clock(self._expected(node))}" if state == "running" else ""
            more = ", ".join(filter(None, [text, expected]))
            self._line(f"{node.name}: {state}{': ' + more if more else ''}")

    def _has_checkpoint(self, node: Node) -> bool:
        if not KINDS[node.kind].checkpoints:
            return False
        return Checkpoint(self._run.node(node).checkpoint, self._run.fingerprint(node)).load() is not None

    def tick(self) -> None:
        """Some time has passed."""
        if time.monotonic() - self._looked < _LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        if self._live:
            self._live.update(self._table())
        else:
            for node in self._nodes:
                stage = present_stage(self._run, node)[0] if self._states[node.name] == "running" else ""
                if stage and stage != self._stages.get(node.name):
                    self._stages[node.name] = stage
                    self._line(f"{node.name}: stage {stage}")

    def _line(self, what: str) -> None:
        ended = sum(1 for state in self._states.values() if state not in ("waiting", "running"))
        times = f"[{clock(time.monotonic() - self._started)}, about {clock(self._remaining())} to go]"
        print(f"{times} {ended}/{len(self._nodes)} {what}", file=sys.stderr, flush=True)

    def _expected(self, node: Node) -> float:
        """Seconds that a node will take: the estimate, scaled by what nodes of its kind have taken so far.

        One that runs for longer than estimated counts with what it has taken until now.
        """
        now = time.monotonic()
        running = {name: now - since for name, since in self._since.items() if self._states[name] == "running"}
        late = {name: took for name, took in running.items() if took > self._guesses[name]}
        took = {**self._took, **late}
        alike = [
            (took[other.name], self._guesses[other.name])
            for other in self._nodes
            if other.kind == node.kind and took.get(other.name, 0) > 5
        ]
        factor = sum(took for took, _ in alike) / sum(guess for _, guess in alike) if alike else 1.0
        return factor * self._guesses[node.name]

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
        done, waiting = (sum(1 for state in self._states.values() if state == one) for one in ("done", "waiting"))
        caption = (
            f"{done} done, {waiting} waiting; {clock(now - self._started)} elapsed, "
            f"about {clock(self._remaining())} to go"
        )
        table = Table(title=self._run.job.imagename, caption=caption, expand=True)
        widest = max(len(node.name) for node in self._nodes)
        for title, width in (("node", widest), ("state", 8), ("elapsed", 8), ("expected", 8)):
            table.add_column(title, no_wrap=True, width=width)
        table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
        fits = len(self._nodes) + _LINES_AROUND <= self._console.size.height
        for node in self._nodes:
            state = self._states[node.name]
            if not fits and state in ("waiting", "done"):
                continue  # those are counted below the table
            elapsed = self._took.get(node.name)
            text = self._texts.get(node.name, "")
            if state == "running":
                elapsed = now - self._since[node.name]
                text = ", ".join(filter(None, [present_stage(self._run, node)[0], text]))
            expected = clock(self._expected(node)) if state in ("waiting", "running") else ""
            table.add_row(
                node.name,
                f"[{_STYLES[state]}]{state}[/]",
                clock(elapsed),
                expected,
                Text(text),
            )
        return table
