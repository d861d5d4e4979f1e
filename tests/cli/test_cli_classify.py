"""``skstrf classify`` as its users meet it."""

import json
import os

import numpy as np
import pytest
import soundfile

from skstrf import __version__
from skstrf.__main__ import main
from skstrf.model_io import read_metadata
from tests.cli.sounds import FAST, RATE, error_of, names, write_folder


def test_classify_writes_its_three_files(classified, sounds):
    assert names(classified) == ["model.skops", "report.html", "results.json"]
    results = json.loads((classified / "results.json").read_text(encoding="utf-8"))
    assert results["classes"] == ["high", "low"]
    assert results["random_state"] == 3
    assert len(results["predictions"]) == 8
    assert results["settings"]["loader"]["duration"] == 0.5
    assert results["settings"]["cnn"]["max_epochs"] == 2
    assert results["settings"]["strf"]["rates"] == [4.0, 8.0]
    html = (classified / "report.html").read_text(encoding="utf-8")
    assert "Classification of sounds" in html
    assert "0.5 s (the median length of the files, at most 30 s)" in html
    assert f"skstrf predict {classified / 'model.skops'} FILE..." in html
    metadata = read_metadata(classified / "model.skops")
    assert metadata["classes"] == ["high", "low"]
    assert metadata["accuracy"] == results["accuracy"]["mean"]
    assert metadata["versions"]["skstrf"] == __version__


def test_classify_prints_the_accuracy_beside_chance(classification):
    out, printed, messages = classification
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert f"accuracy {results['accuracy']['mean']:.3f} ± " in printed
    assert "chance 0.500" in printed
    assert str(out / "report.html") in printed
    assert "\r" not in messages  # no progress bar where there is no terminal


def write_metadata(folder, rows, header="file,class,split,group"):
    table = folder.parent / f"{len(rows)}.csv"
    table.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(table)


SPLIT = ["train", "train", "test", "elsewhere"]


def test_a_split_is_held_out_unless_folds_are_asked_for(sounds, tmp_path, capsys):
    rows = [f"{c}/{i}.wav,{c},{SPLIT[i]}," for c in ("high", "low") for i in range(4)]
    table = write_metadata(tmp_path / "x", rows)
    arguments = ["classify", str(sounds), "-o", str(tmp_path / "out"), "--metadata", table]
    assert main([*arguments, *FAST[:-2]]) == 0
    printed = capsys.readouterr().out
    assert "held-out test split, 2 sounds" in printed
    assert "elsewhere: accuracy" in printed
    assert main([*arguments, *FAST]) == 0
    printed = capsys.readouterr().out
    assert "stratified 2-fold cross-validation, 6 sounds" in printed
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "2 sounds of other splits than train, valid and test were left out" in html


def test_groups_are_kept_together(sounds, tmp_path, capsys):
    rows = [f"{c}/{i}.wav,{c},,g{i // 2}" for c in ("high", "low") for i in range(4)]
    table = write_metadata(tmp_path / "x", rows)
    out = tmp_path / "out"
    assert main(["classify", str(sounds), "-o", str(out), "--metadata", table, *FAST]) == 0
    assert "grouped 2-fold" in capsys.readouterr().out
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    folds = {}
    for row in results["predictions"]:
        group = int(os.path.basename(row["file"])[0]) // 2
        folds.setdefault(row["fold"], set()).add(group)
    assert sorted(folds.values(), key=min) == [{0}, {1}]


def test_bad_files_stop_it_or_are_reported(tmp_path, capsys):
    folder = write_folder(tmp_path / "sounds")
    (folder / "low" / "bad.wav").write_bytes(b"no sound at all")
    (folder / "loose.wav").write_bytes(b"")
    out = tmp_path / "out"
    arguments = ["classify", str(folder), "-o", str(out), *FAST]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "bad.wav" in error
    assert "--on-error warn" in error
    assert not out.exists()
    assert main([*arguments, "--on-error", "warn"]) == 0
    assert "bad.wav" in capsys.readouterr().err
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [os.path.basename(name) for name, _ in results["skipped"]] == ["loose.wav", "bad.wav"]
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "bad.wav" in html
    assert "loose.wav" in html


