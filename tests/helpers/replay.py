"""A node's recorded tclean calls, made once more in stock CASA, and what they gave: images and records."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_SCRIPT = """
import hashlib, json, sys
from pathlib import Path
import casatasks
{before}
tclean, calls = casatasks.tclean, []

def recorded(**arguments):
    result = tclean(**{{**arguments, "restoration": True}})
    images = {{}}
    for image in sorted(Path().glob(arguments["imagename"] + ".*")):
        name = image.name.removeprefix(arguments["imagename"] + ".")
        images[name] = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(image.rglob("table.f*_TSM*"))]
    calls.append(dict(images=images, record=result))
    return result

casatasks.tclean = recorded
script = Path(sys.argv[1]).resolve()
text = script.read_text()
exec(compile(text[: text.index("casatasks.impbcor(")], script, "exec"), {{"__file__": str(script)}})
print(json.dumps(calls, default=lambda array: array.tolist()))
"""


def tclean_calls(finished: Path, folder: Path, before: str = "") -> list[dict[str, Any]]:
    """For each tclean call of a plane, checksums of all `images` after it, by kind, and the `record` it returned.

    finished: the job's run folder. folder: an empty one. before: Python code that may change CASA first.
    """
    node = folder / "nodes" / "image_spw17"
    node.mkdir(parents=True)
    (node.parent / "restore").symlink_to(finished / "nodes" / "restore")
    shutil.copy(finished / "nodes" / "image_spw17" / "casa_commands.py", node)
    site = finished / "nodes" / "image_spw17" / "casa_home" / "casasiteconfig.py"
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(before=before), node / "casa_commands.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "CASASITECONFIG": str(site), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    calls: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return calls
