"""Builds `build/ccip-<version>.sif` from container/ccip.def, with its SBOM, and prints what takes how much space.

What the image takes from Python's package index is fetched here, with the settings of this machine's pip, and checked
against container/requirements.txt; the build itself installs from a folder. Two builds of one commit have the
same files, as long as Debian's packages are the same: every time in the image is that of the commit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parent.parent
CONTAINER = ROOT / "container"
WORK = ROOT / "build" / "image"
INPUT = WORK / "input"
SUITE = "trixie"
DOCKER_BASE = f"debian:{SUITE}-slim"
COMPRESSION = "-comp zstd -Xcompression-level 9"
"""Of the image's files: as small as gzip's, made and read in a fraction of its time."""
LIMIT = 300_000_000
"""The image may have this many bytes."""
DATA_FILES = re.compile(r"casadata/__data__/(geodetic/.+|alma/simmos/vla\.[\w.]+\.cfg)")


def run(*command: str | Path, **options: Any) -> str:
    """Run a command and return what it prints; end the build with its own message if it fails."""
    words = [str(part) for part in command]
    done: subprocess.CompletedProcess[str] = subprocess.run(
        words, text=True, stdout=subprocess.PIPE, check=False, **options
    )
    if done.returncode:
        sys.exit(f"image: {Path(command[0]).name} {command[1]} ended with exit code {done.returncode}")
    return done.stdout


def git(*arguments: str) -> str | None:
    """The output of git for the checkout; None outside of one."""
    command = ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}", *arguments]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    return None if done.returncode else done.stdout.strip()


def revision_and_epoch() -> tuple[str, int]:
    """The commit (with `-dirty` if files differ from it) and its time; SOURCE_DATE_EPOCH overrides the time."""
    revision = git("rev-parse", "HEAD") or "unknown"
    if git("status", "--porcelain"):
        revision += "-dirty"
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or "0"
    return revision, int(epoch)


def fingerprint() -> str:
    """A digest of the files of the checkout that go into the image or build it."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "README.md", "LICENSE", "ccip_batch", "configs", "condor", "container"):
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{file.relative_to(ROOT)} {content}\n".encode())
    return digest.hexdigest()


def bind(source: Path) -> list[str]:
    """Apptainer's options to bind a folder at /mnt, whatever characters its path has."""
    quoted = str(source).replace('"', '""')
    return ["--mount", f'type=bind,"source={quoted}",destination=/mnt,ro']


def fetch_packages(epoch: int) -> None:
    """Fill the folder that the build sees at /mnt: wheels, requirements, CASA's data, the list of Debian packages.

    casadata is not installed: only the part of its files that is needed goes into the image.
    """
    shutil.rmtree(INPUT, ignore_errors=True)
    (INPUT / "data").mkdir(parents=True)
    wheels = WORK / "wheels"
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    python = [sys.executable, "-m", "pip"]
    target = ["--only-binary=:all:", "--implementation=cp", "--python-version=3.13", "--abi=cp313", "--abi=abi3"]
    target += ["--abi=none", "--platform=any"]
    target += [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(5, 41)]
    target += [f"--platform=manylinux{name}_x86_64" for name in ("1", "2010", "2014")]
    lock = CONTAINER / "requirements.txt"
    stamp = wheels / "requirements.txt"
    if not stamp.is_file() or stamp.read_text() != lock.read_text():
        shutil.rmtree(wheels, ignore_errors=True)
        run(*python, "download", "-q", "--no-deps", "--require-hashes", "-r", lock, "-d", wheels, *target)
        shutil.copyfile(lock, stamp)

    (INPUT / "wheels").mkdir()
    for wheel in sorted(wheels.glob("*.whl")):
        if not wheel.name.startswith("casadata-"):
            os.link(wheel, INPUT / "wheels" / wheel.name)
    blocks = re.split(r"\n(?=\S)", lock.read_text())
    kept = [block for block in blocks if not block.startswith("casadata==")]
    (INPUT / "requirements.txt").write_text("\n".join(kept) + "\n")
    (casadata,) = wheels.glob("casadata-*.whl")
    with zipfile.ZipFile(casadata) as archive:
        for member in archive.infolist():
            path = DATA_FILES.fullmatch(member.filename)
            if path and not member.is_dir():
                (INPUT / "data" / path[1]).parent.mkdir(parents=True, exist_ok=True)
                (INPUT / "data" / path[1]).write_bytes(archive.read(member))
    shutil.copyfile(CONTAINER / "packages.txt", INPUT / "packages.txt")
    run(*python, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", INPUT, ROOT, env=environment)


def labels(version: str, revision: str, epoch: int, base: str) -> str:
    """The labels of the image, one per line: OCI's names, and the versions of everything that decides the pixels."""
    lock = (CONTAINER / "requirements.txt").read_text()
    pinned = dict(re.findall(r"^(\S+?)==(\S+)", lock, flags=re.MULTILINE))
    entries = {
        "org.opencontainers.image.title": "ccip-batch",
        "org.opencontainers.image.description": "VLASS coarse-cube imaging with CASA",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.created": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "org.opencontainers.image.base.name": base,
        "org.opencontainers.image.licenses": "BSD-3-Clause and those of the SBOM",
        "ccip.source": fingerprint(),
        "ccip.casatools.version": pinned["casatools"],
        "ccip.casatasks.version": pinned["casatasks"],
        "ccip.casadata.version": pinned["casadata"],
    }
    return "".join(f"{key} {value}\n" for key, value in entries.items())


def remove_base(base: Path) -> None:
    """Remove the folder made from Debian's packages, unless something is mounted in it."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if any(Path(mount).is_relative_to(base) for mount in mounts):
        sys.exit(f"image: something is mounted below {base}; unmount it, then try again")
    if base.exists():
        shutil.rmtree(base)


def choose_base(apptainer: str, wanted: str, epoch: int) -> tuple[str, str]:
    """The bootstrap agent and its source: Debian's image where a registry of images answers, else Debian's packages."""
    if wanted in ("auto", "docker"):
        probe = [apptainer, "pull", "--force", str(WORK / "base.sif"), f"docker://{DOCKER_BASE}"]
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return "docker", DOCKER_BASE
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        if wanted == "docker":
            sys.exit(f"image: docker://{DOCKER_BASE} cannot be fetched: {reason}")
        print(f"image: no registry of images answers, the base is made from Debian's packages ({reason})", flush=True)
    base = WORK / "base"
    remove_base(base)
    packages = ",".join((CONTAINER / "packages.txt").read_text().split())
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", SUITE, str(base)]
    if os.geteuid() == 0:
        # What it mounts below the base must not outlive it, even if it is killed.
        command = ["unshare", "--mount", *command]
    run(*command, env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch)})
    return "localimage", str(base.relative_to(ROOT))


def write_sbom(inventory: dict[str, Any], target: Path, version: str, revision: str, epoch: int) -> None:
    """Write a CycloneDX list of the image's packages with their versions and licences."""
    root = Component(name="ccip-batch image", version=version, type=ComponentType.CONTAINER, bom_ref="image")
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"ccip-batch/{version}/{revision}"))
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.metadata.component = root
    for kind, entries in (("deb", inventory["debian"]), ("pypi", inventory["python"])):
        for entry in entries:
            url = PackageURL(
                type=kind,
                namespace="debian" if kind == "deb" else None,
                name=entry["name"] if kind == "deb" else entry["name"].lower(),
                version=entry["version"],
                qualifiers={"arch": entry["architecture"], "distro": SUITE} if kind == "deb" else None,
            )
            part = Component(
                name=entry["name"],
                version=entry["version"],
                type=ComponentType.LIBRARY,
                purl=url,
                bom_ref=url.to_string(),
                licenses=[DisjunctiveLicense(name=entry["licence"])],
            )
            bom.components.add(part)
            bom.register_dependency(root, [part])
    target.write_text(JsonV1Dot6(bom).output_as_string(indent=1) + "\n")


