"""``skstrf listen``: live classification of files, raw samples and a microphone."""

import io
import itertools
import json
import sys
import threading
import time
import types

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from skstrf import MPCA, AudioLoader, STRFTransformer
from skstrf.__main__ import main
from skstrf.live import Backlog, LiveClassifier, raw_blocks
from skstrf.model_io import save_model
from tests.cli.sounds import error_of


def fitted(**options):
    rng = np.random.default_rng(0)
    times = np.arange(9600) / 16000
    X = np.stack([np.sin(2 * np.pi * f * times) for f in (300, 1200) for _ in range(6)])
    X = (X + 0.1 * rng.standard_normal(X.shape)).astype(np.float32)
    y = np.repeat(["low", "high"], 6)
    strf = STRFTransformer(rates=[4, 8], scales=[1], frame_step=25, contrast=False, **options)
    return make_pipeline(strf, MPCA(0.9, vectorize=True), LogisticRegression()).fit(X, y), X


@pytest.fixture(scope="module")
def live_model():
    return fitted(causal=True)


@pytest.fixture(scope="module")
def path(live_model, tmp_path_factory):
    """A model file whose pipeline begins with a loader, as that of skstrf classify."""
    model, _ = live_model
    loader = AudioLoader(duration=0.6).fit(["none.wav"])
    file = tmp_path_factory.mktemp("live") / "model.skops"
    save_model(Pipeline([("loader", loader), *model.steps]), file)
    return str(file)


def test_the_first_prediction_is_that_of_the_clip(live_model):
    model, X = live_model
    for x in X[::5]:
        live = LiveClassifier(model)
        predictions = [p for block in np.array_split(np.tile(x, 3), 41) for p in live.push(block)]
        np.testing.assert_allclose(
            predictions[0].probabilities, model.predict_proba(x[None])[0], atol=1e-5
        )
        assert len(predictions) == 9 - 2  # windows of 200 ms in 1.8 s, of which 3 are a clip
        assert predictions[0].tensor.shape == (1, 4, 128, 3)
        assert predictions[-1].probabilities.argmax() == predictions[0].probabilities.argmax()


def test_models_that_cannot_run_live(live_model):
    model, _ = live_model
    with pytest.raises(ValueError, match="causal=False"):
        LiveClassifier(fitted()[0])
    with pytest.raises(ValueError, match="does not begin with"):
        LiveClassifier(LogisticRegression())
    with pytest.raises(ValueError, match="not fitted"):
        LiveClassifier(make_pipeline(STRFTransformer(causal=True), LogisticRegression()))
    live = LiveClassifier(model)
    with pytest.raises(ValueError, match="mono"):
        live.push(np.zeros((2, 10)))
    with pytest.raises(ValueError, match="NaN"):
        live.push([np.nan])


def test_a_live_source_drops_what_is_late():
    blocks = [np.full(100, k) for k in range(50)]
    backlog = Backlog(iter(blocks), 1000, 0.5, live=True)
    backlog._thread.join(5)  # the source is done before anything is taken
    assert [int(block[0]) for block in backlog] == [0, 1, 2, 3, 4]
    assert backlog.n_dropped == 4500


def test_other_sources_wait():
    blocks = [np.full(100, k) for k in range(200)]
    backlog = Backlog(iter(blocks), 1000, 0.5, live=False)
    time.sleep(0.05)
    assert [int(block[0]) for block in backlog] == list(range(200))
    assert backlog.n_dropped == 0


def test_errors_of_a_source_are_raised_and_threads_end():
    def failing():
        yield np.zeros(10)
        raise OSError("gone")

    backlog = Backlog(failing(), 1000, 1, live=True)
    with pytest.raises(OSError, match="gone"):
        list(backlog)
    endless = Backlog(itertools.repeat(np.zeros(10)), 1000, 1, live=False)
    next(iter(endless))
    endless.stop()
    endless._thread.join(5)
    assert endless._thread not in threading.enumerate()


