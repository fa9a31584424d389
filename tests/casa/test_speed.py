"""casacore's self-checks: off by default, seen in results, and where they cannot be off. (Bits: test_memory.py.)"""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.simulated_runs import ccip_batch

PLACES = {"6.7.0.31": 7, "6.7.5.18": 57, "6.7.6.14": 7}[importlib.metadata.version("casatools")]
"""In each CASA that the lock files name; 6.7.5.18 has many clones of one function."""

SESSION = """
import json, sys
from pathlib import Path
from ccip_batch.casa import speed
from ccip_batch.casa.session import Casa
{before}
casa = Casa(Path("casa.log"), self_checks={wanted})
with casa.tool("quanta"):
    pass
code = [line for line in open("/proc/self/maps") if "casa" in line and "rwx" in line]
print(json.dumps([casa.self_checks.places, casa.self_checks.sentence(), code]))
"""

PRODUCTS = """
import ctypes, json, random, struct
from pathlib import Path
from ccip_batch.casa.session import Casa
product = ctypes.CDLL("libgcc_s.so.1").__mulsc3
product.argtypes, product.restype = [ctypes.c_float] * 4, ctypes.c_double
random.seed(1)
special = [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-40, 3e38]

def some():
    return random.choice(special) if random.random() < 0.3 else struct.unpack("f", random.randbytes(4))[0]

factors = [[some() for _ in range(4)] for _ in range(20000)]
before = [struct.pack("d", product(*four)) for four in factors]
quickened = Casa(Path("casa.log")).self_checks.quick_products
after = [struct.pack("d", product(*four)) for four in factors]
print(json.dumps([quickened, before == after, len(set(before))]))
"""


def session(folder: Path, before: str = "", wanted: bool = False) -> tuple[list[Any], str]:
    """(places, sentence, pages of code that are writable) of a CASA session, and all that it printed."""
    code = SESSION.format(before=before, wanted=wanted)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout


def test_they_are_off_in_every_place(tmp_path: Path) -> None:
    (places, sentence, code), _ = session(tmp_path)
    assert places == PLACES
    assert sentence.startswith(f"off in {PLACES} places")
    assert code == []  # the pages are left as they were found


def test_products_of_complex_numbers_have_the_same_bits(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PRODUCTS], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    quickened, same, different = json.loads(done.stdout.splitlines()[-1])
    assert same and different > 1000
    if not quickened:
        pytest.skip("this system's libgcc is compiled in another way: its products are left alone")


def test_they_stay_on_if_they_are_wanted(tmp_path: Path) -> None:
    (places, sentence, _), said = session(tmp_path, wanted=True)
    assert (places, sentence) == (0, "on")
    assert "slower" not in said


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("speed.SELF_CHECKS = (*speed.SELF_CHECKS, 'no_such_name')", "no function no_such_name"),
        ("speed.SELF_CHECKS = ('_ZTVN8casacore14LatticeStepperE',)", "is not a function"),
        ("import platform; platform.machine = lambda: 'aarch64'", "this is linux on aarch64"),
        ("import ctypes; assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0", "does not allow code to be changed"),
    ],
    ids=["name", "data", "processor", "system"],
)
def test_where_they_cannot_be_switched_off_nothing_is_changed(tmp_path: Path, before: str, why: str) -> None:
    if "prctl" in before and not may_forbid():
        pytest.skip("this kernel knows no PR_SET_MDWE (Linux 6.3)")
    (places, sentence, code), said = session(tmp_path, before)
    assert places == 0 and sentence.startswith("on: ") and why in sentence
    assert code == []
    assert said.count("CASA is slower than it could be") == 1  # once, however many calls come


def may_forbid() -> bool:
    """Whether the kernel can be told to let nobody change code (asks only, changes nothing)."""
    return ctypes.CDLL(None, use_errno=True).prctl(66, 0, 0, 0, 0) >= 0


def test_results_and_report_say_so(finished: Path) -> None:
    seen = {}
    for path in finished.glob("nodes/*/result.json"):
        seen[path.parent.name] = json.loads(path.read_text())["self_checks"]
    with_casa = {name for name in seen if name.startswith(("restore", "image_spw1"))}
    assert len(with_casa) >= 4
    assert all(seen[name]["places"] == PLACES and not seen[name]["why_on"] for name in with_casa)
    assert seen["publish"] is None  # it has no CASA
    text = ccip_batch("report", finished, "--text")
    assert f"CASA self-checks: off in {PLACES} places" in " ".join(text.stdout.split())
    assert f"off in {PLACES} places" in (finished / "report" / "index.html").read_text()
