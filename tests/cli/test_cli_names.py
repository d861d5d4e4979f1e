"""Names are data: any bytes are accepted, and printed so that no terminal obeys them."""

import io
import json
import logging
import os
import sys
import warnings

import numpy as np
import pytest
import soundfile

from skstrf.__main__ import main
from skstrf.corpus_store import open_tensors
from skstrf.utils.messages import warn_user
from tests.cli.sounds import FAST

pytestmark = pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
CLASSES = [os.fsdecode(b"b\xe9nd"), "\x1b[31mred\nline"]
SHOWN = [r"b\xe9nd", r"\x1b[31mred\nline"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd") / os.fsdecode(b"data\xfe")
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        content = io.BytesIO()
        noise = 0.1 * np.random.default_rng(0).standard_normal(8000)
        soundfile.write(content, noise, 16000, format="WAV")
        (root / name / os.fsdecode(b"\xff\x1b[2J.wav")).write_bytes(content.getvalue())
        (root / name / os.fsdecode(b"bad\xff\x07.wav")).write_bytes(b"RIFF")
    return root


def check_printed(capfdbinary):
    """Check that only harmless characters are printed, and that a bad file is named."""
    printed = capfdbinary.readouterr()
    text = (printed.out + printed.err).decode("utf-8")
    assert not any(ord(c) < 32 and c not in "\n\t" for c in text)
    assert r"bad\xff\x07.wav" in text
    return printed.out.decode()


def test_predict(odd, model, capfdbinary):
    assert main(["predict", model, str(odd)]) == 1
    lines = check_printed(capfdbinary).splitlines()
    assert [line.split("\t")[0].split("/")[-2:] for line in lines] == [
        [shown, r"\xff\x1b[2J.wav"] for shown in sorted(SHOWN)
    ]
    assert main(["predict", model, str(odd), "--json"]) == 1
    found = json.loads(capfdbinary.readouterr().out)
    assert len(found) == 4


def test_transform(odd, tmp_path, capfdbinary):
    store = tmp_path / os.fsdecode(b"\xfe.zarr")
    assert main(["transform", str(odd), "-o", str(store), *FAST[:5]]) == 1
    check_printed(capfdbinary)
    stored = open_tensors(store)
    assert sorted(set(stored.y)) == sorted(SHOWN)
    assert all(os.path.exists(odd / path) for path in stored.paths)
    assert main(["transform", str(odd), "-o", str(store), *FAST[:5]]) == 1  # resumes


@pytest.mark.slow
def test_stationarity(odd, tmp_path, capfdbinary):
    out = tmp_path / os.fsdecode(b"\xfe")
    options = ["--only", "STFT", "--surrogates", "19", "--max-lines", "8"]
    assert main(["stationarity", str(odd), "-o", str(out), *options]) == 1
    check_printed(capfdbinary)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "\x1b" not in page and r"bad\xff\x07.wav" in page and r"data\xfe</h1>" in page
    assert len(json.loads((out / "results.json").read_text())["files"]) == 2


def test_style(odd, tmp_path, capfdbinary):
    sounds = sorted(str(path) for path in odd.rglob("*2J.wav"))
    out = tmp_path / os.fsdecode(b"\xfe.flac")
    assert main(["style", *sounds, "-o", str(out), "--max-iter", "2"]) == 0
    assert soundfile.info(os.fsencode(out)).frames == 8000
    assert r"\xfe.flac" in capfdbinary.readouterr().out.decode()
    assert r"\xff\x1b[2J.wav" in out.with_suffix(".html").read_text(encoding="utf-8")
    bad = str(next(odd.rglob("bad*.wav")))
    assert main(["style", bad, bad, "-o", str(tmp_path / "b.wav")]) == 2
    check_printed(capfdbinary)


def test_an_error_of_encoding_is_not_taken_for_that_of_a_file(monkeypatch, capsys):
    def fail(path):
        "\udcff".encode()

    monkeypatch.setattr("skstrf.datasets.folder.check_folder", fail)
    assert main(["classify", "x", "-o", "y"]) == 1
    error = capsys.readouterr().err
    assert "unforeseen UnicodeEncodeError" in error
    assert "--on-error" not in error


def test_warnings_of_the_library_are_escaped():
    with pytest.warns(UserWarning, match=r"^\\x1b\[2J\nnext$"):
        warn_user("\x1b[2J\nnext")


def test_warnings_and_the_log_are_escaped(monkeypatch, tmp_path, capsys):
    # Processes of pytest exchange reports, with the log in them, as UTF-8 only.
    monkeypatch.setattr(logging.getLogger("skstrf"), "propagate", False)

    def warn(path):
        warnings.warn("\x1b[2J warned", stacklevel=1)
        logging.getLogger("skstrf").warning("%s", "\x1b[2J \udcff logged")
        raise ValueError("\x1b[2J refused")

    monkeypatch.setattr("skstrf.datasets.folder.check_folder", warn)
    assert main(["transform", str(tmp_path), "-o", str(tmp_path / "a.zarr")]) == 2
    error = capsys.readouterr().err
    for text in (r"\x1b[2J warned", r"\x1b[2J \xff logged", r"\x1b[2J refused"):
        assert text in error
    assert "\x1b" not in error


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_without_some_characters(monkeypatch, encoding):
    from skstrf.cli.outputs import print_results

    class Results:
        def summary(self):
            return "accuracy 0.5 ± 0.1 ☃"

    monkeypatch.setattr(
        "skstrf.cli.predict.run", lambda args: print_results(Results(), "out") or 0
    )
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["predict", "m", "a.wav"]) == 0
    assert stream.errors == "strict"
    text = stream.buffer.getvalue().decode(encoding)
    assert text.startswith(
        "accuracy 0.5 "
        + {"ascii": r"\xb1 0.1 \u2603", "latin-1": "± 0.1 \\u2603", "utf-8": "± 0.1 ☃"}[encoding]
    )
