"""What keeps someone from reading a page; tests of reports use it by the fixture page_faults."""

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Tree(HTMLParser):
    """Every element with its attributes, its ancestors and its text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(html)
        assert not self._open, "elements are left open"

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "inside": list(self._open), "text": ""}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, *tags):
        return [e for e in self.elements if e["tag"] in tags]

    def within(self, outer, *tags):
        return [e for e in self.all(*tags) if any(above is outer for above in e["inside"])]


def faults(html):
    """Say what keeps someone from reading a page; an empty list if nothing does."""
    page = Tree(html)
    ids = {e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]}
    found = []
    if not page.all("html")[0]["attrs"].get("lang"):
        found.append("no language")
    if not page.all("title")[0]["text"].strip():
        found.append("no title")
    if "user-scalable=no" in html or "maximum-scale" in html:
        found.append("cannot be enlarged")
    if len(page.all("h1")) != 1 or len(page.all("main")) != 1:
        found.append("not one heading of the page and one main part")
    levels = [int(e["tag"][1]) for e in page.all("h1", "h2", "h3", "h4")]
    found += ["a level of headings is left out" for a, b in pairwise(levels) if b > a + 1]
    for element in page.elements:
        attrs = element["attrs"]
        for name in ("aria-labelledby", "aria-describedby"):
            found += [f"no {i}" for i in attrs.get(name, "").split() if i not in ids]
        if attrs.get("href", "").startswith("#") and attrs["href"][1:] not in ids:
            found.append(f"link to nothing: {attrs['href']}")
        if attrs.get("role") == "group" and not attrs.get("aria-label"):
            found.append("a group without a name")
    found += ["image without words" for e in page.all("img") if not e["attrs"].get("alt")]
    found += [
        "sound without a name" for e in page.all("audio") if not e["attrs"].get("aria-label")
    ]
    found += ["sound without controls" for e in page.all("audio") if "controls" not in e["attrs"]]
    found += ["link without words" for e in page.all("a") if not e["text"].strip()]
    for table in page.all("table"):
        found += faults_of_table(page, table)
    return found


def faults_of_table(page, table):
    heads = page.within(table, "th")
    found = [f"head without scope: {h['text']}" for h in heads if "scope" not in h["attrs"]]
    if not heads:
        found.append("table without heads")
    if not (page.within(table, "caption") or "aria-labelledby" in table["attrs"]):
        scrolled = any(e["attrs"].get("aria-label") for e in table["inside"])
        found += [] if scrolled else ["table without a name"]
    rows = [page.within(row, "td", "th") for row in page.within(table, "tr")]
    body = [r for r in rows if not all(c["attrs"].get("scope") == "col" for c in r)]
    for column in zip(*body, strict=True):
        cells = [c for c in column if c["text"].strip() not in ("", "–")]
        numbers = [
            bool(re.fullmatch(r"[−-]?[\d,.]+( ± [\d.]+)?", c["text"].strip())) for c in cells
        ]
        if len(cells) > 1 and all(numbers):
            right = all(c["attrs"].get("class") == "number" for c in column)
            found += [] if right else [f"numbers not on the right: {cells[0]['text']}"]
    return found
