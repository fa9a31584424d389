"""HTCondor from a Debian package, unpacked into a folder and made to run on a machine of another release."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from place import DEFAULT_SUITE, PROGRAMS, Pool, PoolError, run, say


def provide_condor(pool: Pool) -> Path:
    """Make HTCondor available and return its release folder (the one with bin/ and sbin/)."""
    found = shutil.which("condor_master")
    if found is not None and pool.suite is None:
        return Path(found).resolve().parent.parent
    prefix = pool.prefix
    if not (prefix / PROGRAMS / "condor_master").exists():
        unpack_condor(pool.suite or DEFAULT_SUITE, prefix)
    return prefix / "usr"


def unpack_condor(suite: str, prefix: Path) -> None:
    """Unpack Debian's condor into `prefix` and make its programs use the libraries that came with it."""
    if os.geteuid() != 0:
        raise PoolError(
            f"{prefix} has no HTCondor, and only root can unpack it: run this once as root, "
            "or have an installed HTCondor on PATH and name no suite."
        )
    for program in ("mmdebstrap", "patchelf"):
        if shutil.which(program) is None:
            install_package(program)
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        install_package("debian-archive-keyring")
    say(f"unpacking HTCondor from Debian {suite} into {prefix}")
    partial = prefix.with_name(prefix.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--include=condor,libmunge2"]
    # A mirror's index of sid may be some days old; that it is signed is still checked.
    run([*command, '--aptopt=Acquire::Check-Valid-Until "false"', suite, str(partial)])
    patch(partial, prefix)
    programs = partial / PROGRAMS
    programs.mkdir()
    for folder in ("bin", "sbin"):
        for path in sorted((partial / "usr" / folder).glob("condor_*")):
            (programs / path.name).symlink_to(f"../usr/{folder}/{path.name}")
    shutil.rmtree(prefix, ignore_errors=True)
    partial.rename(prefix)


def patch(tree: Path, prefix: Path) -> None:
    """Let HTCondor's programs in `tree` use the loader and the libraries that will be in `prefix`.

    The machine's own libc may be older than the one they were linked with.
    """
    libraries = [path for path in (tree / "usr" / "lib").glob("*-linux-gnu*") if path.is_dir()]
    if len(libraries) != 1:
        raise PoolError(f"{tree}/usr/lib: expected one folder of libraries, found {len(libraries)}.")
    library = prefix / "usr" / "lib" / libraries[0].name
    search = f"{library}:{prefix}/usr/lib"
    candidates = [
        *(tree / "usr" / "bin").glob("condor_*"),
        *(tree / "usr" / "sbin").glob("condor_*"),
        *(tree / "usr" / "libexec" / "condor").rglob("*"),
    ]
    for program in sorted(candidates):
        if program.is_symlink() or not program.is_file() or not is_elf(program):
            continue
        shown = subprocess.run(["patchelf", "--print-interpreter", str(program)], capture_output=True, text=True)
        if shown.returncode != 0:  # a shared library: found by the programs' search path
            continue
        loader = f"{prefix}/usr{shown.stdout.strip()}"
        run(["patchelf", "--set-interpreter", loader, "--force-rpath", "--set-rpath", search, str(program)])


def is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def install_package(name: str) -> None:
    """Install a Debian package that is needed here; only root can do that."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PoolError(f"The package {name} is needed: apt-get install {name}")
    say(f"installing {name}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", name]
    if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode != 0:
        run(["apt-get", "update", "--quiet"])
        run(command)
