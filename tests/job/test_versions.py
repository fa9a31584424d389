"""Versions of what makes the products."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ccip_batch import __version__
from ccip_batch.casa.session import Casa
from ccip_batch.job.versions import casa_is_installed, casa_versions, versions


def test_versions_are_those_that_casa_gives_itself(tmp_path: Path) -> None:
    Casa(tmp_path / "casa.log")  # sets it up to be imported
    import casatasks

    assert casa_is_installed()
    assert casa_versions()["casatasks"] == casatasks.version_string()
    assert set(casa_versions()) == {"casatools", "casatasks", "casadata"}


def test_versions_name_all_that_decides_the_bits() -> None:
    found = versions()
    assert found["ccip_batch"] == __version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["libc"].startswith("glibc ")
    assert found.items() >= casa_versions().items()


def test_casa_is_not_started_for_its_version() -> None:
    code = "import sys; from ccip_batch.job.versions import versions; versions(); print('casatools' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_without_casa_there_are_no_versions_of_it() -> None:
    """A Python that sees this package and none of those that are installed."""
    code = (
        "import sys; sys.path = [path for path in sys.path if 'site-packages' not in path]\n"
        "from ccip_batch.job.versions import casa_is_installed, casa_versions\n"
        "print(casa_is_installed(), casa_versions())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False {}\n", done.stderr
