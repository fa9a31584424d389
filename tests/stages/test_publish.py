"""Publishing a finished run once more, into another folder."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from astropy.io import fits

from ccip_batch.errors import DataError
from ccip_batch.job.config import ResolvedJob
from ccip_batch.products.provenance import CRATE, Provenance
from ccip_batch.run.results import NodeResult, read_result
from ccip_batch.stages.publish import CHECKSUMS, MANIFEST, Published, pack_logs, publish_products
from ccip_batch.workflow.graph import build_graph

GROUPS = {"10": "spw10", "12,13": "spw12_13", "17": "spw17"}


@pytest.fixture(scope="module")
def run(finished: Path) -> Provenance:
    job = ResolvedJob.from_yaml((finished / "job.resolved.yaml").read_text())
    graph = build_graph(job.groups)
    read = {node.name: read_result(finished / "nodes" / node.name / "result.json") for node in graph.nodes}
    return Provenance(job, graph, {"vis": "of vis"}, {name: one for name, one in read.items() if one}, "of publish")


def planes_of(run: Provenance, finished: Path, *left_out: str) -> dict[str, tuple[Path, NodeResult]]:
    return {
        spw: (finished / "planes" / name, run.results[f"export_{name}"])
        for spw, name in GROUPS.items()
        if spw not in left_out
    }


@pytest.fixture(scope="module")
def published(run: Provenance, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Published]:
    """Without plane 10, which is said to have failed, and without a report."""
    folder = tmp_path_factory.mktemp("published")
    planes = planes_of(run, finished, "10")
    return folder, publish_products(run, planes, ["10"], finished / "nodes", None, folder)


def test_every_file_is_named_with_its_checksum(published: tuple[Path, Published]) -> None:
    folder, found = published
    assert {file.name for file in found.files} == {path.name for path in folder.iterdir()}
    sums = dict(reversed(line.split("  ")) for line in (folder / CHECKSUMS).read_text().splitlines())
    assert sums == {file.name: file.sha256 for file in found.files if file.name != CHECKSUMS}
    assert found.failed == ["10"]
    assert not [name for name in sums if ".spw10." in name or "report" in name]


def test_planes_are_the_same_files(published: tuple[Path, Published], finished: Path) -> None:
    folder, _ = published
    made = sorted(path.name for path in folder.glob("*.spw*.fits"))
    assert len(made) == 12  # of each of two planes image and rms, and the image in the common beam; IQU and V
    for name in made:
        assert (folder / name).samefile(next(finished.glob(f"planes/*/{name}")))


def test_a_part_has_the_same_files_but_those_of_the_planes(
    published: tuple[Path, Published], run: Provenance, finished: Path, tmp_path: Path
) -> None:
    """In a sandbox of the planes' files only V images are there."""
    folder, whole = published
    planes = {}
    for spw, (place, result) in planes_of(run, finished, "10").items():
        planes[spw] = (tmp_path / place.name, result)
        shutil.copytree(place, tmp_path / place.name, ignore=shutil.ignore_patterns("*.IQU.*", "*.rms.*", "*.com.fits"))
    (tmp_path / "products").mkdir()
    found = publish_products(run, planes, ["10"], finished / "nodes", None, tmp_path / "products", part=True)
    names = {path.name for path in folder.iterdir()}
    assert {path.name for path in (tmp_path / "products").iterdir()} == {name for name in names if ".spw" not in name}
    assert [file.name for file in found.files] == [file.name for file in whole.files]
    mean = next(folder.glob("*.V_mean_*")).name
    assert fits.getdata(folder / mean).tobytes() == fits.getdata(tmp_path / "products" / mean).tobytes()


def test_a_plane_that_is_cut_is_named(run: Provenance, finished: Path, tmp_path: Path) -> None:
    place, result = planes_of(run, finished)["17"]
    shutil.copytree(place, tmp_path / "spw17")
    victim = next((tmp_path / "spw17").glob("*.IQU.*.com.fits"))
    victim.write_bytes(b"cut")
    (tmp_path / "products").mkdir()
    with pytest.raises(DataError, match="has 3 bytes instead of"):
        publish_products(run, {"17": (tmp_path / "spw17", result)}, [], finished / "nodes", None, tmp_path / "products")


def test_the_mean_v_image_is_of_the_kept_planes_and_can_be_traced(published: tuple[Path, Published]) -> None:
    header = fits.getheader(next(published[0].glob("*.V_mean_minmaxrej.subim.fits")))
    assert header["NPLANES"] == 2 and header["CCIPNODE"] == "of publish"


def test_without_a_plane_there_is_no_mean(run: Provenance, finished: Path, tmp_path: Path) -> None:
    found = publish_products(run, {}, list(GROUPS), finished / "nodes", None, tmp_path)
    assert not list(tmp_path.glob("*.fits")) and found.failed == list(GROUPS)


def test_the_manifest_lists_the_images_and_what_lies_beside_them(published: tuple[Path, Published]) -> None:
    root = ElementTree.parse(published[0] / MANIFEST).getroot()
    kinds = [(element.get("imtype"), ".rms." in str(element.get("name"))) for element in root.iter("image")]
    assert sorted(kinds) == [("image", False)] * 5 + [("rms", True)] * 4
    assert [element.get("name") for element in root.iter("provenance")] == [CRATE]
    assert root.find("report") is None and root.find("logs") is not None


def test_a_report_is_packed(run: Provenance, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "index.html").write_text("page")
    (tmp_path / "products").mkdir()
    publish_products(run, {}, [], finished / "nodes", tmp_path / "made", tmp_path / "products")
    with tarfile.open(next((tmp_path / "products").glob("*.report.tgz"))) as tar:
        assert "report/index.html" in tar.getnames()


def test_logs_lose_the_folders_of_the_machine(run: Provenance, tmp_path: Path) -> None:
    log = tmp_path / "nodes" / "restore" / "casa.log"
    log.parent.mkdir(parents=True)
    vis = run.job.inputs.vis
    log.write_text(f"read {vis}/ANTENNA, wrote /scratch/me/run/nodes/image_spw17/out and /usr/lib\n")
    (log.parent / "other.txt").write_text("no log")
    pack_logs(run.job, tmp_path / "nodes", tmp_path / "logs.tgz")
    with tarfile.open(tmp_path / "logs.tgz") as tar:
        assert tar.getnames() == ["restore/casa.log"]
        member = tar.extractfile("restore/casa.log")
        assert member is not None
        text = member.read().decode()
    assert f"read INPUTS/{vis.name}/ANTENNA" in text and "/usr/lib" in text
    assert "RUN/nodes/image_spw17/out" in text and "me/run" not in text
