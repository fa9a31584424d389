"""Prints, as JSON, every file of the image it runs in with its mode, owner, time and digest: to compare two builds."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

# What Apptainer or the kernel mounts at run time.
MOUNTED = {"/proc", "/sys", "/dev", "/mnt", "/tmp", "/var/tmp", "/root", "/home", "/etc/resolv.conf", "/etc/hosts"}
MOUNTED |= {"/etc/passwd", "/etc/group", "/etc/hostname", "/etc/localtime"}


def entry(path: Path) -> str:
    """One file, link or folder in a line."""
    state = path.lstat()
    if path.is_symlink():
        content = f"-> {path.readlink()}"
    elif path.is_file():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        content = "folder"
    time = 0 if content == "folder" else int(state.st_mtime)
    return f"{state.st_mode:o} {state.st_uid}:{state.st_gid} {time} {content}"


if __name__ == "__main__":
    found = {}
    for folder, below, names in os.walk("/"):
        below[:] = [name for name in below if str(Path(folder) / name) not in MOUNTED]
        for path in (Path(folder) / name for name in [*below, *names]):
            if str(path) not in MOUNTED:
                found[str(path)] = entry(path)
    print(json.dumps(found))
