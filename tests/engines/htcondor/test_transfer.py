"""What nodes get and give by file transfer: exactly that, and nothing that an archive could do besides."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.finished_runs import write_result
from helpers.input_files import add_member, make_job
from helpers.simulated_runs import ccip_batch

from ccip_batch.engines.htcondor.transfer import (
    pack_input,
    pack_output,
    unpack_checkpoint,
    unpack_input,
    unpack_output,
)
from ccip_batch.errors import DataError
from ccip_batch.run.checksums import ProductFile
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
    target = run.folder.path / "x.in.tar"
    pack_input(run, node, target)
    with tarfile.open(target) as tar:
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
    pack_input(run, node, tmp_path / "x.in.tar")
    sandbox = tmp_path / "sandbox"
    unpack_input(tmp_path / "x.in.tar", sandbox)
    there = Run.read(sandbox)
    folder = there.node(node)
    folder.out.mkdir()
    (folder.out / "new.fits").write_text("new")
    folder.result.write_text("new")
    given = tmp_path / "x.out.tar"
    pack_output(there, node, given)
    assert unpack_output(run, node, given)
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


def test_nothing_was_given_back(run: Run, tmp_path: Path) -> None:
    node = run.graph["image_spw02"]
    given = tmp_path / "x.out.tar"
    assert not unpack_output(run, node, given)
    with tarfile.open(given, "w"):
        pass
    assert not unpack_output(run, node, given)
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
def test_an_archive_from_a_strange_machine_is_not_trusted(name: str, kind: bytes, run: Run, tmp_path: Path) -> None:
    node = run.graph["image_spw02"]
    with tarfile.open(tmp_path / "x.out.tar", "w") as tar:
        add_member(tar, name, b"" if kind != tarfile.REGTYPE else b"evil", type=kind, linkname="/etc/passwd")
    with pytest.raises(DataError):
        unpack_output(run, node, tmp_path / "x.out.tar")
    assert run.node(node).result.read_text() == "nodes/image_spw02/result.json"
    assert not (run.node(node).path / ".incoming").exists()


def test_a_cut_archive_leaves_what_was_there(run: Run, tmp_path: Path) -> None:
    node = run.graph["image_spw02"]
    given = tmp_path / "x.out.tar"
    pack_output(run, node, given)
    given.write_bytes(given.read_bytes()[:700])
    with pytest.raises(DataError, match="damaged"):
        unpack_output(run, node, given)
    assert run.node(node).result.exists()


PRODUCTS = ("a.spw02.V.iter3.image.pbcor.tt0.subim.fits", "a.spw02.IQU.iter3.image.pbcor.tt0.subim.fits")
MADE = ("SHA256SUMS", "a.report.tgz")
"""What `publish` makes itself."""


@pytest.fixture
def exported(run: Run) -> Run:
    """The same with a plane that was exported."""
    node = run.graph["export_spw02"]
    folder = run.node(node).out
    folder.mkdir(parents=True)
    for name in PRODUCTS:
        (folder / name).write_text(f"SIMPLE  = {name:70}{'END':80}".ljust(2880) + "pixels")
    write_result(run, "export_spw02", [ProductFile.of(folder / name) for name in PRODUCTS])
    (run.node("image_spw03_04").path / "failure.json").write_text("of image")
    (run.folder.dag / "pool.json").write_text("of the pool")
    return run


def given(run: Run) -> Path:
    """The tar that `publish` gets."""
    return run.folder.path / "x.in.tar"


def gave(run: Run) -> Path:
    """The tar that it gives back."""
    return run.folder.path / "x.out.tar"


def published(run: Run, sandbox: Path, made: Sequence[str] = MADE) -> Run:
    """What `publish` leaves in a sandbox. made: files that it makes."""
    unpack_input(given(run), sandbox)
    there = Run.read(sandbox)
    there.folder.products.mkdir()
    for name in made:
        (there.folder.products / name).write_text(name)
    own = [ProductFile.of(path) for path in sorted(there.folder.products.iterdir())]
    result = there.result("export_spw02")
    assert result is not None
    write_result(there, "publish", [*result.files, *own])
    return there


def test_publish_gets_all_results_and_of_the_planes_what_it_computes_on(exported: Run) -> None:
    planes = {f"planes/spw02/{PRODUCTS[0]}", f"planes/spw02/{PRODUCTS[1]}.header", "nodes/export_spw02/result.json"}
    records = {f"nodes/{node}/result.json" for node in ("restore", "image_spw02", "image_spw03_04", "analyze")}
    images = {
        f"nodes/image_{group}/{name}" for group in ("spw02", "spw03_04") for name in ("casa.log", "out/previews.npz")
    }
    inputs = {"inputs/seip_parameter_list/SEIP_parameter.list", "inputs/ccip_parameter_list/CCIP_parameter.list"}
    others = {"dag/pool.json", "nodes/image_spw03_04/failure.json"}
    assert packed(exported, "publish") == planes | records | images | inputs | others
    with tarfile.open(given(exported)) as tar:
        assert tar.getmember(f"planes/spw02/{PRODUCTS[1]}.header").size == 2880


def test_a_sandbox_knows_that_it_is_a_part(exported: Run, tmp_path: Path) -> None:
    node = exported.graph["export_spw02"]
    (exported.node(node).out / PRODUCTS[1]).unlink()
    assert not exported.is_done(node)
    (exported.node(node).out / PRODUCTS[1]).write_text(f"SIMPLE  = {PRODUCTS[1]:70}{'END':80}".ljust(2880) + "pixels")
    pack_input(exported, exported.graph["publish"], given(exported))
    unpack_input(given(exported), tmp_path / "sandbox")
    there = Run.read(tmp_path / "sandbox")
    assert there.result(node) is not None and not (there.node(node).out / PRODUCTS[1]).exists()
    assert there.is_done(node), "its files were looked at where they are"
    assert there.folder.part.exists() and not exported.folder.part.exists()


def test_a_plane_that_is_not_whole_is_not_published(exported: Run) -> None:
    (exported.node("export_spw02").out / PRODUCTS[1]).write_text("cut")
    with pytest.raises(DataError, match=r"IQU.* has 3 bytes instead of 2886. Run again: its plane is exported anew"):
        pack_input(exported, exported.graph["publish"], given(exported))


def test_products_come_together_where_the_planes_are(exported: Run, tmp_path: Path) -> None:
    node = exported.graph["publish"]
    pack_input(exported, node, given(exported))
    there = published(exported, tmp_path / "sandbox")
    pack_output(there, node, gave(exported))
    assert gave(exported).stat().st_size < 20480
    assert unpack_output(exported, node, gave(exported))
    products = exported.folder.products
    assert {path.name for path in products.iterdir()} == {*PRODUCTS, *MADE}
    for name in PRODUCTS:
        assert (products / name).samefile(exported.node("export_spw02").out / name)
    assert exported.result("publish") is not None


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("plane gone", "is gone"),
        ("plane changed", "as another file than"),
        ("plane given", "as another file than"),
        ("not given", "did not give back what its result lists.*a.report.tgz"),
        ("not listed", "did not give back what its result lists.*more.fits"),
        ("no result", "no result that lists them"),
    ],
)
def test_products_that_are_not_whole_are_refused_as_a_whole(
    fault: str, cause: str, exported: Run, tmp_path: Path
) -> None:
    node = exported.graph["publish"]
    exported.folder.products.mkdir()
    (exported.folder.products / "before").touch()
    pack_input(exported, node, given(exported))
    there = published(exported, tmp_path / "sandbox")
    plane = exported.node("export_spw02").out / PRODUCTS[1]
    if fault == "plane gone":
        plane.unlink()
    elif fault == "plane changed":
        plane.write_text(plane.read_text().replace("pixels", "PIXELS"))
        write_result(exported, "export_spw02", [ProductFile.of(plane.parent / name) for name in PRODUCTS])
    elif fault == "plane given":
        shutil.copy(plane, there.folder.products)
    elif fault == "not given":
        (there.folder.products / MADE[1]).unlink()
    elif fault == "not listed":
        (there.folder.products / "more.fits").touch()
    pack_output(there, node, gave(exported))
    if fault == "no result":
        with tarfile.open(gave(exported), "w") as tar:
            add_member(tar, "products/a.fits", b"x")
    with pytest.raises(DataError, match=cause):
        unpack_output(exported, node, gave(exported))
    assert [path.name for path in exported.folder.products.iterdir()] == ["before"]
    assert exported.result("publish") is None
