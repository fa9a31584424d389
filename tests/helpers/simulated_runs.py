"""Running the command line in tests; simulated and finished jobs, made once under build/ and reused."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from ccip_batch.run.folder import lock_file
from helpers.command_server import run_command

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "tests"
LONGEST_S = 1800
"""How long one process of the tests waits for another; it only keeps them from hanging."""


def source_hash(*paths: str) -> str:
    """Hash of all source files except the report's; when it changes, what is kept under build/ is made again."""
    digest = hashlib.sha256(".".join(map(str, sys.version_info[:2])).encode())
    for name in paths:
        for file in sorted((ROOT / name).rglob("*.py")) if (ROOT / name).is_dir() else [ROOT / name]:
            if "report" not in file.parts:
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


SECRET = "planted/wJalrXUtnFEMI+K7MDENG"
"""The jobs of the tests have this in their environment; it must not appear in anything that they leave."""


def ccip_batch(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line; its output is captured."""
    return run_command(list(map(str, arguments)), {**os.environ, **environment})


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process of the tests at a time makes what is in a folder, or runs what may lock it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(folder.with_name(f".{folder.name}.lock"), LONGEST_S) as held:
        assert held is not None, f"{folder} was not made within {LONGEST_S} s"
        yield


def made_once(name: str, base: Path, make: Callable[[Path], Path]) -> Path:
    """What one process of the tests makes in a folder for all of a session; none may change it.

    base: the temporary folder of this process. make: makes it in an empty folder, and gives its path.
    """
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    made = folder / "made.txt"
    with alone(folder):
        if not made.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            made.write_text(str(make(folder)))
    return Path(made.read_text())


def make_simulation(preset: str, seed: int = 1) -> Path:
    """A simulated job under build/, made once; gives its job.yaml."""
    folder = BUILD / f"{preset}-{seed}-{source_hash('ccip_batch/simulate', 'ccip_batch/casa/session.py')}"
    with alone(folder):
        if not (folder / "job.yaml").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            done = ccip_batch("simulate", folder, "--preset", preset, "--seed", str(seed))
            assert done.returncode == 0, done.stderr
    return folder / "job.yaml"


def link_inputs(job: Path, folder: Path) -> Path:
    """A new folder with links to a simulated job's files; gives its job.yaml."""
    folder.mkdir()
    for path in job.parent.iterdir():
        if path.suffix in (".list", ".ms", ".tgz", ".yaml"):
            (folder / path.name).symlink_to(path)
    return folder / "job.yaml"


def make_run(job: Path, keep: str = "all") -> Path:
    """A finished run of a job under build/, made once; gives its folder. keep: the value of `execution.keep`."""
    folder = job.parent / f"run-{keep}-{source_hash('ccip_batch')}"
    session, made = os.environ.get("PYTEST_XDIST_TESTRUNUID", ""), folder.with_name(f".{folder.name}.made")
    with alone(folder):
        if session and made.is_file() and made.read_text() == session:
            return folder  # to be run once in a session: others are copying it
        done = ccip_batch(
            "run", job, "--run-dir", folder, "--set", f"execution.keep={keep}", AWS_SECRET_ACCESS_KEY=SECRET
        )
        assert done.returncode == 0, done.stderr
        made.write_text(session)
    return folder


def changed(job: Path, folder: Path, **keys: object) -> Path:
    """A copy of a job with some keys changed: `inputs__vis=...`."""
    config = yaml.safe_load(job.read_text())
    for name, value in config["inputs"].items():
        config["inputs"][name] = str(job.parent / value)
    for key, value in keys.items():
        section, name = key.split("__")
        config.setdefault(section, {})[name] = value
    target = folder / "job.yaml"
    target.write_text(yaml.safe_dump(config))
    return target
