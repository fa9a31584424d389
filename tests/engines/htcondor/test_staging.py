"""Large files by URL: where the tars are, what they are called, and what goes by its own URL."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from helpers.input_files import add_member, make_job
from helpers.simulated_runs import ccip_batch

from ccip_batch.engines.htcondor.attempts import read_attempt
from ccip_batch.engines.htcondor.plan import planned_site
from ccip_batch.engines.htcondor.staging import Staging
from ccip_batch.run.run import Run

URL = "osdf:///ospool/ap40/data/observer"
JOB = "imaging: {spw: ['2', '3,4']}\nexecution: {engine: htcondor, site: here}\n"
SIF = b"\0" * 32 + b"SIF_MAGIC\0"
"""How an image begins."""
SITE = "description: Here\nhtcondor: 25.4.0\ndata: transfer\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the access point that has a URL."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def planned(folder: Path, job: Path, more: str = "") -> Run:
    (folder / "here.yaml").write_text(f"{SITE}urls:\n  {folder}/data: {URL}\n{more}")
    done = ccip_batch("plan", job, "--run-dir", folder / "run", CCIP_SITES=str(folder))
    assert done.returncode == 0, done.stderr
    return Run.read(folder / "run")


def pre(run: Run, node: str) -> Path:
    """Run the script before a node; gives the tar that it packed."""
    assert subprocess.run([run.folder.dag / "ccip-dag.sh", "pre", "..", node], cwd=run.folder.dag).returncode == 0
    return Staging(run, planned_site(run)).input(node, read_attempt(run, node))


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return [member.name for member in tar if member.isfile()]


def test_tars_are_where_they_have_a_url(data: Path, tmp_path: Path) -> None:
    run = planned(tmp_path, make_job(tmp_path / "job", JOB))
    archive = pre(run, "restore")
    assert archive.is_relative_to(data)
    tars = re.search(r"^tars += (.*)$", (run.folder.dag / "site.sub").read_text(), re.MULTILINE)
    assert tars and f"{tars[1]}/{archive.name}" == f"{URL}/{archive.relative_to(data)}"
    assert not (run.folder.dag / "transfer").exists()
    for name in ("nodes", "planes", "products"):
        assert (run.folder.path / name).resolve().is_relative_to(data)
    # the measurement set is a folder, the archive has no URL of its own
    packed = names(archive)
    assert f"inputs/vis/{run.job.inputs.vis.name}/table.dat" in packed
    assert f"inputs/reimaging_resources/{run.job.inputs.reimaging_resources.name}" in packed
    assert "inputs=" not in (run.folder.dag / "ccip.dag").read_text()


def test_no_two_jobs_of_a_node_have_a_tar_of_the_same_name(data: Path, tmp_path: Path) -> None:
    """Nor two runs whose folders have the same name: a cache would give the old one."""
    job = make_job(tmp_path / "job", JOB)
    run = planned(tmp_path, job)
    first = pre(run, "restore")
    second = pre(run, "restore")
    assert first.name != second.name and second.is_file() and not first.exists()
    other = tmp_path / "other" / "run"
    assert ccip_batch("plan", job, "--run-dir", other, CCIP_SITES=str(tmp_path)).returncode == 0
    there = Run.read(other)
    assert Staging(there, planned_site(there)).folder != first.parent


def test_a_run_folder_that_has_a_url_itself(data: Path, tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text(f"{SITE}urls:\n  {data}: {URL}\n")
    job = make_job(tmp_path / "job", JOB)
    assert ccip_batch("plan", job, "--run-dir", data / "run", CCIP_SITES=str(tmp_path)).returncode == 0
    assert f"= {URL}/run/dag/transfer\n" in (data / "run" / "dag" / "site.sub").read_text()


def test_inputs_and_image_by_their_own_url(data: Path, tmp_path: Path) -> None:
    """Under a name that another content does not have: a cache would give the old one."""
    (data / "ccip.sif").write_bytes(SIF + b"one")
    job = make_job(data / "job", JOB.replace("site: here", f"site: here, container: {data / 'ccip.sif'}"))
    run = planned(tmp_path, job)
    archive = pre(run, "restore")
    assert not [name for name in names(archive) if "reimaging" in name]
    image = re.search(r"^container_image = (.*)$", (run.folder.dag / "machines.sub").read_text(), re.MULTILINE)
    resources = re.search(r'inputs="([^"]*)"', (run.folder.dag / "ccip.dag").read_text())
    assert image and resources
    found = [data / url[1].removeprefix(f"{URL}/") for url in (image, resources)]
    assert [path.read_bytes() for path in found] == [SIF + b"one", run.job.inputs.reimaging_resources.read_bytes()]
    (data / "ccip.sif").write_bytes(SIF + b"two")  # over the old one, as cp does
    assert found[0].read_bytes() == SIF + b"one"
    planned(tmp_path, job)
    pre(run, "restore")
    again = re.search(r"^container_image = (.*)$", (run.folder.dag / "machines.sub").read_text(), re.MULTILINE)
    assert again and again[1] != image[1]
    assert (data / again[1].removeprefix(f"{URL}/")).read_bytes() == SIF + b"two"


def test_a_large_file_without_a_url_is_refused(data: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", JOB)
    with (tmp_path / "job" / "VLASS2.1.sb01.eb01.59066.5_J133336+164404.ms" / "large").open("wb") as file:
        file.truncate(1_200_000_000)
    (tmp_path / "here.yaml").write_text(f"{SITE}largest_file: 1 GB\n")
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run", CCIP_SITES=str(tmp_path))
    assert done.returncode == 10
    assert re.search(r"a file of some \d\.\d GB .* here takes none over 1 GB .*`urls`", done.stderr)
    planned(tmp_path, job, "largest_file: 1 GB\n")


def test_no_folder_can_be_made_for_what_is_large(data: Path, tmp_path: Path) -> None:
    (data / "ccip_batch").touch()
    (tmp_path / "here.yaml").write_text(f"{SITE}urls:\n  {data}: {URL}\n")
    job = make_job(tmp_path / "job", JOB)
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run", CCIP_SITES=str(tmp_path))
    assert done.returncode == 12 and f"{data}/ccip_batch is to hold what is large" in done.stderr
    assert "Rename what is there" in done.stderr and "Traceback" not in done.stderr


def test_large_files_do_not_go_by_plain_transfer_without_a_word(data: Path, tmp_path: Path) -> None:
    """The folder of the place is not mapped any more, but another one is."""
    job = make_job(tmp_path / "job", JOB)
    place = Staging(run := planned(tmp_path, job), planned_site(run)).place
    (tmp_path / "other").mkdir()
    (tmp_path / "here.yaml").write_text(f"{SITE}urls:\n  {tmp_path}/other: {URL}\n")
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run", CCIP_SITES=str(tmp_path))
    assert done.returncode == 12 and f"{place}, where " in done.stderr and "in no folder of `urls`" in done.stderr


def test_a_run_folder_with_a_blank_in_its_name(data: Path, tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text(f"{SITE}urls:\n  {data}: {URL}\n")
    job = make_job(tmp_path / "job", JOB)
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "my run, (2)", CCIP_SITES=str(tmp_path))
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "my run, (2)" / "dag" / "site.sub").read_text()
    assert re.search(rf"^tars += {re.escape(URL)}/ccip_batch/my_run_2_-\w+/transfer$", text, re.MULTILINE)


def test_a_run_that_was_moved_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    run = planned(tmp_path, make_job(tmp_path / "job", JOB))
    place = Staging(run, planned_site(run)).place
    run.folder.path.rename(tmp_path / "moved")
    moved = Run.read(tmp_path / "moved")
    assert pre(moved, "restore").parent == place / "transfer"
    assert f"= {URL}/{(place / 'transfer').relative_to(data)}\n" in (moved.folder.dag / "site.sub").read_text()


def test_a_copy_does_not_write_where_the_run_does(data: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", JOB)
    run = planned(tmp_path, job)
    shutil.copytree(run.folder.path, tmp_path / "copy", symlinks=True)
    for words in (("plan", job, "--run-dir", tmp_path / "copy"), ("submit", tmp_path / "copy")):
        done = ccip_batch(*words, CCIP_SITES=str(tmp_path))
        assert done.returncode == 12 and f"is a copy of {run.folder.path}" in done.stderr, words


def test_a_run_folder_that_was_removed_starts_anew(data: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", JOB)
    run = planned(tmp_path, job)
    first = Staging(run, planned_site(run)).place
    (first / "nodes" / "restore").mkdir()
    shutil.rmtree(run.folder.path)
    run = planned(tmp_path, job)
    assert Staging(run, planned_site(run)).place != first
    assert not list((run.folder.path / "nodes").iterdir())


def test_folders_of_a_run_without_urls_are_not_mixed_with_links(data: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", JOB)
    (tmp_path / "here.yaml").write_text(SITE)
    assert ccip_batch("plan", job, "--run-dir", tmp_path / "run", CCIP_SITES=str(tmp_path)).returncode == 0
    (tmp_path / "run" / "nodes" / "restore").mkdir(parents=True)
    (tmp_path / "here.yaml").write_text(f"{SITE}urls:\n  {data}: {URL}\n")
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run", CCIP_SITES=str(tmp_path))
    assert done.returncode == 12 and "has nodes of a run without URLs" in done.stderr
    assert (tmp_path / "run" / "nodes" / "restore").is_dir()


def test_without_urls_again_the_place_stays(data: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "job", JOB)
    run = planned(tmp_path, job)
    place = Staging(run, planned_site(run)).place
    (tmp_path / "here.yaml").write_text(SITE)
    assert ccip_batch("plan", job, "--run-dir", tmp_path / "run", CCIP_SITES=str(tmp_path)).returncode == 0
    assert pre(run, "restore").parent == place / "transfer"
    assert f"tars                 = {place}/transfer\n" in (run.folder.dag / "site.sub").read_text()


def test_planned_again_a_tar_that_waits_is_not_lost(data: Path, tmp_path: Path) -> None:
    """The access point's disk was full when it came back."""
    job = make_job(tmp_path / "job", JOB)
    run = planned(tmp_path, job)
    pre(run, "restore")
    came = Staging(run, planned_site(run)).output("restore", read_attempt(run, "restore"))
    with tarfile.open(came, "w") as tar:
        add_member(tar, "nodes/restore/node.log", b"what it did")
    run = planned(tmp_path, job)
    pre(run, "restore")
    assert run.node("restore").log.read_text() == "what it did" and not came.exists()


