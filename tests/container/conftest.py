"""The image that `make image` built, and ways to run it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ccip_batch import __version__

ROOT = Path(__file__).resolve().parents[2]
Runner = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def apptainer() -> str:
    """The command that container/setup_apptainer.sh provides."""
    done = subprocess.run([ROOT / "container" / "setup_apptainer.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def image() -> Path:
    path = ROOT / "build" / f"ccip-{__version__}.sif"
    assert path.is_file(), "there is no image: make image"
    return path


@pytest.fixture
def inside(apptainer: str, image: Path, tmp_path: Path) -> Runner:
    """Run a command in the image, cut off from the host: no network, no home, one folder (the current one) bound.

    `user` runs it as an ordinary user, `sif` takes another image file, `options` go to Apptainer.
    """

    def run(
        *command: str,
        folder: Path = tmp_path,
        user: int | None = None,
        sif: Path = image,
        options: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        words = [apptainer, "exec", "--containall", "--no-home", "--net", "--network", "none"]
        words += ["--mount", f'type=bind,"source={folder}","destination={folder}"', "--pwd", str(folder), *options]
        environment = {"PATH": os.environ["PATH"], "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
        if user is None:
            environment["HOME"] = os.environ.get("HOME", "/")
        identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        return subprocess.run(
            [*words, str(sif), *command], capture_output=True, text=True, check=False, env=environment, **identity
        )

    return run
