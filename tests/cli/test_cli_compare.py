"""``skstrf compare``, and what all experiments of the command line share.

Results repeat bit for bit, and an interrupted run resumes.
"""

import json
import os

import numpy as np
import pytest
import soundfile

from skstrf.__main__ import main
from skstrf.experiments import comparison
from tests.cli.sounds import FAST, RATE, names

QUICK = [*FAST, "--rates", "4", "--scales", "1", "--duration", "0.4", "--device", "cpu"]


def compare(folder, out, *more):
    return main(["compare", str(folder), "-o", str(out), *QUICK, *more])


def bits(out):
    written = json.loads((out / "results.json").read_text(encoding="utf-8"))
    times = written.pop("times")
    assert times
    return json.dumps(written)


@pytest.mark.parametrize("command", ["compare", "channels", "transfer"])
def test_results_repeat_bit_for_bit(sounds, tmp_path, capsys, figures, command):
    quick = [*QUICK, "--seeds", "2"]
    if command == "compare":
        figures.undo()  # no other test draws those of this command
        arguments = ["compare", str(sounds), "--what", "classifiers"]
    elif command == "channels":
        arguments = ["channels", str(sounds), "--best", "1", "--mpca", "0.9"]
    else:
        arguments = ["transfer", str(sounds), str(sounds), "--shares", "0.5"]
        quick = [option for option in quick if option != "--folds"]
        quick.remove("2")  # the number of folds
    for place in ("a", "b"):
        assert main([*arguments, "-o", str(tmp_path / place), *quick]) == 0
        assert str(tmp_path / place / "report.html") in capsys.readouterr().out
    assert bits(tmp_path / "a") == bits(tmp_path / "b")
    assert "seconds" not in bits(tmp_path / "a")


def test_an_interrupted_comparison_resumes(sounds, tmp_path, monkeypatch):
    seen, real = [], comparison.evaluate_seed

    def counting(tail, X, y, plan, seed):
        seen.append((type(tail[-1]).__name__, seed))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return real(tail, X, y, plan, seed)

    monkeypatch.setattr(comparison, "evaluate_seed", counting)
    out = tmp_path / "out"
    more = ["--what", "classifiers", "--seeds", "2"]
    assert compare(sounds, out, *more) == 130
    assert names(out) == ["cache"]
    (damaged, *_) = sorted((out / "cache" / "parts").glob("*.json"))
    damaged.write_text("{")
    assert compare(sounds, out, *more) == 0
    # Eight parts: three before the interruption, one of which is damaged.
    assert len(seen) == 4 + 5 + 1
    assert compare(sounds, out, *more) == 0
    assert len(seen) == 10
    # Other settings never meet old parts.
    assert compare(sounds, out, *more[:2], "--seeds", "1", "--seed", "2") == 0
    assert len(seen) == 14


def test_a_wrong_option_leaves_nothing(sounds, tmp_path, capsys):
    out = tmp_path / "out"
    more = ["--what", "classifiers", "--learner", "linear"]
    assert compare(sounds, out, *more) == 2
    assert "--learner is not for --what classifiers" in capsys.readouterr().err
    assert compare(tmp_path / "none", out) == 2
    assert compare(sounds, out, "--what", "reductions", "--rates", "8", "4") == 2
    assert not out.exists()


def test_names_that_are_not_text_are_escaped(tmp_path, capsysbinary):
    folder = os.fsencode(tmp_path / "sounds")
    rng = np.random.default_rng(0)
    for name in (b"caf\xe9", b"b\x1b[31m"):
        os.makedirs(os.path.join(folder, name))
        for index in range(3):
            sound = rng.standard_normal(RATE // 2).astype(np.float32)
            with open(os.path.join(folder, name, b"%d\n\xff.wav" % index), "wb") as file:
                soundfile.write(file, sound, RATE, format="WAV")
    out = tmp_path / "out"
    assert main(["classify", str(tmp_path / "sounds"), "-o", str(out), *QUICK]) == 0
    capsysbinary.readouterr()
    model = str(out / "model.skops")
    missing = os.fsdecode(os.path.join(folder, b"gone\xe9"))
    assert main(["predict", model, str(tmp_path / "sounds"), missing]) == 1
    printed = capsysbinary.readouterr()
    lines = printed.out.decode("ascii").splitlines()
    assert len(lines) == 6
    assert lines[0].split("\t")[0].endswith("/b\\x1b[31m/0\\n\\xff.wav")
    assert b"gone\\xe9: does not exist" in printed.err
    assert main(["predict", model, str(tmp_path / "sounds"), "--json"]) == 0
    rows = json.loads(capsysbinary.readouterr().out)
    assert os.fsencode(rows[0]["file"]).endswith(b"/0\n\xff.wav")