def test_what_is_a_link_is_served_itself(data: Path, tmp_path: Path) -> None:
    job = make_job(data / "job", JOB)
    archive = Run.read(planned(tmp_path, job).folder.path).job.inputs.reimaging_resources
    archive.rename(tmp_path / archive.name)
    archive.symlink_to(Path("..", "..", archive.name))
    run = planned(tmp_path, job)
    pre(run, "restore")
    (served,) = Staging(run, planned_site(run)).folder.glob(f"*/{archive.name}")
    assert served.is_file() and not served.is_symlink()


def script(run: Run, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a DAG script of the run."""
    dag = run.folder.dag
    return subprocess.run([dag / "ccip-dag.sh", words[0], "..", *words[1:]], cwd=dag, text=True, capture_output=True)


def test_while_the_place_is_not_there_nothing_is_decided(data: Path, tmp_path: Path) -> None:
    """A disk that is not mounted for a while: a tar that came back stays, and its node is not skipped."""
    run = planned(tmp_path, make_job(tmp_path / "job", JOB))
    pre(run, "restore")
    came = Staging(run, planned_site(run)).output("restore", read_attempt(run, "restore"))
    with tarfile.open(came, "w") as tar:
        add_member(tar, "nodes/restore/node.log", b"what it did")
    data.rename(tmp_path / "gone")
    data.mkdir()
    for words in (("post", "restore", "31", "0", "2"), ("pre", "restore"), ("pre", "image_spw02"), ("final", "2")):
        done = script(run, *words)
        assert done.returncode == 12 and "is gone. Bring it back" in done.stderr, words
    assert "is gone" in ccip_batch("status", run.folder.path).stdout
    assert not list(data.iterdir())
    data.rmdir()
    (tmp_path / "gone").rename(data)
    pre(run, "restore")
    assert run.node("restore").log.read_text() == "what it did"


def test_a_link_of_the_users_is_no_place(tmp_path: Path) -> None:
    """Somebody keeps `nodes` on another disk, beside other things."""
    (tmp_path / "here.yaml").write_text(SITE)
    job = make_job(tmp_path / "job", JOB)
    assert ccip_batch("plan", job, "--run-dir", tmp_path / "run", CCIP_SITES=str(tmp_path)).returncode == 0
    (tmp_path / "disk" / "nodes").mkdir(parents=True)
    (tmp_path / "run" / "nodes").symlink_to(tmp_path / "disk" / "nodes")
    run = Run.read(tmp_path / "run")
    assert Staging(run, planned_site(run)).folder == run.folder.dag / "transfer"
    assert pre(run, "restore").parent == run.folder.dag / "transfer"


def test_a_plan_that_was_cut_off_is_not_submitted(data: Path, tmp_path: Path) -> None:
    run = planned(tmp_path, make_job(tmp_path / "job", JOB))
    (run.folder.dag / "ccip.dag").unlink()  # as after a kill of `plan`, which writes it last
    done = ccip_batch("submit", run.folder.path, CCIP_SITES=str(tmp_path))
    assert done.returncode == 12 and "did not come to its end" in done.stderr


def test_another_address_than_that_of_the_plan(data: Path, tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text(f"{SITE}urls:\n  {data}: {URL}\n")
    job = make_job(tmp_path / "job", JOB)
    assert ccip_batch("plan", job, "--run-dir", data / "run", CCIP_SITES=str(tmp_path)).returncode == 0
    (data / "run").rename(data / "moved")
    done = ccip_batch("submit", data / "moved", CCIP_SITES=str(tmp_path))
    assert done.returncode == 12 and "another address" in done.stderr
