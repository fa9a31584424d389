"""Less memory for a plane: never a bit or a record changed, and nothing done where CASA is not as expected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.replay import tclean_calls

CHANGED = """
from ccip_batch.casa import memory, speed
from ccip_batch.workflow import estimates
estimates.LARGE_PLANE_PIXELS = 0
assert speed.speed_up().places
stock = casatasks.tclean

def spared(**arguments):
    width, height = arguments["imsize"]
    with memory.spared(width * height) as done:
        record = stock(**arguments)
    cleaned = arguments["niter"] > 0 and record["nmajordone"] > 0
    assert done == memory.Spared(deconvolvers=int(cleaned), told=1), done
    return record

casatasks.tclean = spared
"""

SESSION = """
import ctypes, json, os, sys
from pathlib import Path
from ccip_batch.casa import machine_code, memory
from ccip_batch.casa.session import Casa
Casa(Path("casa.log"))
imager = memory._imager()
(function,) = set(machine_code.exported(machine_code.casa_libraries().values(), memory.MEMORY_FREE))
memory_free = ctypes.CFUNCTYPE(ctypes.c_ssize_t)(function.address)

def state():
    code = ctypes.string_at(function.address, function.size).hex()
    return [code, imager.runMajorCycle.__module__, imager.restoreImages.__module__]

for pixels, change in json.loads(sys.argv[1]):
    if child := os.fork():  # each on the same session as it was
        os.waitpid(child, 0)
        continue
    before = state()
    exec(change)
    with memory.spared(pixels) as done:
        inside = [done.told, done.why_not, memory_free(), imager.runMajorCycle.__module__]
    print(json.dumps([inside, before == state()]), flush=True)
    os._exit(0)
"""
SMALL, LARGE = 3000 * 3000, 12500 * 12500
"""Pixels of planes."""
CHANGES = {
    "name": ("memory.MEMORY_FREE = 'no_such_name'", "no function no_such_name", "ccip_batch.casa.memory"),
    "processor": ("import platform; platform.machine = lambda: 'aarch64'", "on aarch64", "ccip_batch.casa.memory"),
    "method": (
        "del imager.updateMask",
        "PySynthesisImager.updateMask",
        "casatasks.private.imagerhelpers.imager_base",
    ),
}
"""Ways in which CASA can be another: a change of it, what is said of it, and the module of a method."""


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """For each case (places told, why not, free memory in kB, module of a method) inside, and whether all was as before
    after it."""
    cases = {"small": (SMALL, ""), "large": (LARGE, "")} | {name: (LARGE, to[0]) for name, to in CHANGES.items()}
    command = [sys.executable, "-c", SESSION, json.dumps(list(cases.values()))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path_factory.mktemp("session"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[-len(cases) :]
    return dict(zip(cases, map(json.loads, lines), strict=True))


def test_all_images_and_records_of_each_iteration_are_the_same(finished: Path, tmp_path: Path) -> None:
    """With all that is changed in CASA for memory and for speed (test_speed.py), and in stock CASA."""
    stock, changed = tclean_calls(finished, tmp_path / "stock"), tclean_calls(finished, tmp_path / "changed", CHANGED)
    kinds = {f"{kind}.tt0" for kind in ("image", "residual", "model", "psf", "pb", "weight", "sumwt")}
    assert len(changed) >= 4
    assert all(set(call["images"]) >= kinds and all(call["images"].values()) for call in changed)
    assert all("mask" in call["images"] for call in changed[1:])
    assert max(call["record"].get("nmajordone", 0) for call in changed) >= 3
    assert [call["images"] for call in changed] == [call["images"] for call in stock]
    assert [call["record"] for call in changed] == [call["record"] for call in stock]


def test_casacore_is_told_for_large_planes_only(sessions: dict[str, Any]) -> None:
    (told, why_not, _, module), undone = sessions["small"]
    assert (told, why_not, module, undone) == (0, "", "ccip_batch.casa.memory", True)
    (told, why_not, free_kb, module), undone = sessions["large"]
    assert (told, why_not, module, undone) == (1, "", "ccip_batch.casa.memory", True)
    assert free_kb == LARGE * 12 // 1024


@pytest.mark.parametrize("case", CHANGES)
def test_where_casa_is_not_as_expected_its_code_stays(sessions: dict[str, Any], case: str) -> None:
    (told, why_not, free_kb, used), undone = sessions[case]
    _, why, module = CHANGES[case]
    assert told == 0 and why in why_not and used == module and undone
    assert free_kb != LARGE * 12 // 1024
