"""The report for a terminal: the verdict and the table of planes."""

from __future__ import annotations

import io
import shutil

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ccip_batch.report.facts import RunFacts
from ccip_batch.report.plane_table import plane_table
from ccip_batch.report.verdict import headline, identity, plane_counts
from ccip_batch.run.failures import described

_LEFT_OUT = ("Bandwidth", "Beam PA", "Stopped by", "Major cycles", "Why")
"""Columns that only the page has."""
_WIDE = 135
_NARROW_LEFT_OUT = ("Beam minor", "rms Q", "rms U", "rms V", "Dynamic range", "Iterations")
"""Columns that a narrower terminal leaves out too."""


def render(facts: RunFacts) -> str:
    """The verdict and the table of planes as lines of text."""
    out = io.StringIO()
    width = shutil.get_terminal_size().columns
    console = Console(file=out, width=width, highlight=False)

    def say(line: str) -> None:
        console.print(Text(line))

    say(headline(facts))
    for name, value in identity(facts).items():
        say(f"  {name + ':':17} {value}")
    for state, number, planes in plane_counts(facts):
        spws = ", ".join(spw.replace(",", "+") + (f" ({reason})" if reason else "") for spw, reason in planes)
        say(f"  {number} {state}: spw {spws}")
    for jump in facts.analysis.flux_jumps if facts.analysis else ():
        say(f"  check: {jump.sentence()}")
    for node in facts.failed:
        assert node.failure is not None
        say("")
        for line in described(node.failure, node.folder.log, facts.run.path):
            say(line)
    table = plane_table(facts)
    say("\nPlanes (GHz, %, mJy/beam, arcsec; * to ****: 3 to 6 robust sigma from the other planes)")
    shown = Table(box=None, pad_edge=False)
    left_out = _LEFT_OUT if width >= _WIDE else (*_LEFT_OUT, *_NARROW_LEFT_OUT)
    chosen = [i for i, column in enumerate(table.columns) if column.title not in left_out]
    for i in chosen:
        shown.add_column(table.columns[i].title, justify="left" if table.columns[i].title == "State" else "right")
    for row in table.rows:
        texts = [row.cells[i].text + "*" * max(0, row.cells[i].level - 2) for i in chosen]
        shown.add_row(*map(Text, texts))  # the reasons are printed above
    console.print(shown)
    return out.getvalue()
