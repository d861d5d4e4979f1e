"""What a release says of itself agrees."""

import re
from pathlib import Path

import skstrf

ROOT = Path(__file__).parents[1]


def test_version_and_date_are_the_same_everywhere():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    released = re.search(r"^## \[(\d[^]]*)\] - (\S+)$", changes, re.MULTILINE)
    assert released[1] == skstrf.__version__
    assert f"\nversion: {released[1]}\n" in citation
    assert f"\ndate-released: {released[2]}\n" in citation
