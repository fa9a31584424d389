"""Text files beside the page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from astropy.io import fits

from ccip_batch.report.facts import RunFacts
from ccip_batch.report.texts import HISTORY_LINES, LOG_BYTES, copy_headers, copy_logs
from ccip_batch.run.folder import NodeFolder


def test_logs_and_calls_are_copied(facts: RunFacts, tmp_path: Path) -> None:
    made = copy_logs(list(facts.nodes.values()), tmp_path)
    assert made.keys() == facts.nodes.keys()
    assert made["image_spw10"].keys() == {"log", "casa.log", "CASA calls"}
    node = facts.nodes["image_spw10"].folder
    assert (tmp_path / made["image_spw10"]["CASA calls"]).read_text() == node.casa_commands.read_text()


def test_of_a_long_log_the_end_is_copied(facts: RunFacts, tmp_path: Path) -> None:
    node = facts.nodes["image_spw10"]
    folder = NodeFolder(tmp_path / "run", node.node)
    folder.path.mkdir(parents=True)
    lines = [f"line {number}\n" for number in range(20_000)]
    folder.log.write_text("".join(lines))
    made = copy_logs([replace(node, folder=folder)], tmp_path)
    assert made["image_spw10"].keys() == {"log"}
    text = (tmp_path / made["image_spw10"]["log"]).read_text()
    first, rest = text.split("\n", 1)
    size = folder.log.stat().st_size
    assert first == f"(The last {LOG_BYTES} of {size} bytes of nodes/image_spw10/node.log in the run folder.)"
    assert len(rest) <= LOG_BYTES and "".join(lines).endswith(f"\n{rest}") and rest.startswith("line ")


def test_headers_are_those_of_the_files(facts: RunFacts, tmp_path: Path) -> None:
    made = copy_headers(facts.planes, tmp_path)
    assert len(made) == 3 * 6
    for plane in facts.planes:
        for file in plane.export.result.files if plane.export.result else ():
            text = (tmp_path / made[file.name]).read_text()
            header = fits.getheader(plane.export.folder.out / file.name)
            assert "VLASSRJ" in text
            cards = [card.image.rstrip() for card in header.cards if card.keyword and card.keyword != "HISTORY"]
            lines = [line for line in text.splitlines() if not line.startswith(("HISTORY", "(HISTORY"))]
            assert lines == cards
            history = [line for line in text.splitlines() if line.startswith("HISTORY")]
            assert len(history) == min(HISTORY_LINES, len(header["HISTORY"]) if "HISTORY" in header else 0)


def test_a_file_that_is_gone_or_is_not_fits_has_no_header(facts: RunFacts, tmp_path: Path) -> None:
    plane = facts.planes[1]
    assert plane.export.result
    first, second = plane.export.result.files[:2]
    folder = NodeFolder(tmp_path / "run", plane.export.node)
    folder.out.mkdir(parents=True)
    (folder.out / first.name).write_bytes(b"not FITS" * 1000)
    shutil.copy(plane.export.folder.out / second.name, folder.out)
    made = copy_headers([replace(plane, export=replace(plane.export, folder=folder))], tmp_path)
    assert made.keys() == {second.name}
