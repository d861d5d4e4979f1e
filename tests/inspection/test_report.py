import base64
import io
import os
import re
import subprocess
import sys
import wave
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from skstrf.inspection import Report

EVIL = "<script>alert(1)</script>.wav"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements of a page in order, and whether every tag was closed where it should be."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.text.append((self.open[-1], data.strip()))

    def find(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def texts(self, tag):
        return [text for name, text in self.text if name == tag]


def full_report():
    report = Report("Instruments", "five folds")
    report.add_text("Summary", ["First.", "Second."])
    report.add_table("Summary", ["class", "recall"], [["oboe", 0.9], ["tuba", 1.0]], caption="c")
    report.add_settings("Settings", {"seed": 0, "rates": (2, 4)})
    report.add_figure("Figures", Figure((2, 1)), alt="a square", caption="Figure one.")
    report.add_sound("Sounds", np.zeros(10), 16000, caption="silence")
    report.add_text("End", "That is all.")
    return report


def evil_report():
    report = Report(EVIL, EVIL)
    report.add_text(EVIL, EVIL)
    report.add_text("Text", [EVIL, '" onload="alert(1)'])
    report.add_table("T", [EVIL, "n"], [[EVIL, 1]], caption=EVIL, note=EVIL)
    report.add_settings("S", {EVIL: EVIL})
    report.add_figure("F", Figure((1, 1)), alt=f'"> {EVIL}', caption=f'"> {EVIL}')
    report.add_sound("Sounds", np.zeros(10), 16000, caption=f'"> {EVIL}')
    return report


def test_page_is_whole_and_in_order():
    html = full_report().to_html()
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert page.find("html") == [{"lang": "en"}]
    assert page.texts("title") == page.texts("h1") == ["Instruments"]
    assert page.texts("h2") == ["Summary", "Settings", "Figures", "Sounds", "End"]
    tags = [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert tags == ["h1"] + 5 * ["h2"]
    assert page.texts("p")[0] == "five folds"
    assert {"First.", "Second.", "That is all."} <= set(page.texts("p"))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("make", [full_report, evil_report])
def test_page_loads_nothing_and_runs_nothing(make):
    html = make().to_html()
    page = Page(html)
    assert not page.find("script") and not page.find("link") and not page.find("iframe")
    for _, attrs in page.elements:
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href"):
            assert attrs.get(name, "#").startswith(("data:", "#"))
    assert "http:" not in html and "https:" not in html
    assert "url(" not in html and "@import" not in html


def test_a_browser_is_told_to_run_and_load_nothing():
    policy = [
        a["content"] for a in Page(full_report().to_html()).find("meta") if "http-equiv" in a
    ]
    assert len(policy) == 1
    assert "default-src 'none'" in policy[0]
    assert "script" not in policy[0]


def test_names_are_escaped_everywhere():
    html = evil_report().to_html()
    assert "<script" not in html.lower()
    page = Page(html)
    for tag in ("title", "h1", "h2", "p", "caption", "th", "td", "figcaption", "a"):
        assert any(EVIL in text for text in page.texts(tag)), tag
    assert page.find("img")[0]["alt"] == f'"> {EVIL}'
    assert page.find("audio")[0]["aria-label"] == f'"> {EVIL}'


def test_names_that_are_no_text_can_be_written(tmp_path):
    report = Report("x")
    report.add_table("T", ["file"], [["bad\udce9name\x00.wav"]])
    path = report.write(tmp_path / "report.html")
    assert r"bad\xe9name\x00.wav" in path.read_text(encoding="utf-8")


def test_contents_appear_from_five_sections_on():
    report = Report("x")
    for number in range(4):
        report.add_text(f"Part {number}", "text")
    assert not Page(report.to_html()).find("nav")
    report.add_text("Part 4", "text")
    page = Page(report.to_html())
    targets = [attrs["href"][1:] for attrs in page.find("a")]
    assert targets == [attrs["id"] for attrs in page.find("h2")]
    assert len(set(targets)) == 5


def test_same_heading_continues_a_section_only_when_it_follows():
    report = Report("x")
    for heading in ("A", "A", "B", "A"):
        report.add_text(heading, "text")
    page = Page(report.to_html())
    assert page.texts("h2") == ["A", "B", "A"]
    assert len({attrs["id"] for attrs in page.find("h2")}) == 3


def test_paragraphs_are_split_at_empty_lines():
    report = Report("x")
    report.add_text("A", "one\nstill one\n\n  \ntwo\n")
    assert [t.split() for t in Page(report.to_html()).texts("p")] == [
        ["one", "still", "one"],
        ["two"],
    ]


def test_table_heads_have_scope_and_numbers_stand_right():
    report = Report("x")
    columns = ["class", "recall", "spread", "sounds", "mixed"]
    rows = [["oboe", 0.5, "0.50 ± 0.02", 12, "1"], ["tuba", None, "1", 20171, "x"]]
    report.add_table("T", columns, rows, caption="Recall")
    page = Page(report.to_html())
    heads = page.find("th")
    assert [h["scope"] for h in heads] == 5 * ["col"] + 2 * ["row"]
    assert [h.get("class") for h in heads[:5]] == [None, "number", "number", "number", None]
    assert [d.get("class") for d in page.find("td")] == 2 * ["number", "number", "number", None]
    assert page.texts("td") == ["0.500", "0.50 ± 0.02", "12", "1", "–", "1", "20,171", "x"]
    assert page.texts("caption") == ["Recall"]


def test_first_column_of_numbers_names_no_row():
    report = Report("x")
    report.add_table("T", ["fold", "accuracy"], [[1, 0.9], [2, 0.8]])
    assert {h["scope"] for h in Page(report.to_html()).find("th")} == {"col"}


def test_empty_table_and_long_names():
    report = Report("x")
    report.add_table("Skipped", ["file", "reason"], [])
    report.add_table("Skipped", ["file", "n"], [["x" * 200, 1]])
    page = Page(report.to_html())
    assert page.find("th")[-1] == {"scope": "row", "class": "long"}


def test_rows_of_another_length_are_refused():
    with pytest.raises(ValueError, match="row 1 of the table 'T' has 1 cells, but there are 2"):
        Report("x").add_table("T", ["a", "b"], [[1, 2], [1]])


def test_settings():
    report = Report("x")
    report.add_settings("S", {"rates": (2, 4.5), "device": None})
    page = Page(report.to_html())
    assert page.texts("th") == ["rates", "device"]
    assert page.texts("td") == ["2, 4.5", "None"]
    assert {h["scope"] for h in page.find("th")} == {"row"}


def test_figure_is_embedded_at_its_size_and_closed():
    figure = plt.figure(figsize=(4, 3))
    figure.add_subplot().plot([0, 1])
    report = Report("x")
    report.add_figure("F", figure, alt="a line", caption="up")
    assert not plt.fignum_exists(figure.number)
    (image,) = Page(report.to_html()).find("img")
    assert image["alt"] == "a line"
    data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    pixels = plt.imread(io.BytesIO(data)).shape
    assert int(image["width"]) / int(image["height"]) == pytest.approx(
        pixels[1] / pixels[0], rel=0.01
    )
    assert pixels[1] > 1.5 * int(image["width"])  # sharp on dense screens


@pytest.mark.parametrize("alt", ["", "  "])
def test_figures_need_words(alt):
    with pytest.raises(ValueError, match="alt must describe"):
        Report("x").add_figure("F", Figure(), alt=alt)


def test_same_additions_make_the_same_page():
    assert full_report().to_html() == full_report().to_html()


def read_sound(report):
    (audio,) = Page(report.to_html()).find("audio")
    assert "controls" in audio
    data = base64.b64decode(audio["src"].removeprefix("data:audio/wav;base64,"))
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        frames = file.readframes(file.getnframes())
        return np.frombuffer(frames, "<i2") / 32767, file.getframerate()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sound_is_what_was_given(dtype):
    x = np.random.default_rng(0).uniform(-0.3, 0.3, 500).astype(dtype)
    report = Report("x")
    report.add_sound("S", x, 22050)
    played, rate = read_sound(report)
    assert rate == 22050
    np.testing.assert_allclose(played, x, atol=0.6 / 32767)


def test_loud_sound_is_made_quieter_and_not_clipped():
    x = 5 * np.sin(np.arange(500) / 7)
    report = Report("x")
    report.add_sound("S", x, 16000)
    assert np.abs(x).max() > 4.9  # the caller's array is left alone
    np.testing.assert_allclose(read_sound(report)[0], x / np.abs(x).max(), atol=0.6 / 32767)


@pytest.mark.parametrize(
    "x, rate, message",
    [
        (np.zeros(0), 16000, "at least one sample"),
        (np.zeros((2, 10)), 16000, "mono"),
        (np.zeros(10, dtype=int), 16000, "int64"),
        (np.array([np.nan]), 16000, "NaN"),
        (np.zeros(10), 0, "sample_rate"),
        (np.zeros(10), np.nan, "sample_rate"),
    ],
)
def test_what_is_no_sound_is_refused(x, rate, message):
    with pytest.raises(ValueError, match=message):
        Report("x").add_sound("S", x, rate)


def test_write_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "a" / "b" / "report.html"
    assert Report("one").write(str(path)) == path
    Report("two").write(path)
    assert "two" in path.read_text(encoding="utf-8")
    assert os.listdir(path.parent) == ["report.html"]


@pytest.mark.skipif(os.name == "nt", reason="permissions are those of Unix")
def test_written_file_has_the_permissions_of_a_new_file(tmp_path):
    (tmp_path / "other").write_text("x")
    path = Report("x").write(tmp_path / "report.html")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, error):
    path = Report("old").write(tmp_path / "report.html")
    before = path.read_bytes()

    def fail(*args):
        raise error

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(error if isinstance(error, type) else OSError):
        Report("new").write(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["report.html"]


def test_errors_of_writing_name_file_and_remedy(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=r"could not be written .* Choose a file") as caught:
        Report("x").write(tmp_path / "file" / "report.html")
    assert "file" in str(caught.value.filename)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="could not be written"):
        Report("x").write(tmp_path / "folder")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_importing_draws_nothing_and_loads_neither_matplotlib_nor_torch():
    code = (
        "import sys, skstrf.inspection;"
        "print([m for m in ('matplotlib', 'torch', 'jinja2', 'librosa') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_sound_beyond_full_scale_is_turned_down_and_the_caption_says_so():
    report = Report("x")
    report.add_sound("Sounds", np.array([0.0, 0.5]), 8000, caption="soft")
    report.add_sound("Sounds", np.array([0.0, -2.0]), 8000, caption="loud")
    captions = [part["caption"] for part in report._sections[0]["parts"]]
    assert captions == ["soft", "loud (6.0 dB softer here to prevent clipping)"]
