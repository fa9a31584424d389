"""A report's page as tests see it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote


class Page(HTMLParser):
    """What a page links, its text, and the attributes of its table rows."""

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
