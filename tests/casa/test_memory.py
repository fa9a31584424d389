"""Less memory for a plane: never a bit or a record changed, and nothing done where CASA is not as expected."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.replay import tclean_calls

SPARED = """
from ccip_batch.casa import memory
from ccip_batch.workflow import estimates
estimates.LARGE_PLANE_PIXELS = 0
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
import ctypes, json
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

before = state()
{change}
with memory.spared({pixels}) as done:
    inside = [done.told, done.why_not, memory_free(), imager.runMajorCycle.__module__]
print(json.dumps([inside, before == state()]))
"""


def session(folder: Path, pixels: int, change: str = "") -> tuple[list[Any], bool]:
    """(places told, why not, free memory in kB, module of a method) inside, and whether all was as before after it."""
    code = SESSION.format(pixels=pixels, change=change)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    inside, undone = json.loads(done.stdout.splitlines()[-1])
    return inside, undone


def test_all_images_and_records_of_each_iteration_are_the_same(
    finished: Path, stock_calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    spared = tclean_calls(finished, tmp_path, SPARED)
    kinds = {f"{kind}.tt0" for kind in ("image", "residual", "model", "psf", "pb", "weight", "sumwt")}
    assert len(spared) >= 4
    assert all(set(call["images"]) >= kinds and all(call["images"].values()) for call in spared)
    assert all("mask" in call["images"] for call in spared[1:])
    assert max(call["record"].get("nmajordone", 0) for call in spared) >= 3
    assert [call["images"] for call in spared] == [call["images"] for call in stock_calls]
    assert [call["record"] for call in spared] == [call["record"] for call in stock_calls]


def test_casacore_is_told_for_large_planes_only(tmp_path: Path) -> None:
    (told, why_not, _, module), undone = session(tmp_path, 3000 * 3000)
    assert (told, why_not, module, undone) == (0, "", "ccip_batch.casa.memory", True)
    (told, why_not, free_kb, module), undone = session(tmp_path, 12500 * 12500)
    assert (told, why_not, module, undone) == (1, "", "ccip_batch.casa.memory", True)
    assert free_kb == 12500 * 12500 * 12 // 1024


@pytest.mark.parametrize(
    ("change", "why", "module"),
    [
        ("memory.MEMORY_FREE = 'no_such_name'", "no function no_such_name", "ccip_batch.casa.memory"),
        ("import platform; platform.machine = lambda: 'aarch64'", "on aarch64", "ccip_batch.casa.memory"),
        ("del imager.updateMask", "PySynthesisImager.updateMask", "casatasks.private.imagerhelpers.imager_base"),
    ],
    ids=["name", "processor", "method"],
)
def test_where_casa_is_not_as_expected_its_code_stays(tmp_path: Path, change: str, why: str, module: str) -> None:
    (told, why_not, free_kb, used), undone = session(tmp_path, 12500 * 12500, change)
    assert told == 0 and why in why_not and used == module and undone
    assert free_kb != 12500 * 12500 * 12 // 1024
