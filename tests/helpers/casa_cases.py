"""What scripts find that need CASA, which cannot be in the process of the tests: run once, and kept under build/."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from helpers.simulated_runs import ROOT, alone, source_hash


def found_by(script: Path, run: Path) -> dict[str, Any]:
    """The JSON that a script prints last. It is started in an empty folder, and is given a finished run's folder."""
    folder = run.parent / f"{script.stem}-{source_hash('ccip_batch', str(script.relative_to(ROOT)))}"
    kept = folder / "found.json"
    with alone(folder):
        if not kept.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            done = subprocess.run([sys.executable, str(script), str(run)], capture_output=True, text=True, cwd=folder)
            assert done.returncode == 0, done.stderr
            json.loads(done.stdout.splitlines()[-1])
            kept.write_text(done.stdout.splitlines()[-1])
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def stage_result(run: Path, node: str, stage: str) -> Any:
    """What a stage of a node of a run returned, as JSON."""
    stages = json.loads((run / "nodes" / node / "result.json").read_text())["stages"]
    return next(record["result"] for record in stages if record["name"] == stage)
