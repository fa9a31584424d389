"""The report as a whole: of a finished job, with parts missing, and written again."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from helpers.report_page import Page
from helpers.report_runs import altered
from helpers.simulated_runs import ccip_batch

from ccip_batch.report import write_without_drawing
from ccip_batch.run.run import Run


def test_names_only_files_that_are_there_and_all_of_them(run: Path, page: Page) -> None:
    there = {str(p.relative_to(run / "report")) for p in (run / "report").rglob("*") if p.is_file()}
    assert page.files <= there
    assert there - page.files == {"index.html", "drawings.json"}


def test_written_anew_with_what_publish_drew(run: Path, tmp_path: Path) -> None:
    """The page tells the end of the run, which the report among the products could not; the pictures are its own."""
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("report", "*.npz"))  # nothing to draw from
    code = "import pathlib, sys; from ccip_batch import report; from ccip_batch.run.run import Run;"
    code += f"run = Run.read(pathlib.Path({str(tmp_path / 'run')!r}));"
    code += "print(report.write_without_drawing(run), 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, draws = done.stdout.split()
    assert draws == "False"
    written = Path(name)
    page = Page(written)
    there = {str(p.relative_to(written.parent)) for p in written.parent.rglob("*") if p.is_file()}
    assert page.files <= there and there - page.files == {"index.html", "drawings.json"}
    assert any(name.startswith("pictures/") for name in page.files)
    assert "Publishing" not in page.text and "3 of 4 planes kept" in page.text


def test_without_publish_it_is_written_without_drawings(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("report"))
    (tmp_path / "run" / "nodes" / "publish" / "result.json").unlink()
    page = Page(write_without_drawing(Run.read(tmp_path / "run")))
    assert not any(name.startswith(("pictures/", "plots/")) for name in page.files)
    assert f"ccip-batch report {tmp_path / 'run'}" in page.text and "export_spw17" in page.text


def test_needs_no_network(run: Path) -> None:
    for path in (run / "report").rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".svg"):
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
            assert not re.search(r"(https?:)?//[a-z]", text), path


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
    names = []

    def darken(result: Any) -> None:
        first, second = result["stokes"]["places"]
        names.append(second["name"])
        for plane in first["planes"]:
            plane["pixel"]["I"] = -1e-3

    other = altered(run, tmp_path / "other", "analyze", "analyzestokescubes", darken)
    done = ccip_batch("report", other)
    assert done.returncode == 0, done.stderr
    for name in ("qu", "flux", "rotation"):
        with (other / "report" / "plots" / f"{name}.csv").open() as stream:
            assert {row["place"] for row in csv.DictReader(stream)} == set(names), name


def test_report_is_among_the_products(finished: Path) -> None:
    (path,) = finished.glob("products/*.report.tgz")
    with tarfile.open(path) as tar:
        names = tar.getnames()
    assert "report/index.html" in names and any(name.startswith("report/pictures/") for name in names)
    assert path.name in (finished / "products" / "pipeline_manifest.xml").read_text()


def test_every_product_is_named_with_its_checksum(run: Path, page: Page) -> None:
    for file in json.loads((run / "nodes" / "publish" / "result.json").read_text())["files"]:
        assert file["name"] in page.text and file["sha256"] in page.text


def test_text(run: Path) -> None:
    done = ccip_batch("report", run, "--text")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Done: 3 of 4 planes kept.")


def test_no_run_folder(tmp_path: Path) -> None:
    done = ccip_batch("report", tmp_path)
    assert done.returncode == 12 and "is not a run folder" in done.stderr
    assert not list(tmp_path.iterdir())