def test_a_file_found_bad_only_when_it_is_read_is_reported(tmp_path, capsys):
    folder = write_folder(tmp_path / "sounds")
    sound = np.full(8000, np.nan, dtype=np.float32)
    soundfile.write(folder / "low" / "nan.wav", sound, RATE, subtype="FLOAT")
    out = tmp_path / "out"
    arguments = ["classify", str(folder), "-o", str(out), *FAST]
    assert main(arguments) == 2
    assert "nan.wav" in capsys.readouterr().err
    assert main([*arguments, "--on-error", "warn"]) == 0
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [os.path.basename(name) for name, _ in results["skipped"]] == ["nan.wav"]
    assert len(results["predictions"]) == 8


def test_folders_that_cannot_be_learned_from_are_refused(tmp_path, capsys):
    out = tmp_path / "out"
    missing, empty, silent = tmp_path / "missing", tmp_path / "empty", tmp_path / "texts"
    empty.mkdir()
    (silent / "a").mkdir(parents=True)
    (silent / "a" / "notes.txt").write_text("no sound")
    one = write_folder(tmp_path / "one", classes=["only"])
    single = write_folder(tmp_path / "single")
    for index in range(1, 4):
        (single / "low" / f"{index}.wav").unlink()
    for folder, message in [
        (missing, "missing does not exist"),
        (empty, "No sound files"),
        (silent, "No sound files"),
        (one, "Only one class: only"),
        (single, "Classes with a single sound: low"),
        (tmp_path / "one" / "only" / "0.wav", "is a file, not a folder"),
    ]:
        assert message in error_of(capsys, ["classify", folder, "-o", out, *FAST])
        assert not out.exists()


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["high/0.wav,high"], "path,class", "lacks the column file"),
        (["high/0.wav,high"], "file,label", "lacks the column class"),
        ([], "file,class", "names no sound"),
        (["high/0.wav,a", "high/0.wav,a"], "file,class", "is listed before"),
        (["high/9.wav,a", "high/0.wav,b"], "file,class", "9.wav: does not exist"),
        (["high/0.wav,a,train", "low/0.wav,b,train"], "file,class,split", "split has no test"),
        (["high/0.wav,a,train", "low/0.wav,b,"], "file,class,split", "split is empty for 1"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(sounds, tmp_path, capsys, rows, header, message):
    table = write_metadata(tmp_path / "x", rows, header)
    out = tmp_path / "out"
    options = ["--metadata", table, *FAST[:-2]]
    assert message in error_of(capsys, ["classify", sounds, "-o", out, *options])
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rates", "4", "100"], "rates"),
        (["--rates", "8", "4"], "rates"),
        (["--rates", "fast"], "--rates takes numbers or the name eremeeva2017, got: fast"),
        (["--scales", "1", "1000"], "scales"),
        (["--scales", "-1"], "scales"),
        (["--scales", "eremeeva2017", "1"], "--scales takes numbers or the name eremeeva2017"),
        (["--device", "abacus"], "abacus"),
        (["--metadata", "no.csv"], "no.csv does not exist"),
    ],
)
def test_settings_that_cannot_be_are_refused(sounds, tmp_path, capsys, options, message):
    out = tmp_path / "out"
    assert message in error_of(capsys, ["classify", sounds, "-o", out, *FAST, *options])
    assert not out.exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--folds", "1"],
        ["--folds", "many"],
        ["--mpca", "1.5"],
        ["--mpca", "0"],
        ["--duration", "0"],
        ["--duration", "inf"],
        ["--sample-rate", "0"],
        ["--max-epochs", "0"],
        ["--seed", "-1"],
        ["--on-error", "ignore"],
        ["--nonsense"],
    ],
)
def test_arguments_that_make_no_sense_are_refused(tmp_path, capsys, options):
    assert main(["classify", "anywhere", "-o", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert options[0] in error
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_refused_before_the_work(sounds, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("mine")
    assert "is a file" in error_of(capsys, ["classify", sounds, "-o", file, *FAST])
    error = error_of(capsys, ["classify", sounds, "-o", file / "below", *FAST])
    assert "Cannot write to" in error
    assert file.read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_without_permission_is_refused(sounds, tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for out in (locked, locked / "below"):
        assert "Cannot write to" in error_of(capsys, ["classify", sounds, "-o", out, *FAST])


def test_what_lies_in_the_output_folder_stays(sounds, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "report.html").write_text("old")
    assert error_of(capsys, ["classify", sounds, "-o", out, *FAST, "--rates", "4", "100"])
    assert names(out) == ["notes.txt", "report.html"]
    assert (out / "report.html").read_text() == "old"
    assert main(["classify", str(sounds), "-o", str(out), *FAST]) == 0
    assert names(out) == ["model.skops", "notes.txt", "report.html", "results.json"]
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "report.html").read_text(encoding="utf-8") != "old"
