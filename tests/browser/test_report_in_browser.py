"""The reports of three real runs (good, failed in restorepims, under way with a failed plane) in headless Chromium.

Screenshots are left in build/browser/screenshots.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.opened_pages import LOOKS, SHOTS, Browser, Opened, expect
from helpers.report_runs import failed_restore, under_way
from helpers.simulated_runs import ccip_batch

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def runs(small_job: Path, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The three runs, each with its report; that of the good one is a copy outside its run folder."""
    good = tmp_path_factory.mktemp("good")
    assert ccip_batch("report", finished).returncode == 0
    shutil.copytree(finished / "report", good / "report")
    shutil.copytree(finished / "nodes", good / "nodes", ignore=lambda _, names: {"work", "out"} & set(names))
    failed = failed_restore(small_job, tmp_path_factory.mktemp("failed"))
    with under_way(finished, tmp_path_factory.mktemp("under_way")) as running:
        assert ccip_batch("report", running).returncode == 0
        shutil.copytree(running / "report", running.parent / "kept" / "report")
        shutil.copytree(running / "nodes", running.parent / "kept" / "nodes", ignore=lambda _, names: {"work", "out"})
    assert ccip_batch("report", failed).returncode == 0
    yield {"good": good, "failed": failed, "under_way": running.parent / "kept"}


