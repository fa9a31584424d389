"""Versions of the software that makes the products, as far as this Python has it. Does not import CASA."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import platform
import sys
from pathlib import Path

from ccip_batch import __version__

CASA_MISSING = "CASA is not installed here: pip install '.[casa]' in a checkout"
"""The beginning of a sentence that continues with what else would help."""


def casa_is_installed() -> bool:
    """Whether this Python has CASA."""
    return importlib.util.find_spec("casatasks") is not None and importlib.util.find_spec("casatools") is not None


def foreign_casa() -> str:
    """The file of a CASA package that would be imported instead of the installed one; empty if there is none."""
    for package in ("casatools", "casatasks"):
        spec = importlib.util.find_spec(package)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed = Path(str(importlib.metadata.distribution(package).locate_file(package)))
            if spec is not None and spec.origin and Path(spec.origin).resolve().parent != installed.resolve():
                return spec.origin
    return ""


def casa_versions() -> dict[str, str]:
    """Versions of the CASA packages that are installed here; empty without CASA."""
    found = {}
    for package in ("casatools", "casatasks", "casadata"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def versions() -> dict[str, str]:
    """Versions of everything that makes the products. The last bits depend on the C library's functions."""
    libc = " ".join(platform.libc_ver())
    return {"ccip_batch": __version__, "python": sys.version.split()[0], "libc": libc, **casa_versions()}
