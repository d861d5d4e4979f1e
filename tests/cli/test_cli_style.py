"""``skstrf style`` for files and folders."""

import json

import numpy as np
import pytest
import soundfile

from skstrf.__main__ import main
from skstrf.experiments import run_style

RATE = 11025


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clicks in stereo at their own rate, hiss, silence, and a file that is no sound."""
    root = tmp_path_factory.mktemp("style")
    rng = np.random.default_rng(0)
    times = np.arange(RATE) / RATE
    clicks = 0.4 * np.sin(2 * np.pi * 500 * times) * np.exp(-12 * (times % 0.25))
    clicks *= 0.1  # room for peaks of the results
    soundfile.write(root / "clicks.wav", np.stack([clicks, 0.5 * clicks], axis=1), RATE)
    soundfile.write(root / "hiss.flac", 0.05 * rng.standard_normal(8000), 8000)
    soundfile.write(root / "silence.wav", np.zeros(8000), 8000)
    (root / "text.wav").write_text("no sound")
    return root


def test_only_the_wanted_seconds_are_read(folder, tmp_path, monkeypatch):
    long, n_read = tmp_path / "long.wav", []
    with open(folder / "clicks.wav", "rb") as source, open(long, "wb") as file:
        content = bytearray(source.read())
        n_bytes = 4000 * RATE * 4
        content[40:44] = n_bytes.to_bytes(4, "little")  # an hour, of which the rest is a hole
        file.write(content)
        file.truncate(44 + n_bytes)
    read = soundfile.SoundFile.read

    def counted(self, frames=-1, *args, **kwargs):
        n_read.append(frames)
        return read(self, frames, *args, **kwargs)

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    arguments = [str(long), str(folder / "hiss.flac"), "-o", str(tmp_path / "out.wav")]
    settings = ["--duration", "0.5", "--max-iter", "2", "--no-report"]
    assert main(["style", *arguments, *settings]) == 0
    assert soundfile.info(tmp_path / "out.wav").frames == RATE // 2
    assert sum(n_read) < 2 * RATE


def test_result_and_page(folder, tmp_path, capsys, figures):
    figures.undo()
    out = tmp_path / "new" / "out.wav"
    arguments = [str(folder / "clicks.wav"), str(folder / "hiss.flac"), "-o", str(out)]
    assert main(["style", *arguments, "--max-iter", "20"]) == 0
    sound, rate = soundfile.read(out)
    assert rate == RATE
    assert sound.shape == (RATE, 2)
    content, _ = soundfile.read(folder / "clicks.wav")
    assert sound.std() == pytest.approx(content.std(), rel=0.02)
    page = out.with_suffix(".html").read_text()
    assert page.count("<audio") == 3
    assert "clicks.wav in the style of hiss.flac" in page
    assert "Gram distance" in capsys.readouterr().out
    again = tmp_path / "again.flac"
    arguments[-1] = str(again)
    assert main(["style", *arguments, "--max-iter", "20", "--no-report"]) == 0
    assert not again.with_suffix(".html").exists()
    np.testing.assert_allclose(soundfile.read(again)[0], sound, atol=1e-4)


@pytest.mark.parametrize(
    ("names", "output", "message"),
    [
        (["clicks.wav", "silence.wav"], "o.wav", "sound 0 of the style is silent"),
        (["silence.wav", "hiss.flac"], "o.wav", "sound 0 of the content is silent"),
        (["clicks.wav", "text.wav"], "o.wav", "text.wav"),
        (["clicks.wav", "gone.wav"], "o.wav", "gone.wav"),
        (["clicks.wav", "hiss.flac"], "o.mp3", "must end with one of .wav, .flac, .ogg"),
        (["clicks.wav", "hiss.flac"], "clicks.wav", "would be overwritten"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    folder, tmp_path, monkeypatch, capsys, names, output, message
):
    monkeypatch.chdir(folder if output in names else tmp_path)
    before = sorted(p.name for p in folder.iterdir())
    assert main(["style", *(str(folder / name) for name in names), "-o", output]) == 2
    error = capsys.readouterr().err
    assert error.startswith("skstrf style: error: ")
    assert message in error
    assert not list(tmp_path.iterdir())
    assert sorted(p.name for p in folder.iterdir()) == before


def test_weights_of_zero(folder, tmp_path, capsys):
    files = [str(folder / "clicks.wav"), str(folder / "hiss.flac")]
    weights = ["--content-weight", "0", "--style-weight", "0"]
    assert main(["style", *files, "-o", str(tmp_path / "o.wav"), *weights]) == 2
    assert "both be 0" in capsys.readouterr().err


def test_interrupt_writes_the_best_so_far(folder, tmp_path, monkeypatch, capsys):
    from skstrf.style.base import ProgressReporter

    report = ProgressReporter.report

    def interrupt(self, n_done, values):
        if values["iteration"] == 5:
            raise KeyboardInterrupt
        report(self, n_done, values)

    monkeypatch.setattr(ProgressReporter, "report", interrupt)
    out = tmp_path / "o.wav"
    assert (
        main(["style", str(folder / "clicks.wav"), str(folder / "hiss.flac"), "-o", str(out)])
        == 130
    )
    assert "interrupted in sound 0" in capsys.readouterr().err
    assert "Interrupted: the best so far" in out.with_suffix(".html").read_text()
    assert soundfile.info(out).frames == RATE


def test_folders_are_compared_pair_by_pair_and_resume(folder, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("clicks.wav", "hiss.flac"):
        (data / name).write_bytes((folder / name).read_bytes())
    out = tmp_path / "a"
    arguments = ["style", str(data), "-o", str(out), "--sample-rate", "8000", "--duration", "0.5"]
    arguments += ["--network", "random", "--max-iter", "3"]
    assert main(arguments) == 0
    written = json.loads((out / "results.json").read_text())
    assert [p["network"] for p in written["pairs"]] == ["random"] * 2
    (out / "results.json").unlink()
    kept = sorted((out / "cache" / "parts").iterdir())
    assert len(kept) == 2
    kept[0].unlink()
    assert main(arguments) == 0
    again = json.loads((out / "results.json").read_text())
    assert written.pop("times") and again.pop("times")
    assert again == written
    page = (out / "report.html").read_text()
    assert page.count("<audio") == 6


def test_folders_and_files_are_told_apart(folder, tmp_path, capsys):
    out = str(tmp_path / "out")
    content = str(folder / "clicks.wav")
    for arguments, message in [
        ([content], "at least one sound file for the style"),
        ([str(folder), content, content], "one folder of styles"),
        ([str(folder), content], "is a file, not a folder"),
        ([str(folder), "--no-report"], "--report and --no-report are for files"),
        ([str(folder), "--report", "a.html"], "--report and --no-report are for files"),
    ]:
        assert main(["style", *arguments, "-o", out]) == 2
        assert message in capsys.readouterr().err


def test_pairs_that_cannot_be_used_do_not_stop_the_others(folder):
    names = ["clicks.wav", "silence.wav"]
    pairs = [(str(folder / name), str(folder / "hiss.flac")) for name in names]
    with pytest.warns(UserWarning, match="silent"):
        results = run_style(
            pairs, networks=["random"], sample_rate=8000, on_error="warn", max_iter=2
        )
    assert len(results.pairs) == 1
    assert "silence.wav" in results.skipped[0][0]
    with pytest.raises(ValueError, match="silent"):
        run_style(pairs, networks=["random"], sample_rate=8000, max_iter=2)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_result_beyond_full_scale_is_turned_down_and_that_is_said(
    folder, tmp_path, capsys, suffix
):
    loud = tmp_path / "loud.wav"
    clicks, rate = soundfile.read(folder / "clicks.wav")
    soundfile.write(loud, clicks / np.abs(clicks).max() * 1.48, rate, subtype="FLOAT")
    out = tmp_path / f"o{suffix}"
    arguments = ["style", str(loud), str(folder / "hiss.flac"), "-o", str(out), "--max-iter", "3"]
    assert main(arguments) == 0
    sound = soundfile.read(out)[0]
    assert np.abs(sound).max() == pytest.approx(1, abs=1e-4)
    assert (np.abs(sound) > 0.999).sum() < 5  # nothing is cut off
    printed = capsys.readouterr()
    assert "turned down by" in printed.err or "level reduced by" in printed.err
    assert "dB softer" in out.with_suffix(".html").read_text()


def test_the_report_says_how_much_softer_a_result_is(tmp_path, capsys):
    peaks = np.zeros((RATE, 1))
    peaks[::4000] = 0.99  # the texture of noise has no such peaks, but those of clicks do
    soundfile.write(
        tmp_path / "noise.wav",
        0.3 * np.random.default_rng(0).standard_normal(RATE).clip(-3, 3),
        RATE,
    )
    soundfile.write(tmp_path / "peaks.wav", peaks, RATE)
    out = tmp_path / "o.wav"
    arguments = [str(tmp_path / "noise.wav"), str(tmp_path / "peaks.wav"), "-o", str(out)]
    assert main(["style", *arguments, "--init", "style", "--max-iter", "3"]) == 0
    err = capsys.readouterr().err
    assert "level reduced by" in err
    reduced = err.split("level reduced by ")[1].split(" dB")[0]
    assert (
        f"The result is {reduced} dB softer than the content"
        in out.with_suffix(".html").read_text()
    )
