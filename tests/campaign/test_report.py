"""The report of a campaign: what the page says of squares in every state, and the table of planes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units
from astropy.table import Table
from helpers.campaign_squares import CAUSES, HOSTILE, make_campaign, sky_grid, state_of
from helpers.report_page import Page

from ccip_batch.campaign import report
from ccip_batch.campaign.config import CampaignFolder
from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.campaign.report.gathering import group_medians
from ccip_batch.campaign.report.maps import extent
from ccip_batch.campaign.summary import NAME, SquareSummary

NUMBER = 200


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 of 200 squares have ended, 5 of them failed; two reports were written, one over the other."""
    folder = make_campaign(tmp_path_factory.mktemp("campaigns") / "epoch", sky_grid(NUMBER))
    assert report.write(state_of(folder)) == report.write(state_of(folder)) == folder / "report" / "index.html"
    return folder


@pytest.fixture(scope="module")
def page(campaign: Path) -> Page:
    return Page(campaign / "report" / "index.html")


@pytest.fixture(scope="module")
def data(campaign: Path) -> dict[str, Any]:
    return data_of(campaign)


@pytest.fixture(scope="module")
def planes(campaign: Path) -> Table:
    return Table.read(campaign / "summary.ecsv")


def data_of(folder: Path) -> dict[str, Any]:
    """What the scripts of the page read."""
    text = (folder / "report" / "squares.js").read_text()
    return dict(json.loads(text.removeprefix("globalThis.CAMPAIGN = ").removesuffix(";\n")))


def summaries(folder: Path) -> dict[str, SquareSummary]:
    found = [SquareSummary.model_validate_json(path.read_bytes()) for path in folder.glob(f"squares/*/*/{NAME}")]
    return {summary.name: summary for summary in found}


def test_files_are_there_and_all_linked(campaign: Path, page: Page) -> None:
    folder = campaign / "report"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert page.files == there - {"index.html"} | {"../summary.ecsv"}
    assert sorted(path.name for path in campaign.iterdir()) == [
        "campaign.csv", "campaign.yaml", "dag", "report", "squares", "summary.ecsv"
    ]  # fmt: skip


def test_counts_and_failures(page: Page) -> None:
    assert "Under way: 175 of 200 squares done, 5 failed, 3 at work" in page.text
    for words in ("17 waiting", "3 at work", "175 done", "5 failed"):
        assert words in page.text, words
    assert [row["data-cause"] for row in page.rows if "data-cause" in row] == ["memory", *sorted(CAUSES[1:])]


def test_squares_by_column(campaign: Path, data: dict[str, Any]) -> None:
    found = summaries(campaign)
    for i, name in enumerate(data["name"]):
        place = campaign / "squares" / data["tiles"][data["tile"][i]] / name
        assert (data["report"][i] == "1") == (place / "report" / "index.html").exists()
        if name in found:
            counts = found[name].counts()
            rms = np.median([p.rms_i_jy for p in found[name].planes if p.state == "kept"]) * 1e3
            assert (data["kept"][i], data["planes"][i]) == (counts["kept"], 16)
            assert data["rms"][i] == pytest.approx(rms, abs=1e-4)
            assert data["ra"][i] == pytest.approx(found[name].ra_deg, abs=1e-3)
        else:
            assert data["rms"][i] is data["deviation"][i] is None
            assert data["planes"][i] == -1
            assert data["dec"][i] == pytest.approx(sky_grid(NUMBER)[i][1])  # from its name
    columns = [value for value in data.values() if isinstance(value, list | str) and len(value) == NUMBER]
    assert len(columns) == 15


def test_noisy_squares_are_the_outliers(data: dict[str, Any]) -> None:
    """Every 90th square has three times the noise."""
    order = sorted(range(NUMBER), key=lambda i: -(data["deviation"][i] or 0))
    assert set(order[:2]) == {11, 101}
    assert all(data["levels"]["rms"][i] == "6" for i in (11, 101))


def test_a_square_is_not_noisy_because_its_spws_are(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path / "few", sky_grid(30), waiting=0)
    path = sorted(folder.glob(f"squares/*/*/{NAME}"))[0]
    summary = SquareSummary.model_validate_json(path.read_bytes())
    noisy = tuple(plane for plane in summary.planes if plane.spw in ("3", "4"))
    path.write_text(summary.model_copy(update={"planes": noisy}).model_dump_json())
    report.write(state_of(folder))
    found = data_of(folder)
    index = found["name"].index(summary.name)
    assert found["rms"][index] > 1.3 * np.median([rms for rms in found["rms"] if rms])
    assert found["levels"]["rms"][index] == "0" and found["levels"]["kept"][index] == "6"


def test_every_plane_has_a_row(campaign: Path, planes: Table) -> None:
    found = summaries(campaign)
    assert len(planes) == 16 * len(found) == 16 * 177
    assert planes["frequency"].unit == units.Hz and planes["rms"].unit == units.Jy / units.beam
    assert planes["ra"].unit == units.deg and planes["beam_major"].unit == units.arcsec
    assert all(planes[name].description for name in planes.colnames)
    row = planes[planes["state"] == "rejected"][0]
    (plane,) = (p for p in found[row["square"]].planes if p.spw == row["spw"])
    assert row["rms"] == pytest.approx(plane.rms_i_jy, rel=1e-4)
    assert row["beam_major"] == pytest.approx(plane.beam_major_arcsec, rel=1e-4)
    assert (row["reason"], row["sha256"], row["square_state"]) == (plane.reason, plane.sha256, "done")
    assert Path(row["file"]).parts[0] == "squares" and Path(row["file"]).name == plane.file


