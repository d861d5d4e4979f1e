"""Reports can be read by everyone: with a screen reader, in the dark, by keyboard, on a phone."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from skstrf.inspection import Report

VOID = {"meta", "link", "img", "br", "hr", "input"}
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3, for text of any size
# Which colours stand on which ground, by the custom properties of the style sheet.
GROUNDS = {"--page": ("--text", "--quiet", "--link"), "--head": ("--text", "--link")}


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


def schemes(html):
    """The custom properties of the page: light, dark and print."""
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL).group(1)
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    return [dict(re.findall(r"(--\w+):\s*(#[0-9a-f]{6})", block)) for block in blocks]


def luminance(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def long_report():
    """Every kind of part, and enough sections for a list of contents."""
    report = Report("Instruments", "five folds")
    report.add_text("Summary", "First.\n\nSecond.")
    rows = [["oboe", 0.9, "0.90 ± 0.02", 12], ["tuba", None, "–", 7]]
    report.add_table("Classes", ["class", "recall", "mean", "n"], rows, caption="Recall", note="x")
    report.add_table("Folds", ["fold", "accuracy"], [[1, 0.9], [2, 0.8]])
    report.add_settings("Settings", {"seed": 0, "rates": (2, 4)})
    report.add_settings("Seconds", {"tensors": 1.25, "network": 12})
    report.add_figure("Figures", Figure((2, 1)), alt="a square", caption="Figure one.")
    report.add_figure("Figures", Figure((2, 1)), alt="another square")
    report.add_sound("Sounds", np.zeros(10), 16000)
    return report.to_html()


def test_nothing_keeps_anyone_from_reading():
    assert faults(long_report()) == []


@pytest.mark.parametrize(
    "right, wrong, words",
    [
        (' lang="en"', "", "language"),
        ('alt="a square"', 'alt=""', "image without words"),
        ('scope="row"', "", "head without scope"),
        (' class="number"', "", "numbers not on the right"),
        ("<audio controls", "<audio", "without controls"),
        ('href="#part-classes"', 'href="#part-other"', "link to nothing"),
        ("<h2", "<h4", "level of headings"),
        ("width=device-width", "maximum-scale=1", "enlarged"),
    ],
)
def test_the_test_finds_what_it_looks_for(right, wrong, words):
    html = long_report()
    assert right in html
    broken = html.replace("<h2", "<h4").replace("</h2", "</h4") if "h2" in right else None
    assert any(words in fault for fault in faults(broken or html.replace(right, wrong)))


def test_text_stands_out_from_its_ground_in_light_dark_and_print():
    found = schemes(long_report())
    assert len(found) == 3
    for colours in found:
        for ground, texts in GROUNDS.items():
            for text in texts:
                ratio = contrast(colours[text], colours[ground])
                assert ratio >= LEAST_CONTRAST, (text, ground, round(ratio, 2), colours)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_colours_of_texts_are_those_of_the_schemes():
    # What is not a custom property would escape the test of contrast: grounds of images only.
    style = re.search(r"<style>(.*?)</style>", long_report(), re.DOTALL).group(1)
    rules = re.sub(r":root \{.*?\}", "", style, flags=re.DOTALL)
    plain = re.findall(r"(?<![\w-])color:\s*([^;}]+)", rules)
    assert plain and all(value.strip().startswith("var(--") for value in plain)


def test_wide_parts_scroll_and_can_be_reached_by_keyboard():
    page = Tree(long_report())
    scrolling = [e for e in page.all("div") if e["attrs"].get("class") == "scroll"]
    assert len(scrolling) == 4
    assert all(e["attrs"].get("tabindex") == "0" for e in scrolling)
    wide = page.all("img") + [t for t in page.all("table") if "class" not in t["attrs"]]
    assert all(any(above in scrolling for above in e["inside"]) for e in wide)
