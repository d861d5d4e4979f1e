"""The command line, as its users meet it: files in, files and messages out."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import soundfile
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skstrf import AudioLoader, __version__
from skstrf.__main__ import main
from skstrf.persistence import load_model, read_metadata, save_model

RATE = 16000
FAST = ["--rates", "4", "8", "--scales", "1", "--max-epochs", "2", "--folds", "2"]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Threads cost more than they gain where everything is small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_folder(root, n_per_class=4, classes=("high", "low"), duration=0.5):
    """Write noise around a pitch of its own for each class."""
    rng = np.random.default_rng(0)
    times = np.arange(round(duration * RATE)) / RATE
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(n_per_class):
            carrier = np.sin(2 * np.pi * 300 * 4**number * times)
            sound = 0.3 * carrier * rng.standard_normal(times.size)
            soundfile.write(root / name / f"{index}.wav", sound.astype(np.float32), RATE)
    return root


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "sounds")


@pytest.fixture(scope="session")
def classified(sounds, tmp_path_factory):
    """The output folder of a classification."""
    out = tmp_path_factory.mktemp("classified") / "deep" / "out"
    assert main(["classify", str(sounds), "-o", str(out), *FAST, "--seed", "3"]) == 0
    return out


@pytest.fixture
def model(classified):
    return str(classified / "model.skops")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- classify


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


def test_classify_prints_the_accuracy_beside_chance(sounds, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["classify", str(sounds), "-o", str(out), *FAST]) == 0
    printed = capsys.readouterr()
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert f"accuracy {results['accuracy']['mean']:.3f} ± " in printed.out
    assert "chance 0.500" in printed.out
    assert str(out / "report.html") in printed.out
    assert "\r" not in printed.err  # no progress bar where there is no terminal


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


def _error(capsys, arguments):
    """Run, and give the single line on stderr that says what was wrong."""
    status = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert "Traceback" not in printed.err
    lines = printed.err.strip().splitlines()
    assert lines[-1].startswith(("skstrf classify: error: ", "skstrf predict: error: "))
    return lines[-1]


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
        assert message in _error(capsys, ["classify", folder, "-o", out, *FAST])
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
    assert message in _error(capsys, ["classify", sounds, "-o", out, *options])
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rates", "4", "100"], "rates"),
        (["--rates", "8", "4"], "rates"),
        (["--rates", "fast"], "--rates takes numbers or the word report, got: fast"),
        (["--scales", "1", "1000"], "scales"),
        (["--scales", "-1"], "scales"),
        (["--scales", "report", "1"], "--scales takes numbers or the word report"),
        (["--device", "abacus"], "abacus"),
        (["--metadata", "no.csv"], "no.csv does not exist"),
    ],
)
def test_settings_that_cannot_be_are_refused(sounds, tmp_path, capsys, options, message):
    out = tmp_path / "out"
    assert message in _error(capsys, ["classify", sounds, "-o", out, *FAST, *options])
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
    assert "is a file" in _error(capsys, ["classify", sounds, "-o", file, *FAST])
    error = _error(capsys, ["classify", sounds, "-o", file / "below", *FAST])
    assert "Cannot write to" in error
    assert file.read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_without_permission_is_refused(sounds, tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for out in (locked, locked / "below"):
        assert "Cannot write to" in _error(capsys, ["classify", sounds, "-o", out, *FAST])


def test_what_lies_in_the_output_folder_stays(sounds, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "report.html").write_text("old")
    assert _error(capsys, ["classify", sounds, "-o", out, *FAST, "--rates", "4", "100"])
    assert names(out) == ["notes.txt", "report.html"]
    assert (out / "report.html").read_text() == "old"
    assert main(["classify", str(sounds), "-o", str(out), *FAST]) == 0
    assert names(out) == ["model.skops", "notes.txt", "report.html", "results.json"]
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "report.html").read_text(encoding="utf-8") != "old"


# ---------------------------------------------------------------- predict


def test_predict_prints_a_line_a_file(sounds, model, capsys):
    files = [str(sounds / "low" / "1.wav"), str(sounds / "high" / "0.wav")]
    assert main(["predict", model, *files]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    expected = load_model(model).predict_proba(files)
    classes = load_model(model).classes_
    assert [row[0] for row in rows] == files
    assert [row[1] for row in rows] == classes[expected.argmax(axis=1)].tolist()
    np.testing.assert_allclose([float(row[2]) for row in rows], expected.max(axis=1), atol=5.1e-5)


def test_predict_searches_folders_and_gives_the_top_classes_as_json(sounds, model, capsys):
    assert main(["predict", model, str(sounds), "--json", "--top", "2"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == sorted(map(str, sounds.rglob("*.wav")))
    for row in rows:
        assert {item["class"] for item in row["classes"]} == {"high", "low"}
        first, second = (item["probability"] for item in row["classes"])
        assert first >= second
        assert first + second == pytest.approx(1, abs=1e-6)
        assert row["class"] == row["classes"][0]["class"]
        assert row["probability"] == first
    assert main(["predict", model, str(sounds / "low"), "--top", "9"]) == 0
    assert all(len(line.split("\t")) == 5 for line in capsys.readouterr().out.splitlines())


def test_predict_goes_on_after_bad_files(sounds, model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.wav").write_text("no sound")
    good = str(sounds / "low" / "1.wav")
    bad = [str(tmp_path / name) for name in ("missing.wav", "text.wav", "empty")]
    assert main(["predict", model, bad[0], bad[1], good, bad[2]]) == 1
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == [good]
    for name in bad:
        assert f"{name}: " in printed.err
    assert len(printed.err.splitlines()) == 3
    assert main(["predict", model, *bad]) == 1
    assert capsys.readouterr().out == ""
    assert main(["predict", model, good, bad[0], "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert ["error" in row for row in rows] == [False, True]


def test_predict_of_one_file_does_not_depend_on_the_others(sounds, model, capsys):
    file = str(sounds / "low" / "1.wav")
    assert main(["predict", model, file]) == 0
    alone = capsys.readouterr().out
    assert main(["predict", model, str(sounds)]) == 0
    assert alone in capsys.readouterr().out


def test_models_that_cannot_be_used_are_refused(sounds, tmp_path, capsys):
    import pickle

    file = sounds / "low" / "1.wav"
    text, pickled = tmp_path / "text.skops", tmp_path / "pickle.skops"
    text.write_text("no model")
    pickled.write_bytes(pickle.dumps(LogisticRegression()))
    other, half, unfitted = (tmp_path / f"{name}.skops" for name in ("other", "half", "unfitted"))
    save_model(LogisticRegression(), other)
    save_model(make_pipeline(AudioLoader(), LogisticRegression()), unfitted)
    save_model(make_pipeline(AudioLoader(duration=1.0)).fit([str(file)]), half)
    for path, message in [
        (tmp_path / "missing.skops", "There is no model file"),
        (tmp_path, "is a folder"),
        (text, "text.skops is not a model file"),
        (pickled, "pickle.skops is not a model file"),
        (other, "other.skops holds a model of another kind (LogisticRegression)"),
        (half, "half.skops holds a model of another kind"),
        (unfitted, "not fitted"),
    ]:
        assert message in _error(capsys, ["predict", path, file])
    assert "--top" in _error(capsys, ["predict", other, file, "--top", "0"])


# ---------------------------------------------------------------- the program


@pytest.mark.parametrize(
    "command", [[], ["classify"], ["predict"], ["channels"], ["transfer"], ["demo"]]
)
def test_help_says_what_to_do(capsys, command):
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "usage: skstrf" in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"skstrf {__version__}"


def test_no_command_is_an_error(capsys):
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().err


def test_twice_verbose_shows_the_traceback(tmp_path, capsys):
    arguments = ["classify", str(tmp_path / "missing"), "-o", str(tmp_path / "out")]
    assert main([*arguments, "-v"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main([*arguments, "-v", "-v"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_something_unforeseen_is_told_from_wrong_arguments(monkeypatch, tmp_path, capsys):
    import skstrf.persistence

    def fail(path):
        raise RuntimeError("the moon fell down")

    monkeypatch.setattr(skstrf.persistence, "load_model", fail)
    assert main(["predict", "m.skops", "a.wav"]) == 1
    assert "unforeseen RuntimeError: the moon fell down" in capsys.readouterr().err


def test_an_interrupt_in_the_middle_is_130(monkeypatch, capsys):
    import skstrf.persistence

    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(skstrf.persistence, "load_model", interrupt)
    assert main(["predict", "m.skops", "a.wav"]) == 130
    assert capsys.readouterr().err == "skstrf: interrupted\n"


@pytest.fixture
def listening():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_an_interrupt_that_a_library_makes_into_an_error_is_130(monkeypatch, listening):
    import skstrf.persistence

    def swallow(path):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise ImportError("half a library") from None

    monkeypatch.setattr(skstrf.persistence, "load_model", swallow)
    before = signal.getsignal(signal.SIGINT)
    assert main(["predict", "m.skops", "a.wav"]) == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_nothing_of_the_process_is_left_changed(tmp_path):
    logger = logging.getLogger("skstrf")
    before = (signal.getsignal(signal.SIGINT), logger.level, list(logger.handlers))
    shown, filters = warnings.showwarning, list(warnings.filters)
    assert main(["predict", str(tmp_path / "m.skops"), "a.wav", "-v"]) == 2
    assert (signal.getsignal(signal.SIGINT), logger.level, list(logger.handlers)) == before
    assert warnings.showwarning is shown
    assert list(warnings.filters) == filters


def _started(sounds, out):
    """Start a classification, in whose output folder there is an old report."""
    out.mkdir()
    (out / "report.html").write_text("old")
    command = [sys.executable, "-m", "skstrf", "classify", str(sounds), "-o", str(out), *FAST]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "-v"], stderr=subprocess.PIPE, env=environment, text=True, preexec_fn=_listen
    )


def _listen():
    """Undo what a shell does to its background jobs: it has them ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _ended(process, number, out):
    """Send a signal and look at what it leaves."""
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in error
    assert error.endswith("skstrf: interrupted\n")
    assert names(out) == ["report.html"]
    assert (out / "report.html").read_text() == "old"


# What has to be there before the interrupt comes: the folder for half-written files, then one
# of them.
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
@pytest.mark.parametrize("moment", [".skstrf-*", ".skstrf-*/results.json"])
def test_an_interrupt_leaves_no_half_written_file(sounds, tmp_path, moment):
    out = tmp_path / "out"
    process = _started(sounds, out)
    while not list(out.glob(moment)) and process.poll() is None:
        time.sleep(0.002)
    _ended(process, signal.SIGINT, out)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_training_stops_it(sounds, tmp_path, number):
    out = tmp_path / "out"
    process = _started(sounds, out)
    for line in process.stderr:
        if "CNNClassifier" in line:
            break
    _ended(process, number, out)


def test_it_starts_without_loading_what_it_does_not_need():
    code = (
        "import sys; from skstrf.__main__ import main; main(['--version']);"
        "print(sorted({'torch', 'sklearn', 'matplotlib', 'librosa'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_the_quick_demo_runs(tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "-o", str(out), "--quick"]) == 0
    assert names(out) == ["model.skops", "report.html", "results.json"]
    printed = capsys.readouterr().out
    assert str(out / "report.html") in printed
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["accuracy"]["mean"] > results["chance"]["mean"]
    assert set(results["extra"]) == {"new_library"}
