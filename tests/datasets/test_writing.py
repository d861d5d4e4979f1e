"""Sounds are written completely or not at all, and never clipped without a warning."""

import os
import warnings

import numpy as np
import pytest
import soundfile

from skstrf.datasets.writing import check_sound_format, write_sound
from tests.hardening.test_full_disk import no_file_larger_than

NAMES = ["a.wav", "a.flac", "a.ogg"]


def noise(n_channels, n_times, peak):
    sound = np.random.default_rng(0).standard_normal((n_channels, n_times))
    return (peak * sound / np.abs(sound).max()).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_within_full_scale_is_written_as_it_is(tmp_path, name):
    sound = noise(2, 5000, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_sound(tmp_path / name, sound, 16000)
    read, rate = soundfile.read(tmp_path / name)
    assert rate == 16000 and read.shape == (5000, 2)
    if name != "a.ogg":
        soundfile.write(tmp_path / f"direct-{name}", sound.T, 16000)
        np.testing.assert_array_equal(read, soundfile.read(tmp_path / f"direct-{name}")[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_louder_sound_is_turned_down_by_one_gain(tmp_path, name):
    sound = 1.48 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000) * [[1.0], [0.25]]
    with pytest.warns(UserWarning, match=rf"{name}: The sound was turned down by 3.4 dB"):
        write_sound(tmp_path / name, sound, 16000)
    read = soundfile.read(tmp_path / name)[0].T
    if name != "a.ogg":
        np.testing.assert_allclose(read, sound / 1.48, atol=2 / 32768)
    gain = np.sqrt(np.square(read).mean(axis=1) / np.square(sound).mean(axis=1))
    np.testing.assert_allclose(gain, 1 / 1.48, rtol=0.05)


def test_minutes_of_ogg(tmp_path):
    write_sound(tmp_path / "a.ogg", np.zeros(130 * 48000, np.float32), 48000)
    assert soundfile.info(tmp_path / "a.ogg").frames == 130 * 48000


@pytest.mark.parametrize(
    ("name", "rate", "n_channels", "n_times", "message"),
    [
        ("a.mp3", 16000, 1, 10, "must end with one of .wav, .flac, .ogg"),
        ("a.ogg", 200_001, 1, 10, "OGG must be a whole number of at most 200000 Hz"),
        ("a.flac", 655_351, 1, 10, "FLAC must be"),
        ("a.wav", 16000.5, 1, 10, "WAV must be a whole number"),
        ("a.ogg", 16000, 256, 10, "OGG holds 1 to 255 channels, got 256"),
        ("a.flac", 16000, 9, 10, "FLAC holds 1 to 8 channels"),
        ("a.wav", 16000, 1025, 10, "WAV holds 1 to 1024 channels"),
        ("a.wav", 16000, 2, 2**30, "would exceed 4 GiB"),
    ],
)
def test_what_a_format_cannot_hold_is_said(name, rate, n_channels, n_times, message):
    with pytest.raises(ValueError, match=message):
        check_sound_format(name, rate, n_channels, n_times)


@pytest.mark.parametrize(
    ("name", "rate", "n_channels"),
    [("a.ogg", 200_000, 1), ("a.ogg", 1000, 255), ("a.flac", 655_350, 8), ("a.wav", 16000, 1024)],
)
def test_the_limits_themselves_can_be_written(tmp_path, name, rate, n_channels):
    write_sound(tmp_path / name, noise(n_channels, 2000, 0.5), rate)
    assert soundfile.info(tmp_path / name).frames == 2000


@pytest.mark.parametrize("n_bytes", [0, 100, 20_000])
@pytest.mark.parametrize("name", NAMES)
def test_a_sound_that_does_not_fit_is_an_error_and_leaves_nothing(tmp_path, name, n_bytes):
    with no_file_larger_than(n_bytes), pytest.raises(OSError, match="written completely"):
        write_sound(tmp_path / name, noise(1, 200_000, 0.5), 16000)
    assert not list(tmp_path.iterdir())


def test_a_sound_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not finite"):
        write_sound(tmp_path / "a.wav", np.array([0.0, np.nan]), 16000)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff\x1b.flac")
    with pytest.warns(UserWarning, match=r"\\xff\\x1b.flac: The sound"):
        write_sound(path, noise(1, 100, 2.0), 16000)
    assert path.exists()
