"""The command line: help, errors, interrupts."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest

from skstrf import __version__
from skstrf.__main__ import main
from tests.cli.sounds import FAST, names


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
    import skstrf.model_io

    def fail(path):
        raise RuntimeError("the moon fell down")

    monkeypatch.setattr(skstrf.model_io, "load_model", fail)
    assert main(["predict", "m.skops", "a.wav"]) == 1
    assert "unforeseen RuntimeError: the moon fell down" in capsys.readouterr().err


def test_an_interrupt_in_the_middle_is_130(monkeypatch, capsys):
    import skstrf.model_io

    def interrupt(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(skstrf.model_io, "load_model", interrupt)
    assert main(["predict", "m.skops", "a.wav"]) == 130
    assert capsys.readouterr().err == "skstrf: interrupted\n"


@pytest.fixture
def listening():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_an_interrupt_that_a_library_makes_into_an_error_is_130(monkeypatch, listening):
    import skstrf.model_io

    def swallow(path):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise ImportError("half a library") from None

    monkeypatch.setattr(skstrf.model_io, "load_model", swallow)
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
    command += ["--rates", "4"]
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
@pytest.mark.parametrize(
    "moment", [pytest.param(".skstrf-*", marks=pytest.mark.slow), ".skstrf-*/results.json"]
)
def test_an_interrupt_leaves_no_half_written_file(sounds, tmp_path, moment):
    out = tmp_path / "out"
    process = _started(sounds, out)
    while not list(out.glob(moment)) and process.poll() is None:
        time.sleep(0.002)
    _ended(process, signal.SIGINT, out)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
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
