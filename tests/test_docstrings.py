"""Docstrings of everything on the API pages are complete, in the order numpydoc gives."""

import re
from pathlib import Path

import pytest

import skstrf

validate = pytest.importorskip("numpydoc.validate").validate

# Sections, their order and form, a summary in one sentence, every parameter documented, in order,
# and what is returned.
CHECKS = {
    *("GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "SS01", "SS02", "SS03"),
    *("PR01", "PR02", "PR03", "PR05", "PR07", "PR10", "RT01", "RT03", "YD01"),
}


def public_names():
    """Names that docs/api.rst lists, with their modules."""
    text = (Path(__file__).parent.parent / "docs" / "api.rst").read_text(encoding="utf-8")
    module = "skstrf"
    for line in text.splitlines():
        if found := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = found[1]
        elif found := re.fullmatch(r"   ([A-Za-z_]\w*)", line):
            yield f"{module}.{found[1]}"


@pytest.mark.parametrize("name", sorted(set(public_names())))
def test_docstring(name):
    faults = [fault for fault in validate(name)["errors"] if fault[0] in CHECKS]
    assert not faults


def test_faults_are_found():
    assert validate("skstrf.cli.program.run")["errors"]


def test_the_page_lists_what_users_call_and_no_more():
    """All names of the package itself; a new estimator or package may raise the limit."""
    names = set(public_names())
    assert {f"skstrf.{name}" for name in skstrf.__all__} - {"skstrf.__version__"} <= names
    assert 70 <= len(names) <= 115
