"""The locked requirements, and the set-up script's answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ["tests/requirements.txt", "container/requirements.txt"]


@pytest.mark.parametrize("name", LOCKS)
def test_locks_pin_and_hash_everything_and_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    entries = text.replace("\\\n", " ").splitlines()
    for entry in entries:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==\S+( ; [^#]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", entry), entry


def test_dev_lock_has_each_requirement_of_the_metadata() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["casa"], *extras["htcondor"], *extras["dev"]]
    lock = (ROOT / "tests" / "requirements.txt").read_text()
    locked = {line.split("==")[0].lower() for line in lock.splitlines() if line[:1].isalnum()}
    names = {re.split(r"[<>=!;\[ ]", requirement)[0].lower() for requirement in wanted}
    assert names <= locked
    for requirement in wanted:
        if "==" in requirement.split(";")[0]:
            assert f"\n{requirement.split(';')[0].strip()} " in f"\n{lock}", f"{requirement}: make lock"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the set-up script needs of a checkout, in a folder of its own."""
    (tmp_path / "tests").mkdir()
    for name in ("tests/setup.sh", "tests/requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_setup_refuses_an_interpreter_that_casa_has_no_wheels_for(checkout: Path) -> None:
    old = checkout / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    environment = os.environ | {"PYTHON": str(old)}
    done = subprocess.run(
        [checkout / "tests" / "setup.sh"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"PYTHON={old}" in done.stderr
    assert "3.11, 3.12 or 3.13" in done.stderr
    assert not (checkout / ".venv").exists()
