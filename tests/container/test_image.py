"""The image: what it holds, and that it runs read-only, as anybody, without a home or a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from ccip_batch import __version__

pytestmark = pytest.mark.container

ROOT = Path(__file__).resolve().parents[2]
Runner = Callable[..., "subprocess.CompletedProcess[str]"]

# Imports CASA in the current folder, makes an image with it, and prints its version.
USE_CASA = """
from pathlib import Path
from ccip_batch.casa.session import Casa
casa = Casa(Path("casa.log"))
with casa.tool("image") as ia:
    ia.fromshape("zeros.image", [8, 8, 1, 1])
with casa.image("zeros.image") as ia:
    assert list(ia.shape()) == [8, 8, 1, 1]
print("CASA works")
"""


def labels(apptainer: str, image: Path) -> dict[str, str]:
    done = subprocess.run([apptainer, "inspect", "--json", image], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)["data"]["attributes"]["labels"]
    return found


def test_labels_name_versions_commit_and_age_of_the_data(apptainer: str, image: Path) -> None:
    found = labels(apptainer, image)
    lock = (ROOT / "container" / "requirements.txt").read_text()
    assert found["org.opencontainers.image.version"] == __version__
    assert len(found["org.opencontainers.image.revision"].removesuffix("-dirty")) == 40
    assert f"casatools=={found['ccip.casatools.version']} " in lock
    assert f"casatasks=={found['ccip.casatasks.version']} " in lock
    measured = date.fromisoformat(found["ccip.measures.measured-until"])
    predicted = date.fromisoformat(found["ccip.measures.predicted-until"])
    assert date(2020, 1, 1) < measured < predicted
    assert not any(str(ROOT) in value for value in found.values()), "a label names a path of the build machine"


def test_size(image: Path) -> None:
    assert image.stat().st_size <= 300_000_000


def test_sbom_lists_every_pinned_package_with_a_licence(image: Path) -> None:
    bom = json.loads(image.with_suffix(".cdx.json").read_text())
    assert bom["bomFormat"] == "CycloneDX"
    found = {
        (part["purl"].split(":")[1].split("/")[0], part["name"].lower(), part["version"]) for part in bom["components"]
    }
    lock = (ROOT / "container" / "requirements.txt").read_text()
    pinned = [line.split()[0].split("==") for line in lock.splitlines() if line[:1].isalnum()]
    missing = [
        name
        for name, version in pinned
        if name != "casadata"
        and not {("pypi", spelling, version) for spelling in (name, name.replace("-", "_"), name.replace("-", "."))}
        & found
    ]
    assert missing == []
    assert any(kind == "deb" and name == "libc6" for kind, name, _ in found)
    assert all(part["licenses"][0]["license"]["name"] for part in bom["components"])


@pytest.mark.parametrize("user", [None, 65534], ids=["as root or oneself", "as an ordinary user"])
def test_casa_works_cut_off_from_the_host(inside: Runner, tmp_path: Path, user: int | None, image: Path) -> None:
    folder = tmp_path / "with space, comma: colon"
    folder.mkdir()
    if user is not None:
        if os.geteuid() != 0:
            pytest.skip("only root can run it as somebody else")
        folder = Path("/var/tmp") / f"ccip test {os.getpid()}"
        folder.mkdir()
        os.chown(folder, user, user)
    try:
        done = inside("python", "-c", USE_CASA, folder=folder, user=user)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "CASA works" in done.stdout
        assert sorted(path.name for path in folder.iterdir()) == ["casa.log", "casa_home", "zeros.image"]
    finally:
        if user is not None:
            shutil.rmtree(folder)


def test_it_is_read_only_and_has_no_network(inside: Runner) -> None:
    done = inside("sh", "-c", "touch /opt/ccip/mark || echo read-only; cat /proc/net/route | tail -n +2 | wc -l")
    assert done.stdout.split() == ["read-only", "0"], done.stderr


def test_image_in_a_folder_with_a_space(inside: Runner, image: Path, tmp_path: Path) -> None:
    sif = tmp_path / "a b" / "ccip image.sif"
    sif.parent.mkdir()
    shutil.copyfile(image, sif)
    done = inside("ccip-batch", "--version", sif=sif)
    assert done.returncode == 0, done.stderr
    assert __version__ in done.stdout


def test_run_passes_arguments_on(apptainer: str, image: Path, tmp_path: Path) -> None:
    words = [apptainer, "run", "--containall", "--bind", str(tmp_path), "--pwd", str(tmp_path), str(image)]
    done = subprocess.run([*words, "validate", "absent job.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode not in (0, 255)
    assert "absent job.yaml" in done.stdout + done.stderr


def test_newer_measures_data_can_be_bound_in(inside: Runner, tmp_path: Path) -> None:
    data = tmp_path / "newer"
    (data / "geodetic").mkdir(parents=True)
    (data / "geodetic" / "mark").touch()
    show = (
        "from ccip_batch.casa.session import data_folder; "
        "print(sorted(p.name for p in (data_folder() / 'geodetic').iterdir()))"
    )
    done = inside("python", "-c", show, options=("--bind", f"{data}:/opt/ccip/data:ro"))
    assert done.stdout.strip() == "['mark']", done.stderr


def test_packages_of_the_host_do_not_get_in(apptainer: str, image: Path, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    words = [apptainer, "exec", "--bind", str(tmp_path), "--pwd", "/", str(image), "python", "-c", "import numpy"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_builds_differ_in_nothing_that_matters(apptainer: str, image: Path, tmp_path: Path) -> None:
    """The same files with the same content, modes and times; what differs is listed when the test fails."""
    second = tmp_path / "second.sif"
    subprocess.run([sys.executable, ROOT / "container" / "build.py", "--force", second], check=True)
    listings = []
    for sif in (image, second):
        words = [apptainer, "exec", "--containall", "--bind", f"{ROOT / 'container'}:/mnt:ro", str(sif)]
        done = subprocess.run([*words, "python", "/mnt/list_files.py"], capture_output=True, text=True, check=True)
        listings.append(json.loads(done.stdout))
    first, again = listings
    different = {
        path: (first.get(path), again.get(path)) for path in first | again if first.get(path) != again.get(path)
    }
    different.pop("/.singularity.d/labels.json", None)  # the commit, if the checkout moved on in between
    print(f"{len(first)} files, {len(different)} differ; sizes {image.stat().st_size} and {second.stat().st_size}")
    assert different == {}


def test_build_and_lock_agree_with_the_metadata() -> None:
    """What pyproject.toml asks for on Python 3.13 is what the image pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "container" / "requirements.txt").read_text().lower()
    casa = [text.split(";")[0].strip() for text in project["optional-dependencies"]["casa"] if ">= '3.13'" in text]
    assert casa and all(f"{requirement} " in lock for requirement in casa)
