"""``skstrf transfer`` as its users meet it."""

import json

import pytest
import soundfile

from skstrf.__main__ import main
from skstrf.datasets import make_ripple_genres

FAST = [
    "--rates",
    "4",
    "--scales",
    "1",
    "--shares",
    "0.5",
    "1",
    "--seeds",
    "1",
    "--max-epochs",
    "1",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of two classes each, ripples of four kinds."""
    X, y = make_ripple_genres(5, 4, duration=0.3, spread=0, random_state=0)
    place = tmp_path_factory.mktemp("transfer")
    for number, x in enumerate(X):
        path = place / ("first", "second")[y[number] // 2] / f"kind{y[number]}" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, x, 16000)
    return place / "first", place / "second"


def transfer(folders, out, *options):
    return main(["transfer", *map(str, folders), "-o", str(out), *FAST, *options])


def test_two_folders_become_a_report(folders, tmp_path, capsys):
    assert transfer(folders, tmp_path / "out", "--cache", str(tmp_path / "cache")) == 0
    printed = capsys.readouterr().out
    assert "from scratch" in printed and str(tmp_path / "out" / "report.html") in printed
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert results["source"]["classes"] == ["kind0", "kind1"]
    assert results["target"]["classes"] == ["kind2", "kind3"]
    assert {run["fraction"] for run in results["runs"]} == {0.5, 1.0}
    assert "From first to second" in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert list((tmp_path / "cache").rglob("*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shares", "2"], "2 is not in (0, 1]"),
        (["--seeds", "0"], "0 is not a positive whole number"),
        (["--device", "moon"], "moon"),
        (["--rates", "fast"], "--rates takes numbers"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    folders, tmp_path, capsys, options, message
):
    assert transfer(folders, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folders_that_are_not_there_or_empty(folders, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for bad in (tmp_path / "none", tmp_path / "empty"):
        for pair in ((bad, folders[1]), (folders[0], bad)):
            assert transfer(pair, tmp_path / "out") == 2
            assert bad.name in capsys.readouterr().err