def test_what_is_not_known_is_masked(planes: Table) -> None:
    empty = planes["state"] == "empty"
    assert empty.sum() == 24
    for name in ("frequency", "beam_major", "beam_minor", "beam_pa", "rms", "flagged", "file", "sha256"):
        assert np.array_equal(planes[name].mask, empty), name


def test_hostile_words_stay_words(campaign: Path, data: dict[str, Any]) -> None:
    html = (campaign / "report" / "index.html").read_text()
    assert HOSTILE in data["causes"] and "&lt;/script&gt;" in html
    assert html.count("<script") == 3 and "<img src=x" not in html and "{{ 7 * 7 }}" in html
    assert "<" not in (campaign / "report" / "squares.js").read_text()


def test_hostile_summary(tmp_path: Path) -> None:
    """Line breaks do not tear a row, a place off the sky is not believed, a damaged summary is no summary."""
    folder = make_campaign(tmp_path / "few", sky_grid(3), waiting=0)
    first, second, third = sorted(folder.glob(f"squares/*/*/{NAME}"))
    summary = SquareSummary.model_validate_json(first.read_bytes())
    plane = summary.planes[0].model_copy(update={"state": HOSTILE, "reason": 'a\r\n"b",\x00c', "spw": "2,3"})
    update = {"planes": (plane,), "ra_deg": 1e300, "name": "../../x"}
    first.write_text(summary.model_copy(update=update).model_dump_json())
    second.write_text("{damaged")
    third.unlink()
    html = report.write(state_of(folder)).read_text()
    assert "<img src=x" not in html and "2+3" in html
    (row,) = Table.read(folder / "summary.ecsv")
    assert (row["square"], row["reason"], row["spw"]) == (first.parent.name, 'a "b", c', "2,3")
    assert row["state"].startswith("</script>")
    found = data_of(folder)
    assert found["ra"][found["name"].index(first.parent.name)] < 360
    assert len([name for name in found["name"] if not name.startswith("VLASS")]) == 0


def test_products_elsewhere(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path / "few", sky_grid(3), waiting=0)
    places = ["/archive/T1/a", str(folder / "products" / "b"), f"/before/{folder.name}/squares/{{}}/{{}}/products"]
    for path, place in zip(sorted(folder.glob(f"squares/*/*/{NAME}")), places, strict=True):
        summary = SquareSummary.model_validate_json(path.read_bytes())
        products = place.format(summary.tile, summary.name)
        path.write_text(summary.model_copy(update={"products": products}).model_dump_json())
        places[places.index(place)] = products.removeprefix(f"/before/{folder.name}/").removeprefix(f"{folder}/")
    report.write(state_of(folder))
    assert {os.path.dirname(file) for file in Table.read(folder / "summary.ecsv")["file"]} == set(places)  # noqa: PTH120


def test_before_anything_has_begun(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path / "new", [(10.0, 20.0), (11.0, 20.0)], waiting=1)
    CampaignFolder(folder).journal.unlink()
    page = Page(report.write(state_of(folder, alive=False)))
    assert "Not begun: 2 squares." in page.text and "No square has ended yet." in page.text
    assert "Failures" not in page.text
    table = Table.read(folder / "summary.ecsv")
    assert len(table) == 0 and "sha256" in table.colnames


def test_all_failed_and_names_without_a_place(tmp_path: Path) -> None:
    folder = tmp_path / "named"
    folder.mkdir()
    (folder / "campaign.csv").write_text("name\na\nb\nc:d\n")
    (folder / "campaign.yaml").write_text("table: campaign.csv\njob: {}\n")
    Journal(CampaignFolder(folder).journal).write([Entry(name, "failed", cause="data", text="no") for name in "ab"])
    page = Page(report.write(state_of(folder, alive=False)))
    assert "Ended: 0 of 2 squares done, 2 failed." in page.text
    assert "The place of no square is known yet." in page.text
    assert "c:d" in page.text and "is not a name" in page.text


def test_stopped_squares(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path / "stopped", sky_grid(20))
    page = Page(report.write(state_of(folder, alive=False)))
    assert "Nothing works on it now: 17 of 20 squares done, 1 failed." in page.text and "1 stopped" in page.text


@pytest.mark.parametrize("broken", ["gathering.read_summary", "page.histograms"])
def test_a_report_that_cannot_be_written_leaves_the_old_one(
    campaign: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    before = {path: path.read_bytes() for path in (campaign / "summary.ecsv", campaign / "report" / "index.html")}

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(f"ccip_batch.campaign.report.{broken}", fail)
    with pytest.raises(OSError, match="no space"):
        report.write(state_of(campaign))
    assert {path: path.read_bytes() for path in before} == before
    assert not list(campaign.glob(".*part*"))


def test_group_medians() -> None:
    values = np.array([3.0, 1.0, np.nan, 2.0, 10.0, 20.0, np.nan])
    group = np.array([0, 0, 0, 0, 2, 2, 3])
    assert np.array_equal(group_medians(values, group, 4), [2.0, np.nan, 15.0, np.nan], equal_nan=True)
    assert not len(group_medians(values[:0], group[:0], 0))


def test_extent_is_not_torn_at_right_ascension_zero() -> None:
    where = extent(np.array([355.0, 3.0, 0.0]), np.array([10.0, 12.0, 11.0]))
    assert where is not None and where.width < 10
    assert all(0 < (ra - where.west) % 360 < where.width for ra in (355.0, 0.0, 3.0))
    whole = extent(np.arange(0.0, 360, 2), np.full(180, -40.0))
    assert whole is not None and (whole.west, whole.width) == (0, 360) and whole.north - whole.south > 30
    pole = extent(np.array([12.0]), np.array([90.0]))
    assert pole is not None and pole.north == 90
    assert extent(np.array([]), np.array([])) is None
