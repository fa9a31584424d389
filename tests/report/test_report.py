"""The report of a finished job, of its parts that are missing, and of one that failed in restorepims."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import tarfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from helpers.report_runs import failed_restore
from helpers.simulated_runs import ccip_batch

from ccip_batch.imaging.previews import Previews
from ccip_batch.run.results import NodeResult

STOKES = "IQUV"


class Page(HTMLParser):
    """What a page names, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.files: set[str] = set()
        self.text = ""
        self.rows: list[dict[str, str | None]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "tr":
            self.rows.append(found)
        for name in ("href", "src"):
            value = found.get(name)
            if value and not value.startswith(("#", "data:")):
                self.files.add(unquote(value))
        if found.get("data-layers"):
            self.files.update(json.loads(found["data-layers"] or "{}").values())

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def run(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run without images, with a report that was made where CASA cannot be imported."""
    copy = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(finished, copy, ignore=shutil.ignore_patterns("work", "*.ms", "*.mask", "*.subim", "report"))
    for node in ("restore", *(path.name for path in copy.glob("nodes/image_*"))):
        (copy / "nodes" / node / "cleaned").touch()
    program = (
        "import sys; sys.modules['casatools'] = sys.modules['casatasks'] = None\n"
        "from ccip_batch.cli import main; main(['report', sys.argv[1]])"
    )
    done = subprocess.run([sys.executable, "-c", program, copy], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(copy / "report" / "index.html")
    return copy


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return Page(run / "report" / "index.html")


def stage(run: Path, node: str, name: str) -> Any:
    records = json.loads((run / "nodes" / node / "result.json").read_text())["stages"]
    return next(record["result"] for record in records if record["name"] == name)


def test_names_only_files_that_are_there_and_all_of_them(run: Path, page: Page) -> None:
    there = {str(p.relative_to(run / "report")) for p in (run / "report").rglob("*") if p.is_file()}
    assert page.files <= there
    assert there - page.files == {"index.html"}


def test_needs_no_network(run: Path) -> None:
    for path in (run / "report").rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".svg"):
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
            assert not re.search(r"(https?:)?//[a-z]", text), path


def test_previews_of_every_imaged_plane(run: Path) -> None:
    for node in ("image_spw10", "image_spw12_13", "image_spw17"):
        previews = Previews.load(run / "nodes" / node / "out" / "previews.npz")
        kinds = {"image", "residual", "rms", "pb", "psf", "model", "mask", "tier1", "tier2"}
        kinds |= {f"iter{n}.{kind}" for n in range(4) for kind in ("image", "residual")}
        assert kinds <= previews.arrays.keys()
        peak = stage(run, node, "exportnative")["peak"]
        assert float(previews.arrays["image"][0][~(previews.arrays["image"][0] != previews.arrays["image"][0])].max()) \
            == pytest.approx(1e3 * peak, rel=1e-3)  # fmt: skip


def test_planes_and_nodes_have_a_row_each(page: Page) -> None:
    in_table = [row["data-spw"] for row in page.rows if "data-spw" in row]
    assert set(in_table) == {"9", "10", "12,13", "17"}
    assert len(in_table) == 4 * (1 + 5)  # the table, and five kinds of pictures
    nodes = {row["data-node"] for row in page.rows if "data-node" in row}
    assert {"restore", "image_spw10", "analyze", "export_spw17", "publish"} <= nodes and len(nodes) == 11


def test_verdict_and_products(run: Path, page: Page) -> None:
    assert "Done: 3 of 4 planes kept." in page.text
    assert "spw 9: completely flagged" in page.text
    for file in json.loads((run / "nodes" / "publish" / "result.json").read_text())["files"]:
        assert file["name"] in page.text and file["sha256"] in page.text


def test_numbers_are_those_of_the_results(run: Path, page: Page) -> None:
    statistics = stage(run, "image_spw10", "makecutoutimages")["statistics"]
    with (run / "report" / "plots" / "rms.csv").open() as stream:
        rows = {row["spw"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {"10", "12,13", "17"}
    for stokes in STOKES:
        assert float(rows["10"][f"rms_median_{stokes}_mjy_beam"]) == pytest.approx(
            1e3 * statistics[stokes]["rms_median"]
        )
        assert format(1e3 * statistics[stokes]["rms_median"], ".3g") in page.text


def test_fits_headers_are_shown(run: Path) -> None:
    headers = list((run / "report" / "headers").glob("*.txt"))
    assert len(headers) == 3 * 6
    assert all("VLASSRJ" in path.read_text() for path in headers)


def test_text(run: Path) -> None:
    done = ccip_batch("report", run, "--text")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Done: 3 of 4 planes kept.")
    assert "1 empty: spw 9 (completely flagged)" in done.stdout
    peak = stage(run, "image_spw17", "exportnative")["peak"]
    assert re.search(rf"17 .* kept .*{re.escape(format(peak * 1e3, '.4g'))} ", done.stdout)


def test_written_again_it_takes_the_place_of_the_old_one(run: Path) -> None:
    (run / "report" / "left_over.txt").write_text("old")
    assert ccip_batch("report", run).returncode == 0
    assert not (run / "report" / "left_over.txt").exists()
    assert not list(run.glob(".report*"))


def test_goes_without_previews_products_and_logs(run: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run, bare, ignore=shutil.ignore_patterns("*.npz", "*.log", "*.fits", "report"))
    done = ccip_batch("report", bare)
    assert done.returncode == 0, done.stderr
    page = Page(bare / "report" / "index.html")
    assert "No plane has pictures yet." in page.text
    assert page.files <= {str(p.relative_to(bare / "report")) for p in (bare / "report").rglob("*")}


def test_a_place_without_positive_intensity_is_left_out(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other, ignore=shutil.ignore_patterns("*.npz", "*.log", "*.fits", "report"))
    path = other / "nodes" / "analyze" / "result.json"
    result = json.loads(path.read_text())
    record = next(record for record in result["stages"] if record["name"] == "analyzestokescubes")
    first, second = record["result"]["stokes"]["places"]
    for plane in first["planes"]:
        plane["pixel"]["I"] = -1e-3
    NodeResult.model_validate(result).sealed().save(path)
    done = ccip_batch("report", other)
    assert done.returncode == 0, done.stderr
    for name in ("qu", "flux", "rotation"):
        with (other / "report" / "plots" / f"{name}.csv").open() as stream:
            assert {row["place"] for row in csv.DictReader(stream)} == {second["name"]}, name


def test_report_is_among_the_products(finished: Path) -> None:
    (path,) = finished.glob("products/*.report.tgz")
    with tarfile.open(path) as tar:
        names = tar.getnames()
    assert "report/index.html" in names and any(name.startswith("report/pictures/") for name in names)
    assert path.name in (finished / "products" / "pipeline_manifest.xml").read_text()


def test_failed_restorepims_names_every_missing_file(small_job: Path, tmp_path: Path) -> None:
    run = failed_restore(small_job, tmp_path)
    assert ccip_batch("report", run).returncode == 0
    page = Page(run / "report" / "index.html")
    assert "Failed before any plane could be imaged." in page.text
    assert page.text.count("✗ missing") == 2
    for pattern in ("QLcatmask-tier1.mask", "phase-self-cal.tbl"):
        assert re.search(rf"looked for \S*{re.escape(pattern)}", page.text), pattern
    assert f"ccip-batch node {run} restore" in page.text
    text = ccip_batch("report", run, "--text").stdout
    assert "tier-1 mask is missing" in text and "self-calibration table is missing" in text


def test_no_run_folder(tmp_path: Path) -> None:
    done = ccip_batch("report", tmp_path)
    assert done.returncode == 12 and "is not a run folder" in done.stderr
    assert not list(tmp_path.iterdir())
