"""Warn about built pages that load files from other hosts. Links are allowed."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from sphinx.util import logging

logger = logging.getLogger(__name__)

# Browsers fetch these attributes without a click. They do not fetch a `link` with one of the
# relations.
LOADING = {"src", "srcset", "poster", "data", "background"}
RELATIONS = {"author", "canonical", "help", "index", "license", "next", "prev", "search", "top"}
ELSEWHERE = re.compile(r"\s*(?:[a-z]+:)?//", re.IGNORECASE)
IN_STYLES = re.compile(r"(?:url\(|@import)\s*[\"']?\s*((?:https?:)?//[^\s\"')]+)", re.IGNORECASE)


class Loads(HTMLParser):
    """Parser that collects the addresses that a page fetches from other hosts."""

    def __init__(self, html: str):
        super().__init__()
        self.found: list[str] = []
        self._style = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self._style = tag == "style"
        candidates = [values[name] for name in LOADING & values.keys()]
        if tag == "link" and not set(values.get("rel", "").split()) <= RELATIONS:
            candidates.append(values.get("href", ""))
        self.found += [value for value in candidates if ELSEWHERE.match(value)]
        self.found += IN_STYLES.findall(values.get("style", ""))

    def handle_data(self, data):
        if self._style:
            self.found += IN_STYLES.findall(data)


def elsewhere(path: Path) -> list[str]:
    """Return the addresses on other hosts that an HTML page or a style sheet loads."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return IN_STYLES.findall(text) if path.suffix == ".css" else Loads(text).found


def check(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    for path in sorted([*folder.rglob("*.html"), *folder.rglob("*.css")]):
        for address in elsewhere(path):
            logger.warning("%s loads %s", path.relative_to(folder), address)


def setup(app):
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