def test_raw_samples():
    samples = np.array([[100, 300], [-32768, -32768], [0, 2]], dtype="<i2")
    pieces = iter([samples.tobytes()[:5], samples.tobytes()[5:], b""])
    found = np.concatenate(list(raw_blocks(lambda _: next(pieces), "s16le", 2, 2)))
    np.testing.assert_allclose(found, np.array([200, -32768, 1]) / 32768)
    floats = iter([np.array([0.5, -0.25], "<f4").tobytes(), b""])
    found = np.concatenate(list(raw_blocks(lambda _: next(floats), "f32le", 1, 2)))
    np.testing.assert_allclose(found, [0.5, -0.25])


def test_files(path, tmp_path, capsys):
    for rate, name in ((16000, "a.wav"), (22050, "b.wav")):
        tone = np.sin(2 * np.pi * 300 * np.arange(2 * rate) / rate)
        soundfile.write(tmp_path / name, tone, rate)
        assert main(["listen", path, str(tmp_path / name), "--top", "2"]) == 0
        printed = capsys.readouterr()
        rows = [line.split("\t") for line in printed.out.splitlines()]
        assert len(rows) == 10 - 2
        assert all(row[1] == "low" and row[3] == "high" for row in rows)
        assert float(rows[0][0]) == pytest.approx(0.6, abs=0.02)
        assert "heard 2.0 s" in printed.err
    assert main(["listen", path, str(tmp_path / "a.wav"), "--map", "--duration", "0.7"]) == 0
    printed = capsys.readouterr().out
    assert "1 c/o |" in printed
    assert "-8 ... 8 Hz" in printed


def raw_stdin(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(data)))


def test_raw_samples_on_standard_input(path, capsys, monkeypatch):
    tone = np.sin(2 * np.pi * 1200 * np.arange(16000) / 16000)
    raw_stdin(monkeypatch, (20000 * tone).astype("<i2").tobytes())
    assert main(["listen", path, "-", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 3
    assert all(row["classes"][0]["class"] == "high" for row in rows)
    raw_stdin(monkeypatch, b"")
    assert main(["listen", path, "-"]) == 0
    assert "heard 0.0 s" in capsys.readouterr().err
    raw_stdin(monkeypatch, np.full(16000, np.nan, "<f4").tobytes())
    assert "NaN" in error_of(capsys, ["listen", path, "-", "--format", "f32le"])


class FakeMicrophone:
    """A module in the place of sounddevice, whose stream sends some blocks and vanishes."""

    class PortAudioError(Exception):
        pass

    def __init__(self, n_blocks, error=None):
        self.n_blocks, self.error = n_blocks, error

    def InputStream(self, *, callback, blocksize, **options):
        if self.error:
            raise self.PortAudioError(self.error)
        for _ in range(self.n_blocks):
            callback(np.zeros((blocksize, 1), np.float32), blocksize, None, None)
        return self

    active = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_a_microphone_that_vanishes(path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", FakeMicrophone(3))
    assert main(["listen", path]) == 2
    assert "the microphone has vanished" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "sounddevice", FakeMicrophone(3, "no device"))
    assert main(["listen", path]) == 2
    assert "the microphone cannot be used: no device" in capsys.readouterr().err


def test_without_sounddevice(path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["listen", path]) == 2
    assert 'pip install "skstrf[live]"' in capsys.readouterr().err


def test_control_c_is_a_clean_stop(path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(LiveClassifier, "push", interrupted)
    raw_stdin(monkeypatch, bytes(64000))
    assert main(["listen", path, "-"]) == 0
    printed = capsys.readouterr()
    assert "stopped" in printed.err
    assert printed.out == ""


def test_bad_models_and_files(path, tmp_path, capsys):
    assert "missing.skops" in error_of(capsys, ["listen", tmp_path / "missing.skops", "-"])
    save_model(fitted()[0], tmp_path / "model.skops")
    assert "causal=False" in error_of(capsys, ["listen", tmp_path / "model.skops", "-"])
    save_model(LogisticRegression(), tmp_path / "other.skops")
    assert "cannot run live" in error_of(capsys, ["listen", tmp_path / "other.skops", "-"])
    (tmp_path / "text.wav").write_text("no sound")
    assert "text.wav" in error_of(capsys, ["listen", path, tmp_path / "text.wav"])
