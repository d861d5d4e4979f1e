"""``skstrf channels`` as its users meet it."""

import json

import pytest
import soundfile

from skstrf.__main__ import main
from skstrf.datasets import make_ripple_genres

FAST = ["--rates", "4", "8", "--scales", "1", "2", "--folds", "2", "--best", "2", "--mpca", "0.9"]


def write_folder(root, n_per_class=4, classes=("high", "low")):
    """Write ripples, a class of them for each name."""
    X, y = make_ripple_genres(n_per_class, 2, duration=0.5, spread=0, random_state=0)
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index, x in enumerate(X[y == number]):
            soundfile.write(root / name / f"{index}.wav", x, 16000)
    return root


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("channels") / "sounds", n_per_class=6)


def channels(folder, out, *options):
    return main(["channels", str(folder), "-o", str(out), *options])


def test_a_folder_becomes_a_report(sounds, tmp_path, capsys):
    out = tmp_path / "out"
    assert channels(sounds, out, *FAST, "--cache", str(tmp_path / "cache")) == 0
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "results.json"]
    printed = capsys.readouterr().out
    assert "best channel alone: scale " in printed and "chance 0.500" in printed
    assert str(out / "report.html") in printed
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in results["rows"]] == [
        "all channels", "best 2", "all channels, MPCA(0.9)", "best 2, MPCA(0.95)",
    ]  # fmt: skip
    assert (results["scales"], results["rates"]) == ([1, 2], [-8, -4, 4, 8])
    assert results["rows"][0]["accuracy"]["mean"] > results["chance"]
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "Channels of sounds" in html and "0.5 s (the median length" in html
    # The same command finds what it kept, and says the same.
    assert channels(sounds, tmp_path / "b", *FAST, "--cache", str(tmp_path / "cache")) == 0
    again = json.loads((tmp_path / "b" / "results.json").read_text(encoding="utf-8"))
    assert again["scores"] == results["scores"]
    assert [r["accuracy"] for r in again["rows"]] == [r["accuracy"] for r in results["rows"]]


def test_a_split_is_held_out_and_the_network_may_compare(sounds, tmp_path):
    rows = [
        f"{name}/{i}.wav,{name},{'train' if i < 4 else 'test'}"
        for name in ("high", "low")
        for i in range(6)
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["file,class,split", *rows]) + "\n", encoding="utf-8")
    options = [*FAST[:5], "--best", "1", "--mpca", "0.9", "--metadata", str(table)]
    options += ["--learner", "network", "--max-epochs", "1", "--seeds", "2"]
    assert channels(sounds, tmp_path / "out", *options) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert results["is_held_out"] and results["n_seeds"] == 2
    assert all(len(row["accuracy"]["values"]) == 2 for row in results["rows"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--best", "9"], "k has [9]: the tensors have 8 channels"),
        (["--best", "0"], "0 is not a positive whole number"),
        (["--mpca", "1.5"], "1.5 is not in (0, 1]"),
        (["--rates", "fast"], "--rates takes numbers"),
        (["--folds", "1"], "2 is the least"),
        (["--metadata", "none.csv"], "none.csv does not exist"),
        (["--device", "moon"], "moon"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(sounds, tmp_path, capsys, options, message):
    assert channels(sounds, tmp_path / "out", *FAST, *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folders_that_cannot_be_used(sounds, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for folder, message in [(tmp_path / "none", "none"), (tmp_path / "empty", "sound")]:
        assert channels(folder, tmp_path / "out", *FAST) == 2
        assert message in capsys.readouterr().err
    one = write_folder(tmp_path / "one", classes=("low",))
    assert channels(one, tmp_path / "out", *FAST) == 2
    assert "class" in capsys.readouterr().err
    two = write_folder(tmp_path / "two")
    (two / "low" / "bad.wav").write_bytes(b"RIFF")
    assert channels(two, tmp_path / "out", *FAST) == 2
    assert "With --on-error warn the other files are used" in capsys.readouterr().err
    assert channels(two, tmp_path / "out", *FAST, "--on-error", "warn") == 0
    assert "bad.wav" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
