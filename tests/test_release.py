"""The files around the package agree with it: versions, commands, targets of make, extras."""

import configparser
import re
import shlex
from pathlib import Path
from textwrap import indent

import pytest

import skstrf
from skstrf.cli.program import build_parser

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.rst")),
    *sorted((ROOT / "docs" / "guide").glob("*.rst")),
    *sorted((ROOT / "docs" / "results").glob("*.rst")),
]


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def commands_of(page):
    """Lines of code that begin with `skstrf`, without comments and shells' prompts."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        text = indent("".join(blocks), "   ")
    for command in re.findall(r"^   +(?:\$ )?skstrf ([a-z]+ .*)$", text, re.MULTILINE):
        yield shlex.split(command, comments=True)


def test_version_and_date_are_the_same_everywhere():
    citation = text_of("CITATION.cff")
    released = re.search(r"^## \[(\d[^]]*)\] - (\S+)$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert released[1] == skstrf.__version__
    assert f"\nversion: {released[1]}\n" in citation
    assert f"\ndate-released: {released[2]}\n" in citation


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_the_pages_are_accepted(page):
    for arguments in commands_of(page):
        build_parser().parse_args(arguments)


def test_commands_are_found():
    assert len(list(commands_of(ROOT / "README.md"))) >= 8


def test_every_command_is_in_the_readme():
    (commands,) = [
        action.choices for action in build_parser()._actions if action.dest == "command"
    ]
    named = {arguments[0] for arguments in commands_of(ROOT / "README.md")} | {"demo"}
    assert named == set(commands)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".github/workflows/ci.yml"])
def test_targets_of_make_exist(name):
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`|run: |   )make ([a-z-]+)", text_of(name), re.MULTILINE))
    assert named
    assert named <= targets


def test_files_that_the_readme_names_exist():
    text = text_of("README.md")
    named = re.findall(r"`((?:docs|skstrf)/[\w/.-]+|[A-Z]+\.\w+)`|\]\((docs/[^)]+)\)", text)
    assert len(named) >= 4
    for first, second in named:
        assert (ROOT / (first or second)).exists(), first or second


def test_page_on_installation_lists_all_extras():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(re.findall(r"^``(\w+)``", text_of("docs/installation.rst"), re.MULTILINE))
    assert listed | {"test", "lint", "docs", "bench"} == set(setup["options.extras_require"])


def test_versions_are_pinned_for_all_dependencies():
    """Both files of constraints name every package of setup.cfg but the tools of bench."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    required = setup["options"]["install_requires"]
    for extra, lines in setup["options.extras_require"].items():
        required += "" if extra in ("bench", "dev", "docs", "lint") else lines
    names = set(re.findall(r"^([A-Za-z][\w-]*)", required, re.MULTILINE))
    for name in ("constraints.txt", "constraints-oldest.txt"):
        pinned = set(re.findall(r"^([A-Za-z][\w-]*)==", text_of(name), re.MULTILINE))
        assert names <= pinned, name