def print_sizes(inventory: dict[str, Any], total: int) -> None:
    """Print the table of sizes, largest first. What a part takes compressed is its share by an estimate."""
    scale = total / sum(entry["compressed"] for entry in inventory["sizes"].values())
    print(f"{'':28}{'MB':>8}{'MB compressed':>16}")
    for name, entry in sorted(inventory["sizes"].items(), key=lambda item: -item[1]["compressed"]):
        print(f"{name:28}{entry['bytes'] / 1e6:8.1f}{scale * entry['compressed'] / 1e6:16.1f}")
    print(f"{'the image':28}{sum(e['bytes'] for e in inventory['sizes'].values()) / 1e6:8.1f}{total / 1e6:16.1f}")


def is_current(apptainer: str, target: Path, sbom: Path) -> bool:
    """Whether the existing image was made from the present files."""
    if not (target.is_file() and sbom.is_file()):
        return False
    done = subprocess.run([apptainer, "inspect", "--json", str(target)], capture_output=True, text=True, check=False)
    if done.returncode:
        return False
    found = json.loads(done.stdout)["data"]["attributes"]["labels"] or {}
    return bool(found.get("ccip.source") == fingerprint())


def build(target: Path, wanted_base: str, force: bool) -> None:
    """Build the image and its SBOM; the image appears under its name only when it is complete."""
    os.umask(0o022)
    WORK.mkdir(parents=True, exist_ok=True)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    revision, epoch = revision_and_epoch()
    sbom = target.with_suffix(".cdx.json")
    apptainer = run(CONTAINER / "setup_apptainer.sh").strip()
    if not force and is_current(apptainer, target, sbom):
        print(f"image: {target} is up to date")
        return
    fetch_packages(epoch)
    bootstrap, source = choose_base(apptainer, wanted_base, epoch)
    base_name = DOCKER_BASE if bootstrap == "docker" else f"debian:{SUITE}"
    (INPUT / "labels").write_text(labels(version, revision, epoch, base_name))

    part = target.with_name(target.name + ".part")
    arguments = {"bootstrap": bootstrap, "from": source, "version": version, "revision": revision, "epoch": epoch}
    command: list[str | Path] = [apptainer, "build", "--force", "--mksquashfs-args", COMPRESSION, *bind(INPUT)]
    for key, value in arguments.items():
        command += ["--build-arg", f"{key}={value}"]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    run(*command, part, CONTAINER / "ccip.def", env=environment, cwd=ROOT)
    remove_base(WORK / "base")

    command = [apptainer, "exec", "--containall", *bind(CONTAINER), part]
    inventory = json.loads(run(*command, "python", "/mnt/inventory.py"))
    write_sbom(inventory, sbom, version, revision, epoch)
    part.replace(target)
    print_sizes(inventory, target.stat().st_size)
    print(f"image: {target}\nSBOM:  {sbom}")
    if target.stat().st_size > LIMIT:
        sys.exit(f"image: larger than {LIMIT / 1e6:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    default = ROOT / "build" / f"ccip-{version}.sif"
    parser.add_argument("target", nargs="?", type=Path, default=default, help="the image file (default: %(default)s)")
    parser.add_argument(
        "--base", choices=("auto", "docker", "debian"), default="auto", help="where the base comes from"
    )
    parser.add_argument("--force", action="store_true", help="build also when the image is up to date")
    given = parser.parse_args()
    build(given.target.resolve(), given.base, given.force)


if __name__ == "__main__":
    main()
