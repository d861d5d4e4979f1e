"""The documentation's own tools, and that the code of its pages runs."""

import re
import shutil
import sys
from pathlib import Path
from textwrap import dedent

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [
    *sorted(p for p in (DOCS / "guide").glob("*.rst") if "code-block:: python" in p.read_text()),
    DOCS / "development" / "adding_a_transform.rst",
    DOCS / "first_steps.rst",
    DOCS / "stationarity.rst",
    DOCS / "style.rst",
]
GENERATED = {"_build", "_templates", "auto_examples", "generated"}
WRITTEN = sorted(p for p in DOCS.rglob("*.rst") if not GENERATED.intersection(p.parts))
# Networks, searches, surrogates and inverses.
SLOW = {"caching", "channels", "classification", "cortex", "first_steps", "reconstruction"}
SLOW |= {"stationarity", "style"}


@pytest.fixture(autouse=True)
def extensions(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(DOCS / "_ext")
    yield
    for name in ("mathml", "offline", "figures", "gallery_order"):
        sys.modules.pop(name, None)


def code_of(page):
    """Python blocks of a page, in order."""
    pattern = r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)"
    return [dedent(block) for block in re.findall(pattern, page.read_text(), re.MULTILINE)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with some sounds, four of each of two classes."""
    from skstrf import load_instruments

    clips = load_instruments(load_content=False, split="train")
    for label in (0, 4):
        place = tmp_path / "sounds" / clips.target_names[label]
        place.mkdir(parents=True)
        for name in clips.filenames[clips.target == label][:4]:
            shutil.copy(name, place)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] * (p.stem in SLOW), id=p.stem) for p in PAGES],
)
def test_code_of_pages_runs(page, folder):
    names = {}
    for block in code_of(page):
        exec(compile(block, str(page), "exec"), names)
    assert names


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_code_fits_into_its_box(page):
    options = (
        r"(?:(?:plot|player)::.*\n(?:   .*\n)*?   :(?:include-source|show):.*|code-block::.*)"
    )
    shown = rf"^\.\. {options}\n((?:   .*\n|\n)+)"
    for block in re.findall(shown, page.read_text(), re.MULTILINE):
        _, _, code = f"\n{block}".partition("\n\n")
        assert max(map(len, dedent(code).splitlines()), default=0) <= 79, code


def test_every_example_has_its_place_in_the_gallery():
    from gallery_order import ORDER

    assert sorted(ORDER) == sorted(p.name for p in (DOCS.parent / "examples").glob("plot_*.py"))


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_tables_and_titles_are_well_formed(page):
    from docutils import nodes
    from docutils.core import publish_doctree

    quiet = {"report_level": 2, "halt_level": 6, "warning_stream": ""}
    tree = publish_doctree(page.read_text(), str(page), settings_overrides=quiet)
    found = [m.astext() for m in tree.findall(nodes.system_message) if m["level"] >= 2]
    sphinx_only = r"Unknown|No (directive|role)"
    assert not [message for message in found if not re.search(sphinx_only, message)]


def test_what_a_page_loads_from_elsewhere_is_found():
    from offline import Loads

    page = """<link rel="stylesheet" href="https://a.example/s.css">
    <link rel="next" href="https://b.example/next.html"><script src="//c.example/x.js"></script>
    <a href="https://d.example">link</a><img src="local.png"><img src="data:image/png;base64,AA">
    <style>@import "https://e.example/f.css"; p { background: url(local.png) }</style>
    <p style="background: url('http://f.example/i.png')">https://g.example</p>"""
    assert [address.split("/")[2] for address in Loads(page).found] == [
        f"{letter}.example" for letter in "acef"
    ]


def test_style_sheets_are_looked_at_too(tmp_path):
    from offline import elsewhere

    sheet = tmp_path / "a.css"
    sheet.write_text("a { src: url(fonts/x.woff2) } b { src: url(https://a.example/x.woff2) }")
    assert elsewhere(sheet) == ["https://a.example/x.woff2"]


def test_formulas_are_mathml_and_bad_ones_warn(caplog):
    from docutils import nodes
    from mathml import braced, mathml

    assert braced(r"\tfrac18 + \frac1{64} + \frac{12}{3}") == (
        r"\tfrac{1}{8} + \frac{1}{64} + \frac{12}{3}"
    )

    written = mathml(nodes.math("", r"\sqrt{x_1}"), as_block=False)
    assert written.startswith("<math") and "<msqrt>" in written
    assert r"\nonsense" in mathml(nodes.math("", r"\nonsense"), as_block=False)
    assert "nonsense" in caplog.text


def test_columns_of_figures_are_found():
    from figures import columns_of_numbers, is_number

    numbers = [".97", "0.963 ± 0.002", "−3", "- 3.2 dB", "12 s", "–", "nan", "< .001", "1025x79"]
    assert all(map(is_number, numbers))
    words = ["STFT", "a - b", "5 % of the labels, with all layers free", "", "conv1", "."]
    assert not any(map(is_number, words))
    rows = [["one", "1.5", "", "1st"], ["2 of them", "–", "7", "second"], ["no", "x", "", "last"]]
    assert columns_of_numbers(rows) == [1, 2]
