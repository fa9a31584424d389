"""Readers of what comes from elsewhere, under inputs that a fuzzer makes to reach every branch of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.input_files import CCIP_LIST, SEIP_LIST

pytest.importorskip("atheris", reason="the fuzzer has no wheel for this machine")

HERE = Path(__file__).parent
LOGS = HERE.parent / "data" / "event_logs"
RUNS = {"parameter_list": 10_000, "log_text": 5_000, "event_log": 60}
"""How many inputs each reader is given. HTCondor's own waits for a second when an event is not whole."""


@pytest.mark.parametrize("reader", RUNS)
def test_no_input_ends_in_a_traceback(reader: str, tmp_path: Path) -> None:
    if reader == "event_log":
        pytest.importorskip("htcondor2")
    corpus, found = tmp_path / "corpus", tmp_path / "found"
    corpus.mkdir()
    found.mkdir()
    if reader == "parameter_list":
        (corpus / "ccip").write_text(CCIP_LIST)
        (corpus / "seip").write_text(SEIP_LIST)
    else:
        for name in ("completed", "evicted", "held_memory", "removed"):
            shutil.copy(LOGS / f"{name}.jobs.log", corpus)
    options = [
        f"-runs={RUNS[reader]}",
        "-seed=1",
        "-max_len=4096",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
    ]
    command = [sys.executable, HERE / "fuzz.py", reader, *options, str(corpus)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    new = re.search(r"stat::new_units_added:\s*(\d+)", done.stderr)
    assert new is not None and int(new[1]) > 0  # some inputs reached what those before them had not
