"""Prints as JSON what an image holds: packages with versions and licences, and where the bytes are.

Runs inside the image with its Python; `container/build.py` makes the SBOM and the table of sizes from it.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import zlib
from collections import defaultdict
from pathlib import Path

ROOT = Path("/opt/ccip")
BLOCK = 1 << 17  # squashfs compresses blocks of this size
EVERY = 5  # one block of so many is compressed to learn how well they do


def debian_packages() -> list[dict[str, str]]:
    """Name, version and licences of each Debian package."""
    query = ["dpkg-query", "--show", "--showformat", "${Package}\t${Version}\t${Architecture}\n"]
    found = []
    for line in subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines():
        name, version, architecture = line.split("\t")
        copyright_file = Path("/usr/share/doc") / name / "copyright"
        text = copyright_file.read_text(errors="replace") if copyright_file.is_file() else ""
        names = sorted(set(re.findall(r"^License:[ \t]*(\S.*?)\s*$", text, flags=re.MULTILINE)))
        licence = ", ".join(names) or f"see {copyright_file}"
        found.append({"name": name, "version": version, "architecture": architecture, "licence": licence})
    return found


def python_packages() -> list[dict[str, str]]:
    """Name, version and licence of each Python package."""
    found = []
    for package in importlib.metadata.distributions(path=[str(next(ROOT.glob("lib/python3*/site-packages")))]):
        fields = package.metadata
        classifiers = [text.rsplit(" :: ", 1)[-1] for text in fields.get_all("Classifier") or [] if "License" in text]
        stated = str(fields.get("License") or "").strip().split("\n")[0]
        licence = str(fields.get("License-Expression") or ", ".join(classifiers) or stated or "not stated")
        found.append({"name": fields["Name"], "version": package.version, "licence": licence})
    return sorted(found, key=lambda entry: entry["name"].lower())


def component(path: Path) -> str:
    """The line of the table of sizes that a file belongs to."""
    parts = path.parts[1:]
    if parts[:3] == ("opt", "ccip", "data"):
        return "CASA's data"
    if "site-packages" in parts and parts[:2] == ("opt", "ccip"):
        top = re.sub(r"(\.libs|-[0-9].*)$", "", parts[parts.index("site-packages") + 1]).lower()
        if top in ("casatools", "casatasks", "scipy", "numpy", "astropy", "matplotlib", "ccip_batch"):
            return top
        return "other Python packages"
    if parts[:2] == ("usr", "lib") and len(parts) > 2 and parts[2].startswith("python3"):
        return "Python's standard library"
    return "Debian"


def sizes() -> dict[str, dict[str, float]]:
    """Bytes of each component: as they are, and compressed as the image's file system does, from a sample of blocks."""
    total: dict[str, int] = defaultdict(int)
    sampled: dict[str, int] = defaultdict(int)
    packed: dict[str, int] = defaultdict(int)
    skipped = {"/proc", "/sys", "/dev", "/mnt", "/tmp", "/var/tmp"}
    blocks = 0
    for folder, below, names in os.walk("/"):
        below[:] = sorted(name for name in below if str(Path(folder) / name) not in skipped)
        for path in (Path(folder) / name for name in sorted(names)):
            if path.is_symlink() or not path.is_file():
                continue
            name, size = component(path), path.stat().st_size
            total[name] += size
            with path.open("rb") as data:
                for start in range(0, size, BLOCK):
                    blocks += 1
                    if blocks % EVERY == 0:
                        data.seek(start)
                        block = data.read(BLOCK)
                        sampled[name] += len(block)
                        packed[name] += min(len(block), len(zlib.compress(block, 6)))
    return {
        name: {"bytes": total[name], "compressed": total[name] * packed[name] / (sampled[name] or 1)} for name in total
    }


if __name__ == "__main__":
    print(json.dumps({"debian": debian_packages(), "python": python_packages(), "sizes": sizes()}))
