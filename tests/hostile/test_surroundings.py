"""What lies around the user of a node: modules in the current folder, PYTHONPATH, variables, the user's site folder."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers.input_files import make_job

from ccip_batch.casa.probe import Finding
from ccip_batch.job.package_files import data_folder
from ccip_batch.job.versions import casa_is_installed
from ccip_batch.processes import PYTHON_OPTIONS, own_environment, python_module

ROOT = Path(__file__).parents[2]
SHADOWS = ("copy", "json", "socket", "casatasks", "casatools", "numpy", "pydantic", "sitecustomize", "usercustomize")
OTHERS = {
    "PYTHONOPTIMIZE": "2",
    "PYTHONSTARTUP": "/nowhere.py",
    "PYTHONHASHSEED": "1",
    "MPLBACKEND": "no backend",
    "MATPLOTLIBRC": "/nowhere",
    "OMP_NUM_THREADS": "7",
    "OMP_THREAD_LIMIT": "1",
    "GOMP_CPU_AFFINITY": "0",
    "CASAPATH": "/nowhere linux",
    "CASARCFILES": "/nowhere",
    "CASASITECONFIG": "/nowhere.py",
    "BASH_ENV": "/nowhere.sh",
    "BASH_FUNC_cp%%": "() { echo no; }",
}


@pytest.fixture
def shadows(tmp_path: Path) -> Path:
    """A folder with modules that must not be imported."""
    folder = tmp_path / "shadows"
    folder.mkdir()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} of the user was imported')\n")
    return folder


def call(words: list[str], cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_a_node_imports_nothing_of_the_current_folder(shadows: Path, tmp_path: Path) -> None:
    """The node has no archive that it can use, so it fails before it would need CASA."""
    job = make_job(tmp_path / "job")
    words = [sys.executable, "-m", "ccip_batch"]
    pool = ["--set", "execution.engine=htcondor", "--set", "execution.site=nrao"]
    planned = call([*words, "plan", str(job), "--run-dir", str(tmp_path / "run"), *pool], shadows, **OTHERS)
    assert planned.returncode == 0, planned.stderr
    (tmp_path / "job" / "reimaging_resources.tgz").write_bytes(b"")
    done = call([*words, "node", str(tmp_path / "run"), "restore"], shadows, **OTHERS)
    assert done.returncode == 11 and "of the user" not in done.stderr, done.stderr
    assert "of the user" not in (tmp_path / "run" / "nodes" / "restore" / "node.log").read_text()


def test_what_a_verb_starts_has_nothing_of_the_user(shadows: Path) -> None:
    """PYTHONPATH comes into the first process before any code of ours; what it starts is free of it."""
    code = (
        "import subprocess, sys; sys.path.remove(sys.argv[1])\n"
        "from ccip_batch import processes; processes.keep_to_own_python()\n"
        "words = processes.python_module('ccip_batch.casa.probe', '')\n"
        "assert sys.argv[1] not in sys.path\n"
        "sys.exit(subprocess.run(words, env=processes.child_environment()).returncode)"
    )
    (shadows / "sitecustomize.py").unlink()
    (shadows / "usercustomize.py").unlink()
    done = call(
        [sys.executable, "-c", code, str(shadows)], shadows, **OTHERS, PYTHONPATH=str(shadows), PYTHONSAFEPATH="1"
    )
    assert done.returncode == 0, done.stderr
    assert Finding.read(done.stdout) is not None


def test_a_foreign_casa_does_not_count_as_installed(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    for name in ("casatasks", "casatools"):
        (foreign / name).mkdir(parents=True)
        (foreign / name / "__init__.py").write_text("raise ImportError('foreign')\n")
    job = make_job(tmp_path / "job")
    words = [sys.executable, "-m", "ccip_batch", "validate", str(job), "--run-dir", str(tmp_path / "run")]
    done = call(words, tmp_path, PYTHONPATH=str(foreign))
    assert done.returncode == 0 and "foreign" not in done.stderr, done.stderr


@pytest.mark.skipif(not casa_is_installed(), reason="needs CASA")
def test_a_foreign_casa_beside_a_package_that_is_found_by_path_is_refused(tmp_path: Path) -> None:
    """Then PYTHONPATH says where the package is: it stays, and what is in its way is told before anything runs."""
    foreign = tmp_path / "foreign"
    (foreign / "casatasks").mkdir(parents=True)
    (foreign / "casatasks" / "__init__.py").write_text("raise ImportError('foreign')\n")
    places = [str(foreign), str(ROOT), sysconfig.get_path("purelib")]
    job = make_job(tmp_path / "job")
    for verb in ("validate", "run"):
        words = [sys._base_executable, "-s", "-m", "ccip_batch", verb, str(job), "--run-dir", str(tmp_path / "run")]  # type: ignore[attr-defined]
        done = call(words, tmp_path, PYTHONPATH=os.pathsep.join(places))
        assert done.returncode == 10, done.stderr
        assert str(foreign) in done.stderr and "PYTHONPATH" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_package_that_is_found_by_path_is_found_by_its_children(tmp_path: Path) -> None:
    places = [str(ROOT), sysconfig.get_path("purelib")]
    code = (
        "import subprocess, sys; from ccip_batch import processes\n"
        "processes.keep_to_own_python(); print(*processes.python_path(), flush=True)\n"
        "sys.exit(subprocess.run(processes.python_module('ccip_batch.casa.probe', ''), cwd='/',"
        " env=processes.child_environment()).returncode)"
    )
    given = os.pathsep.join([*places, ""])
    done = call([sys._base_executable, "-s", "-c", code], tmp_path, PYTHONPATH=given)  # type: ignore[attr-defined]
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split() == places


def test_a_package_that_is_installed_needs_no_path(tmp_path: Path) -> None:
    code = "from ccip_batch import processes; print(processes.python_path())"
    for given in ("", str(tmp_path), "relative", str(ROOT)):
        done = call([sys.executable, "-c", code], tmp_path, PYTHONPATH=given)
        assert done.stdout == "()\n", done.stderr


@pytest.mark.parametrize("name", OTHERS)
def test_variables_that_do_not_come_along(name: str) -> None:
    kept = own_environment({"HOME": "/h", "TMPDIR": "/t", "CCIP_CASA_DATA": "/d", "LD_LIBRARY_PATH": "/l", **OTHERS})
    assert name not in kept and {"HOME", "TMPDIR", "CCIP_CASA_DATA", "LD_LIBRARY_PATH"} <= set(kept)


def test_the_users_own_site_folder_is_passed_over(tmp_path: Path) -> None:
    lib = Path(site.getusersitepackages()).relative_to(site.getuserbase())
    (tmp_path / lib).mkdir(parents=True)
    (tmp_path / lib / "usercustomize.py").write_text("raise SystemExit('imported')\n")
    base = sys._base_executable  # type: ignore[attr-defined]
    words = python_module("this")[1:]
    assert "Zen" in call([base, *words], tmp_path, PYTHONUSERBASE=str(tmp_path)).stdout


def test_the_script_of_a_dag_imports_nothing_of_the_submitter(shadows: Path, tmp_path: Path) -> None:
    """DAGMan starts it in the folder of the DAG, and hands the submitter's PYTHONPATH on."""
    job = make_job(tmp_path / "job", "execution: {engine: htcondor, site: local}\n")
    run = tmp_path / "run"
    done = call([sys.executable, "-m", "ccip_batch", "plan", str(job), "--run-dir", str(run)], tmp_path)
    assert done.returncode == 0, done.stderr
    done = call([str(run / "dag" / "ccip-dag.sh"), "pre", "..", "restore"], shadows, PYTHONPATH=str(shadows))
    assert "of the user" not in done.stderr, done.stderr


def test_every_submit_description_starts_python_alone() -> None:
    condor = data_folder("condor")
    lines = [
        line.strip()
        for path in condor.glob("*.sub")
        for line in path.read_text().splitlines()
        if line.strip().startswith("arguments")
    ]
    assert lines and all('"$(python_options) -m ' in line for line in lines)
    assert PYTHON_OPTIONS == ("-P", "-s")


@pytest.mark.parametrize("words", [["--help"], ["extract", "--help"], ["nosuch"], ["status", "nowhere"]])
def test_what_cannot_be_printed_is_told_by_the_exit_code(tmp_path: Path, words: list[str]) -> None:
    """Standard output, and then both, are a full disk."""
    command = [sys.executable, "-m", "ccip_batch", *words]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
        assert ("disk is full" in done.stderr) == ("--help" in words) and done.returncode in (2, 12, 30)
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=full, check=False)
    assert done.returncode in (12, 30)


def test_a_current_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    remove = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    words = [sys.executable, "-c", remove, "-m", "ccip_batch", "status", "run"]
    done = call(words, tmp_path / "gone")
    assert done.returncode == 11 and "the current folder is gone" in done.stderr and "Traceback" not in done.stderr
