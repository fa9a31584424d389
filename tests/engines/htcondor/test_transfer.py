"""What nodes get and give by file transfer: exactly that, and nothing that an archive could do besides."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest
from helpers.input_files import add_member, make_job
from helpers.simulated_runs import ccip_batch

from ccip_batch.engines.htcondor.transfer import (
    input_name,
    output_name,
    pack_input,
    pack_output,
    unpack_checkpoint,
    unpack_input,
    unpack_output,
)
from ccip_batch.errors import DataError
from ccip_batch.run.run import Run

TEXT = "imaging: {spw: ['2', '3,4']}\nexecution: {engine: htcondor, site: local}\n"
RESTORED = (
    "result.json",
    "out/spw02.ms/table.dat",
    "out/spw03_04.ms/table.dat",
    "out/tier1.mask/f",
    "out/tier2.mask/f",
)
IMAGED = (
    "result.json", "casa.log", "out/samples.npz", "out/previews.npz", "out/a.fits", "out/image.pbcor.subim/table.dat",
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A planned run with files where nodes leave them."""
    job = make_job(tmp_path / "job", TEXT)
    done = ccip_batch("plan", job, "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = Run.read(tmp_path / "run")
    files = [f"nodes/restore/{name}" for name in RESTORED]
    files += [f"nodes/image_{group}/{name}" for group in ("spw02", "spw03_04") for name in IMAGED]
    files += ["nodes/analyze/result.json", "nodes/image_spw02/checkpoint/state.json"]
    for name in files:
        (run.folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.folder.path / name).write_text(name)
    return run


def packed(run: Run, name: str) -> set[str]:
    """Files in the tar that a node gets, without those that all get."""
    node = run.graph[name]
    pack_input(run, node)
    with tarfile.open(input_name(run, node)) as tar:
        files = {member.name for member in tar if member.isfile()}
    everybody = {"job.resolved.yaml", "dag/inputs.json"}
    assert everybody <= files
    return files - everybody


def test_a_plane_gets_its_own_visibilities_alone(run: Run) -> None:
    own = {"nodes/image_spw02/casa.log", "nodes/image_spw02/checkpoint/state.json"}
    files = packed(run, "image_spw02")
    assert own <= files
    assert files - own == {
        "nodes/restore/result.json",
        "nodes/restore/out/spw02.ms/table.dat",
        "nodes/restore/out/tier1.mask/f",
        "nodes/restore/out/tier2.mask/f",
    }


def test_analyze_gets_results_and_samples_alone(run: Run) -> None:
    images = {
        f"nodes/image_{group}/{name}" for group in ("spw02", "spw03_04") for name in ("result.json", "out/samples.npz")
    }
    assert packed(run, "analyze") == {"nodes/restore/result.json"} | images


def test_export_gets_its_plane(run: Run) -> None:
    assert packed(run, "export_spw02") == {
        "nodes/restore/result.json",
        "nodes/analyze/result.json",
        "nodes/image_spw02/result.json",
        "nodes/image_spw02/out/a.fits",
        "nodes/image_spw02/out/image.pbcor.subim/table.dat",
    }


def test_restore_gets_the_small_inputs(run: Run) -> None:
    assert packed(run, "restore") >= {
        "inputs/seip_parameter_list/SEIP_parameter.list",
        "inputs/ccip_parameter_list/CCIP_parameter.list",
    }


def test_what_was_given_back_replaces_what_was_there(run: Run, tmp_path: Path) -> None:
    node = run.graph["image_spw02"]
    pack_input(run, node)
    sandbox = tmp_path / "sandbox"
    unpack_input(input_name(run, node), sandbox)
    there = Run.read(sandbox)
    folder = there.node(node)
    folder.out.mkdir()
    (folder.out / "new.fits").write_text("new")
    folder.result.write_text("new")
    pack_output(there, node, output_name(run, node))
    assert unpack_output(run, node)
    assert sorted(path.name for path in run.node(node).out.iterdir()) == ["new.fits"]
    assert run.node(node).result.read_text() == "new"
    assert (run.node(run.graph["image_spw03_04"]).out / "a.fits").exists()


def test_a_checkpoint_comes_back(run: Run, tmp_path: Path) -> None:
    node = run.graph["image_spw02"]
    run.node(node).result.unlink()
    tar = tmp_path / "x.out.tar"
    pack_output(run, node, tar)
    with tarfile.open(tar) as given:
        assert not any("/out" in name for name in given.getnames())
    (tmp_path / "new").mkdir()
    shutil.copy(run.folder.resolved, tmp_path / "new")
    fresh = Run.read(tmp_path / "new")
    unpack_checkpoint(tar, fresh, node)
    assert (fresh.node(node).checkpoint / "state.json").read_text().endswith("state.json")


def test_nothing_was_given_back(run: Run) -> None:
    node = run.graph["image_spw02"]
    assert not unpack_output(run, node)
    with tarfile.open(output_name(run, node), "w"):
        pass
    assert not unpack_output(run, node)
    assert run.node(node).result.exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("nodes/image_spw02/../../../evil", tarfile.REGTYPE),
        ("/tmp/evil", tarfile.REGTYPE),
        ("job.resolved.yaml", tarfile.REGTYPE),
        ("nodes/restore/result.json", tarfile.REGTYPE),
        ("nodes/image_spw02/casa.log", tarfile.SYMTYPE),
        ("nodes/image_spw02/casa.log", tarfile.FIFOTYPE),
    ],
)
def test_an_archive_from_a_strange_machine_is_not_trusted(name: str, kind: bytes, run: Run) -> None:
    node = run.graph["image_spw02"]
    with tarfile.open(output_name(run, node), "w") as tar:
        add_member(tar, name, b"" if kind != tarfile.REGTYPE else b"evil", type=kind, linkname="/etc/passwd")
    with pytest.raises(DataError):
        unpack_output(run, node)
    assert run.node(node).result.read_text() == "nodes/image_spw02/result.json"
    assert not (run.node(node).path / ".incoming").exists()


def test_a_cut_archive_leaves_what_was_there(run: Run) -> None:
    node = run.graph["image_spw02"]
    pack_output(run, node, output_name(run, node))
    whole = output_name(run, node).read_bytes()
    output_name(run, node).write_bytes(whole[:700])
    with pytest.raises(DataError, match="damaged"):
        unpack_output(run, node)
    assert run.node(node).result.exists()
