"""Reports can be read by everyone: with a screen reader, in the dark, by keyboard, on a phone."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from skstrf.inspection import Report

LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3, for text of any size
# Which colors stand on which ground, by the custom properties of the style sheet.
GROUNDS = {"--page": ("--text", "--quiet", "--link"), "--head": ("--text", "--link")}


def schemes(html):
    """The custom properties of the page: light, dark and print."""
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL).group(1)
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    return [dict(re.findall(r"(--\w+):\s*(#[0-9a-f]{6})", block)) for block in blocks]


def luminance(color):
    parts = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
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


def test_nothing_keeps_anyone_from_reading(page_faults):
    assert page_faults(long_report()) == []


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
def test_the_test_finds_what_it_looks_for(right, wrong, words, page_faults):
    html = long_report()
    assert right in html
    broken = html.replace("<h2", "<h4").replace("</h2", "</h4") if "h2" in right else None
    assert any(words in fault for fault in page_faults(broken or html.replace(right, wrong)))


def test_text_stands_out_from_its_ground_in_light_dark_and_print():
    found = schemes(long_report())
    assert len(found) == 3
    for colors in found:
        for ground, texts in GROUNDS.items():
            for text in texts:
                ratio = contrast(colors[text], colors[ground])
                assert ratio >= LEAST_CONTRAST, (text, ground, round(ratio, 2), colors)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_colors_of_texts_are_those_of_the_schemes():
    # What is not a custom property would escape the test of contrast: grounds of images only.
    style = re.search(r"<style>(.*?)</style>", long_report(), re.DOTALL).group(1)
    rules = re.sub(r":root \{.*?\}", "", style, flags=re.DOTALL)
    plain = re.findall(r"(?<![\w-])color:\s*([^;}]+)", rules)
    assert plain and all(value.strip().startswith("var(--") for value in plain)


def test_wide_parts_scroll_and_can_be_reached_by_keyboard(page_tree):
    page = page_tree(long_report())
    scrolling = [e for e in page.all("div") if e["attrs"].get("class") == "scroll"]
    assert len(scrolling) == 4
    assert all(e["attrs"].get("tabindex") == "0" for e in scrolling)
    wide = page.all("img") + [t for t in page.all("table") if "class" not in t["attrs"]]
    assert all(any(above in scrolling for above in e["inside"]) for e in wide)
