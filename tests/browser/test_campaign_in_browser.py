"""The report of a campaign in headless Chromium: 400 squares, and an epoch of 34,000.

Screenshots are left in build/browser/screenshots.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.campaign_squares import HOSTILE, make_campaign, sky_grid, state_of
from helpers.opened_pages import LOOKS, SHOTS, Browser, Opened, expect

from ccip_batch.campaign import report

pytestmark = pytest.mark.browser

MOST_BYTES = 10e6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign around right ascension 0 h; some 60 of its 400 squares were not begun."""
    places = [(ra % 360, dec) for dec in range(10, 30) for ra in range(350, 370)]
    made = make_campaign(tmp_path_factory.mktemp("campaigns") / "equator", [(float(r), float(d)) for r, d in places])
    report.write(state_of(made))
    return made


@pytest.fixture(scope="module")
def epoch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All the sky north of -42 degrees, of which a quarter has ended."""
    made = make_campaign(tmp_path_factory.mktemp("campaigns") / "epoch", sky_grid(35_000), waiting=0.75)
    report.write(state_of(made))
    return made


@pytest.fixture
def opened(browser: Browser, folder: Path) -> Iterator[Opened]:
    page = Opened(browser, folder, "light")
    yield page
    assert not page.complaints
    assert page.page.evaluate("() => globalThis.hacked") is None
    page.context.close()


def data_of(folder: Path) -> dict[str, Any]:
    text = (folder / "report" / "squares.js").read_text()
    return dict(json.loads(text.removeprefix("globalThis.CAMPAIGN = ").removesuffix(";\n")))


def shown(opened: Opened) -> list[str]:
    """Names of the squares in the table."""
    return [row.get_attribute("data-square") or "" for row in opened.page.locator("#square-table tbody tr").all()]


def texts(opened: Opened, key: str) -> list[str]:
    """A column of the table."""
    column = opened.page.locator(f"#square-table th[data-key={key}]").evaluate("(head) => head.cellIndex")
    rows = opened.page.locator("#square-table tbody tr")
    return [row.locator(":scope > *").nth(column).inner_text() for row in rows.all()]


def colours_in(opened: Opened, canvas: str) -> int:
    """How many different colours a map has."""
    return int(
        opened.page.locator(canvas).evaluate("""(canvas) => {
            const often = { willReadFrequently: true };
            const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", often);
            copy.drawImage(canvas, 0, 0);
            const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(data.buffer)).size;
        }""")
    )


@pytest.mark.parametrize("look", LOOKS)
def test_accessibility_and_looks(browser: Browser, folder: Path, look: str) -> None:
    opened = Opened(browser, folder, look)
    opened.show_all()
    SHOTS.mkdir(parents=True, exist_ok=True)
    opened.page.screenshot(path=SHOTS / f"campaign-{look}.png", full_page=True)
    assert not opened.page.evaluate("() => [...document.images].filter((i) => !i.naturalWidth).map((i) => i.src)")
    assert not opened.barriers()
    width = opened.page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= LOOKS[look]["viewport"]["width"]
    assert not opened.complaints
    opened.context.close()


def test_maps_show_states_and_noise(opened: Opened) -> None:
    assert colours_in(opened, "#state-map") > 6
    assert colours_in(opened, "#noise-map") > 20
    expect(opened.page.get_by_role("img", name="coloured by state")).to_be_visible()
    expect(opened.page.get_by_role("img", name="mJy/beam, median")).to_be_visible()


def test_outliers_come_first_and_link_their_reports(opened: Opened, folder: Path) -> None:
    data = data_of(folder)
    order = sorted(range(400), key=lambda i: (data["deviation"][i] is None, -(data["deviation"][i] or 0), i))
    assert shown(opened) == [data["name"][i] for i in order[:50]]
    links = opened.page.locator("#square-table a")
    hrefs = [link.get_attribute("href") or "" for link in links.all()]
    assert len(hrefs) == sum(data["report"][i] == "1" for i in order[:50]) > 20
    assert all((folder / "report" / href.replace("%2B", "+")).is_file() for href in hrefs)
    links.first.click()
    assert opened.page.title() == "square"
    opened.page.go_back()


def test_sorting_by_keyboard(opened: Opened, folder: Path) -> None:
    head = opened.page.locator("#square-table th[data-key=rms]")
    head.locator("button").focus()
    opened.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    opened.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    data = data_of(folder)
    order = sorted(range(400), key=lambda i: (data["rms"][i] is None, data["rms"][i], i))
    assert shown(opened) == [data["name"][i] for i in order[:50]]
    assert opened.page.locator("#square-table [aria-sort]").count() == 1
    opened.page.locator("[data-go=last]").click()
    assert texts(opened, "rms")[-1] == "–"  # what is not known comes last, also the other way round
    head.locator("button").click()
    opened.page.locator("[data-go=last]").click()
    assert texts(opened, "rms")[-1] == "–"


def test_filters(opened: Opened, folder: Path) -> None:
    data = data_of(folder)
    failed = [
        name for name, state in zip(data["name"], data["state"], strict=True) if data["states"][state] == "failed"
    ]
    opened.page.get_by_role("combobox", name="State").select_option(label=f"failed ({len(failed)})")
    assert sorted(shown(opened)) == sorted(failed)
    expect(opened.page.get_by_role("status")).to_have_text(
        f"Squares 1 to {len(failed)} of {len(failed)} that are found, of 400."
    )
    before = colours_in(opened, "#state-map")
    opened.page.get_by_role("combobox", name="Cause").select_option(index=1)
    assert len(shown(opened)) < len(failed)
    assert {text.split("\n")[0] for text in texts(opened, "cause")} == {"memory"}
    opened.page.get_by_role("searchbox").fill("nowhere")
    expect(opened.page.get_by_role("status")).to_have_text("No square is found, of 400.")
    opened.page.get_by_role("button", name="Show all").click()
    assert len(shown(opened)) == 50 and colours_in(opened, "#state-map") != before
    opened.page.get_by_role("searchbox").fill(failed[0][-12:].lower())
    assert shown(opened) == [failed[0]]


def test_a_cause_leads_to_its_squares(opened: Opened) -> None:
    opened.page.get_by_role("link", name="</script>").click()
    causes = texts(opened, "cause")
    assert causes and all(text.startswith(HOSTILE[:20]) for text in causes)


def test_pages(opened: Opened) -> None:
    first = shown(opened)
    assert opened.page.locator("#pages").inner_text() == "8"
    expect(opened.page.get_by_role("button", name="Previous")).to_be_disabled()
    opened.page.get_by_role("button", name="Next").click()
    second = shown(opened)
    assert len(second) == 50 and not set(first) & set(second)
    opened.page.get_by_role("spinbutton").fill("8")
    opened.page.keyboard.press("Enter")
    expect(opened.page.get_by_role("button", name="Next")).to_be_disabled()
    assert len(shown(opened)) == 50
    opened.page.get_by_role("button", name="First").click()
    assert shown(opened) == first


def test_a_click_on_the_map_finds_the_square(opened: Opened) -> None:
    canvas = opened.page.locator("#state-map")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    place = {"x": box["width"] / 2, "y": box["height"] / 2}
    canvas.hover(position=place)
    tip = opened.page.locator("#sky .tip:visible")
    name, state = tip.inner_text().split("\n")
    assert name.startswith("VLASS") and state in ("done", "failed", "waiting", "at work")
    canvas.click(position=place)
    assert shown(opened) == [name]


def test_an_epoch(browser: Browser, epoch: Path) -> None:
    """It loads at once, finds and sorts at once, and writes no more rows than a page has."""
    opened = Opened(browser, epoch, "light")
    files = [path.stat().st_size for path in (epoch / "report").rglob("*") if path.is_file()]
    assert sum(files) < MOST_BYTES
    number = len(data_of(epoch)["name"])
    assert number > 34_000
    assert opened.page.locator("tr").count() < 100
    expect(opened.page.get_by_role("status")).to_have_text(f"Squares 1 to 50 of {number}.")
    times = opened.page.evaluate("""() => {
        const time = (act) => { const from = performance.now(); act(); return performance.now() - from; };
        const search = document.getElementById("search");
        return {
            load: performance.getEntriesByType("navigation")[0].loadEventEnd,
            sort: time(() => document.querySelector("[data-key=name] button").click()),
            find: time(() => { search.value = "t20t"; search.dispatchEvent(new Event("input")); }),
        };
    }""")
    print(f"{number} squares, {sum(files) / 1e6:.1f} MB, ms: {times}")
    assert shown(opened) and all("T20t" in name for name in shown(opened))
    assert shown(opened) == sorted(shown(opened))
    opened.page.screenshot(path=SHOTS / "campaign-epoch.png", full_page=True)
    assert not opened.complaints
    opened.context.close()
