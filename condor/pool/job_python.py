"""The Python environment of the jobs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

from daemons import master_pid
from debian import install_package
from place import Pool, PoolError, checkout, is_open_to_others, run, say


def provide_job_python(pool: Pool, source: Path | None, python: str) -> None:
    """Make or bring up to date the virtual environment of the jobs: ccip_batch with CASA and the HTCondor bindings.

    source: a source tree or a wheel of ccip_batch (default: this checkout). The dependencies are installed again
    only if they or the Python have changed, and nothing is while the pool runs: that would take it away under jobs.
    """
    source = (source or checkout() or Path()).resolve()
    wheel = source.is_file()
    if not wheel and not (source / "pyproject.toml").is_file():
        raise PoolError("An installed package has no source tree: name a wheel of ccip_batch with --source.")
    folder = pool.job_python
    if os.geteuid() == 0 and not is_open_to_others(folder):
        raise PoolError(f"{folder} lies below a folder that only its owner can enter; set CCIP_JOB_PYTHON to another.")
    version = run([python, "--version"])
    if wheel:
        needs = package = f"{version}{digest([source])}"
    else:
        project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
        wanted = [project["dependencies"], project["optional-dependencies"]]
        needs = f"{version}{json.dumps(wanted)}"
        parts = ("ccip_batch", "condor", "configs", "container", "pyproject.toml")
        package = needs + digest([source / part for part in parts])
    noted = folder / "ccip-installed.json"
    have = json.loads(noted.read_text()) if noted.is_file() else {}
    if have.get("package") == package:
        say(f"{folder} is up to date")
        return
    if master_pid(pool) is not None:
        raise PoolError(f"{folder} is not up to date, and jobs may be using it; stop the pool first: make pool-down")
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    if have.get("needs") != needs:
        say(f"making {folder}: CASA and its data are a large download")
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if subprocess.run([python, "-c", "import ensurepip"], capture_output=True).returncode != 0:
            install_package("python3-venv")
        run([python, "-m", "venv", str(folder)])
        run([*pip, f"{source}[casa,htcondor]"], environment)
    else:
        run([*pip, "--no-deps", "--force-reinstall", str(source)], environment)
    noted.write_text(json.dumps({"needs": needs, "package": package}))
    say(f"{folder}/bin/python has ccip_batch with CASA")


def digest(paths: list[Path]) -> str:
    """A hash of files and of the files in folders."""
    total = hashlib.sha256()
    for path in paths:
        files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
        for file in files:
            if "__pycache__" not in file.parts:
                total.update(str(file).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()
