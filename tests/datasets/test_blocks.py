"""A sound file in blocks is the sound file."""

import numpy as np
import pytest
import soundfile

from skstrf.datasets import AudioReadError, audio_blocks, read_audio


def write(path, seconds, rate=22050, channels=1, **settings):
    rng = np.random.default_rng(0)
    sound = 0.1 * rng.standard_normal((round(seconds * rate), channels))
    soundfile.write(path, sound, rate, **settings)
    return path


def joined(blocks):
    return np.concatenate(list(blocks))


PARTS = [(None, 0.0), (5.0, 7.25), (20.0, 1.0)]
# Compressed files are slow to write: one part of each is quick.
CASES = [
    pytest.param(
        f"a.{kind}", *part, marks=[pytest.mark.slow] * (kind in late and part != PARTS[1])
    )
    for late in [("ogg", "mp3")]
    for kind in ("wav", "flac", *late)
    for part in PARTS
]


@pytest.mark.parametrize(("name", "duration", "offset"), CASES)
@pytest.mark.parametrize("sample_rate", [16000, 22050])
def test_blocks_joined_are_what_is_read_at_once(tmp_path, name, sample_rate, duration, offset):
    path = write(tmp_path / name, 15, channels=2)
    part = {"sample_rate": sample_rate, "duration": duration, "offset": offset}
    blocks = audio_blocks(path, **part)
    expected = read_audio(path, **part)
    np.testing.assert_array_equal(joined(blocks), expected)
    np.testing.assert_array_equal(joined(blocks), expected)  # a second time
    assert blocks.n_times == expected.size


def test_blocks_are_short(tmp_path):
    blocks = audio_blocks(write(tmp_path / "a.wav", 60), duration=120.0)
    assert max(block.size for block in blocks) <= 1 << 17


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_shortened_file_is_an_error_at_the_latest_at_its_end(tmp_path, name):
    path = write(tmp_path / name, 30)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioReadError, match="cut short"):
        joined(audio_blocks(path))
    part = joined(audio_blocks(path, duration=10.0))
    np.testing.assert_array_equal(part, read_audio(path, duration=10.0))


def test_bad_samples_and_missing_files_are_errors(tmp_path):
    sound = np.zeros(400_000, np.float32)
    sound[-5] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    with pytest.raises(AudioReadError, match="NaN"):
        joined(audio_blocks(tmp_path / "a.wav"))
    with pytest.raises(AudioReadError, match="does not exist"):
        audio_blocks(tmp_path / "b.wav")
    with pytest.raises(AudioReadError, match="leaves too little"):
        audio_blocks(tmp_path / "a.wav", offset=25.0)