@pytest.fixture(params=["good", "failed", "under_way"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(browser: Browser, runs: dict[str, Path], name: str) -> Iterator[Opened]:
    page = Opened(browser, runs[name], "light")
    yield page
    page.context.close()


@pytest.fixture
def good(browser: Browser, runs: dict[str, Path]) -> Iterator[Opened]:
    page = Opened(browser, runs["good"], "light")
    yield page
    page.context.close()


def test_nothing_is_missing(opened: Opened, runs: dict[str, Path], name: str) -> None:
    opened.show_all()
    broken = opened.page.evaluate("""() => [...document.images]
        .filter((i) => i.src && !i.naturalWidth).map((i) => i.src)""")
    assert not broken
    links = opened.page.evaluate("() => [...document.links].map((a) => a.getAttribute('href'))")
    assert links
    for link in links:
        if link.startswith("#"):
            assert opened.page.locator(f"[id='{link[1:]}']").count() == 1, link
        else:
            assert (runs[name] / "report" / link).is_file(), link
    assert not opened.complaints


@pytest.mark.parametrize("look", LOOKS)
def test_accessibility_and_looks(browser: Browser, runs: dict[str, Path], name: str, look: str) -> None:
    opened = Opened(browser, runs[name], look)
    opened.page.wait_for_load_state("load")
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.page.evaluate("() => { for (const image of document.images) image.loading = 'eager'; }")
    opened.page.wait_for_function("() => [...document.images].every((i) => i.complete || !i.src)")
    opened.page.screenshot(path=SHOTS / f"{name}-{look}.png", full_page=True)
    opened.show_all()
    assert not opened.barriers()
    width = opened.page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= LOOKS[look]["viewport"]["width"]
    assert not opened.complaints
    opened.context.close()


def test_every_plane_and_node_has_its_row(opened: Opened, runs: dict[str, Path], name: str) -> None:
    states = {
        "good": {"9": "empty", "10": "kept", "12,13": "kept", "17": "kept"},
        "failed": dict.fromkeys(("9", "10", "12,13", "17"), "blocked"),
        "under_way": {"9": "empty", "10": "failed", "12,13": "imaged", "17": "under way"},
    }[name]
    rows = opened.page.locator("#plane-table tbody tr")
    found = {row.get_attribute("data-spw"): row.locator(":scope > *").nth(1).inner_text() for row in rows.all()}
    assert found == states
    ended = {
        path.parent.name for path in runs[name].glob("nodes/*/*.json") if path.name in ("result.json", "failure.json")
    }
    nodes = opened.page.locator("#node-table tbody tr")
    assert {row.get_attribute("data-node") for row in nodes.all()} == ended
    failures = {path.parent.name for path in runs[name].glob("nodes/*/failure.json")}
    assert {a.get_attribute("data-node") for a in opened.page.locator(".failure").all()} == failures
    for node in failures:
        failure = json.loads((runs[name] / "nodes" / node / "failure.json").read_text())
        told = opened.page.locator(f".failure[data-node={node}]").inner_text()
        assert failure["cause"] in told and failure["command"] in told


def test_files_are_those_of_the_results(good: Opened, runs: dict[str, Path]) -> None:
    good.show_all()
    result = json.loads((runs["good"] / "nodes" / "publish" / "result.json").read_text())
    expected = {file["name"]: file["sha256"] for file in result["files"]}
    rows = good.page.locator("tr[data-file]").all()
    assert {row.get_attribute("data-file"): row.locator(".sum").inner_text() for row in rows} == expected


def test_sorting_by_keyboard(good: Opened) -> None:
    table = good.page.locator("#plane-table")
    head = table.locator("th", has_text="rms V")
    head.locator("button").focus()
    column = head.evaluate("(th) => th.cellIndex")

    def order() -> list[str | None]:
        return [row.get_attribute("data-spw") for row in table.locator("tbody tr").all()]

    values = {
        row.get_attribute("data-spw"): row.locator(":scope > *").nth(column).get_attribute("data-sort")
        for row in table.locator("tbody tr").all()
    }
    numbers = {spw: float(value) for spw, value in values.items() if value}
    up = sorted(numbers, key=lambda spw: numbers[spw])
    good.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert order() == [*up, "9"]
    good.page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert order() == [*reversed(up), "9"]
    assert good.page.locator("[aria-sort]").count() == 1


def test_order_by_suspicion(good: Opened) -> None:
    good.page.get_by_label("how suspicious each plane is").check()
    for place in ("#plane-table tbody tr", ".gallery[data-kind=image] tbody tr"):
        rows = good.page.locator(place).all()
        values = [float(row.get_attribute("data-suspicion") or 0) for row in rows]
        assert values == sorted(values, reverse=True) and rows[0].get_attribute("data-spw") == "9"
    good.page.get_by_label("frequency", exact=True).check()
    assert good.page.locator("#plane-table tbody tr").last.get_attribute("data-spw") == "17"


def test_other_pictures_and_the_large_view_by_keyboard(good: Opened) -> None:
    for kind in ("residual", "rms", "pb", "psf", "image"):
        good.page.locator(f"input[name=kind][value={kind}]").check()
        assert good.page.locator(".gallery:visible").get_attribute("data-kind") == kind
    link = good.page.locator(".gallery:visible tr[data-spw='10'] a.view").nth(1)
    link.focus()
    good.page.keyboard.press("Enter")
    viewer = good.page.get_by_role("dialog")
    assert "spw 10" in viewer.inner_text() and "Stokes Q" in viewer.inner_text()
    for layer in ("grid", "primary beam", "masks", "beam"):
        viewer.get_by_label(layer, exact=True).check()
    assert viewer.locator("img.layer:visible").count() == 4
    good.page.wait_for_function("() => [...document.querySelectorAll('#viewer img')].every((i) => i.naturalWidth)")
    SHOTS.mkdir(parents=True, exist_ok=True)
    good.page.screenshot(path=SHOTS / "good-large-view.png")
    assert not good.barriers("#viewer")
    good.page.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("Stokes U")
    good.page.keyboard.press("ArrowDown")
    expect(viewer).to_contain_text("spw 12,13")
    good.page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    assert good.page.evaluate("document.activeElement.dataset.words").startswith("spw 12,13")
    assert not good.complaints


def test_each_overlay_is_seen_only_where_it_is_ticked(good: Opened) -> None:
    good.page.locator(".gallery:visible tr[data-spw='10'] a.view").first.click()
    viewer, stack = good.page.get_by_role("dialog"), good.page.locator("#viewer-stack")
    loaded = "() => [...document.querySelectorAll('#viewer img')].every((i) => i.complete && i.naturalWidth)"
    good.page.wait_for_function(loaded)
    for box in viewer.get_by_role("checkbox").all():
        box.uncheck()
    bare = stack.screenshot()
    for name in ("grid", "primary beam", "masks", "beam"):
        viewer.get_by_label(name, exact=True).check()
        assert stack.screenshot() != bare, name
        viewer.get_by_label(name, exact=True).uncheck()
        assert stack.screenshot() == bare, name


def test_the_large_view_is_closed_by_a_button_of_one_line(good: Opened) -> None:
    good.page.set_viewport_size({"width": 500, "height": 800})
    good.page.locator(".gallery:visible a.view").first.click()
    button = good.page.locator("#viewer-close")
    assert (button.bounding_box() or {})["height"] < 40
    button.click()
    expect(good.page.get_by_role("dialog")).to_be_hidden()


def test_planes_are_read_without_scrolling_in_the_page(good: Opened) -> None:
    gallery = good.page.locator(".gallery:visible")
    assert gallery.evaluate("(g) => g.scrollHeight <= g.clientHeight && g.scrollWidth <= g.clientWidth")
    why = good.page.locator("#plane-table th", has_text="Why").bounding_box() or {}
    assert why["x"] + why["width"] < LOOKS["light"]["viewport"]["width"]
    heights = {row.evaluate("(r) => r.offsetHeight") for row in good.page.locator("#plane-table .state-kept").all()}
    assert max(heights) < 60


def test_without_scripts_pictures_are_links(browser: Browser, runs: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((runs["good"] / "report" / "index.html").as_uri())
    page.locator(".gallery:visible a.view").first.click()
    assert page.url.endswith(".jpg")
    context.close()


def test_prints(good: Opened, tmp_path: Path) -> None:
    good.page.pdf(path=tmp_path / "report.pdf", format="A4")
    text = (tmp_path / "report.pdf").read_bytes()
    assert text.startswith(b"%PDF") and text.count(b"/Type /Page\n") < 40
