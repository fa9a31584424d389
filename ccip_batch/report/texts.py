"""Text files beside the page: logs, CASA calls, FITS headers. A report is complete without its run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccip_batch.products.raw_header import SUFFIX, cards, raw_header
from ccip_batch.report.facts import NodeFacts, PlaneFacts

LOG_BYTES = 60_000
"""How much of the end of a log is copied; the run folder has all of it."""
HISTORY_LINES = 40
"""How many lines of the end of a HISTORY are copied: it can be 150 kB, and ends with the position correction."""


def copy_logs(nodes: Sequence[NodeFacts], folder: Path) -> dict[str, dict[str, str]]:
    """Copy the logs and CASA calls of all nodes; returns, for each node, the names of the copies by title."""
    made: dict[str, dict[str, str]] = {}
    for facts in nodes:
        files = {}
        for title, path in (("log", facts.folder.log), ("casa.log", facts.folder.casa_log),
                            ("CASA calls", facts.folder.casa_commands)):  # fmt: skip
            if path.is_file() and path.stat().st_size:
                name = f"logs/{facts.node.name}.{path.name}.txt"
                _copy_end(path, folder / name, title != "CASA calls", f"nodes/{facts.node.name}/{path.name}")
                files[title] = name
        made[facts.node.name] = files
    return made


def _copy_end(path: Path, target: Path, cut: bool, known_as: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = b""
        if cut and size > LOG_BYTES:
            stream.seek(size - LOG_BYTES)
            stream.readline()
            head = f"(The last {LOG_BYTES} of {size} bytes of {known_as} in the run folder.)\n".encode()
        text = (head + stream.read(LOG_BYTES if cut else 10 * LOG_BYTES)).decode("utf-8", errors="replace")
    target.write_text(text, encoding="utf-8")


def copy_headers(planes: Sequence[PlaneFacts], folder: Path) -> dict[str, str]:
    """Write the headers of the FITS files that exist as text; returns the names of these texts by FITS file."""
    made = {}
    for plane in planes:
        if plane.export.result is None:
            continue
        for file in plane.export.result.files:
            path = plane.export.folder.out / file.name
            found = cards(raw_header(path) or raw_header(path.with_name(path.name + SUFFIX)))
            if not found:
                continue
            history = [card for card in found if card.startswith("HISTORY")]
            left_out = len(history) - HISTORY_LINES
            lines = [card for card in found if not card.startswith("HISTORY")]
            lines += [f"(HISTORY: {left_out} lines left out)"] if left_out > 0 else []
            lines += history[-HISTORY_LINES:]
            name = f"headers/{file.name}.txt"
            (folder / "headers").mkdir(exist_ok=True)
            (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
            made[file.name] = name
    return made
