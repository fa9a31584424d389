"""Reports in headless Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.simulated_runs import ROOT

pytest.importorskip("playwright", reason="run tests/browser/setup.sh")
from playwright.sync_api import Browser, Page, expect

__all__ = ["LOOKS", "SHOTS", "Browser", "Opened", "Page", "expect"]

AXE = ROOT / "build" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = ROOT / "build" / "browser" / "screenshots"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


class Opened:
    """The report in a folder, opened, and what it complained of."""

    def __init__(self, browser: Browser, folder: Path, look: str) -> None:
        self.complaints: list[str] = []
        self.context = browser.new_context(**LOOKS[look])
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(300_000)  # a slow machine is no failure
        self.page.on("console", lambda message: self.complaints.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"missing: {request.url}"))
        self.page.on("request", self._no_network)
        self.page.goto((folder / "report" / "index.html").as_uri())

    def _no_network(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.complaints.append(f"network: {request.url}")

    def show_all(self) -> None:
        """Open all details and load all pictures."""
        self.page.evaluate("""() => {
            for (const part of document.querySelectorAll("details")) part.open = true;
            for (const image of document.images) image.loading = "eager";
        }""")
        self.page.wait_for_function("() => [...document.images].every((i) => i.complete || !i.src)")

    def barriers(self, within: str = "html") -> list[str]:
        """What axe finds that keeps people out."""
        self.page.add_script_tag(path=AXE)
        run = "(place) => axe.run(place, { preload: false }).then((r) => r.violations)"
        found = self.page.evaluate(run, within)
        return [f"{v['id']}: {v['help']}: {[n['target'] for n in v['nodes'][:3]]}" for v in found]
