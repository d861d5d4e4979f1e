"""MP3 files whose header does not say how long they are."""

import numpy as np
import pytest
import soundfile
from scipy.signal import correlate

from skstrf.datasets import AudioReadError, audio_info, read_audio
from skstrf.datasets.lengths import count_mp3_samples

SIZE = (5032).to_bytes(4, "little")
APE_ENDS = [
    b"APETAGEX" + (2000).to_bytes(4, "little") + SIZE + bytes(7) + flags + bytes(8)
    for flags in (b"\xa0", b"\x80")  # header, footer
]
APE = APE_ENDS[0] + bytes(5000) + APE_ENDS[1]
ID3V1 = b"TAG" + b" " * 125
LYRICS = b"LYRICSBEGININD0000200LYR00050" + b"x" * 50 + b"000079LYRICS200"
OLD_LYRICS = b"LYRICSBEGIN" + b"words " * 50 + b"LYRICSEND"
ID3_FOOTER = b"ID3\x04\0\x10\0\0\x04\x58" + bytes(600) + b"3DI\x04\0\x10\0\0\x04\x58"
ID3V2 = b"ID3\x03\0\0" + bytes([0, 0, 16, 5]) + b"\xff\xfb\x90\x00" * 500 + bytes(53)


@pytest.fixture
def headerless(tmp_path):
    """Write noise as MP3; returns the path, after the frame with the length was taken out."""

    def make(sample_rate, mode, n_channels=1, before=b"", after=b"", seconds=2):
        path = tmp_path / "a.mp3"
        noise = 0.1 * np.random.default_rng(0).standard_normal((seconds * sample_rate, n_channels))
        soundfile.write(path, noise, sample_rate, bitrate_mode=mode, compression_level=0.5)
        assert count_mp3_samples(path) is None
        assert audio_info(path).n_frames == seconds * sample_rate
        content = path.read_bytes()
        tagged = max(content[:200].find(b"Xing"), content[:200].find(b"Info"))
        assert tagged > 0
        second = content.index(content[:2], tagged)
        path.write_bytes(before + content[second:] + after)
        return path

    return make


@pytest.mark.parametrize("sample_rate", [8000, 22050, 44100])
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(
    ("before", "after"), [(b"", b""), (b"", ID3V1), (b"", APE + ID3V1), (ID3V2, b"")]
)
def test_constant_bit_rate_is_read_to_its_end(headerless, sample_rate, n_channels, before, after):
    path = headerless(sample_rate, "CONSTANT", n_channels, before, after)
    info = audio_info(path)
    # The encoder adds its delay, and fills up the last frame.
    assert 0 <= info.n_frames - 2 * sample_rate < 3 * 1152 and info.is_complete
    sound = read_audio(path, sample_rate=sample_rate)
    assert sound.size == info.n_frames
    noise = 0.1 * np.random.default_rng(0).standard_normal((2 * sample_rate, n_channels))
    likeness = correlate(sound, noise.mean(axis=1)[1000:-1000], "valid", method="fft")
    assert likeness.max() > 5 * np.median(np.abs(likeness))
    part = read_audio(path, sample_rate=sample_rate, offset=0.7, duration=0.5)
    start = round(0.7 * sample_rate)
    np.testing.assert_allclose(part, sound[start : start + part.size], atol=1e-6)


@pytest.mark.parametrize(
    "after",
    [
        LYRICS,
        LYRICS + ID3V1,
        OLD_LYRICS + ID3V1,
        APE + LYRICS + ID3V1,
        APE[32:],  # without its header
        ID3_FOOTER,
        ID3V2,
        bytes(70_000),
        ID3V1 + bytes(3),
    ],
)
def test_tags_and_zeros_after_the_sound_are_no_sound(headerless, after):
    path = headerless(44100, "CONSTANT")
    whole = audio_info(path)
    path.write_bytes(path.read_bytes() + after)
    assert audio_info(path) == whole and whole.is_complete
    np.testing.assert_allclose(read_audio(path, duration=2.0).shape, (32000,))
    path.write_bytes(path.read_bytes()[:-300] + b"\xff" + bytes(range(250)))
    if after == LYRICS:  # the other endings swallow what is cut off
        assert not audio_info(path).is_complete


@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_variable_bit_rate_without_a_length_is_refused(headerless, sample_rate):
    path = headerless(sample_rate, "VARIABLE")
    n_samples, is_complete = count_mp3_samples(path)
    assert 0 <= n_samples - 2 * sample_rate < 3 * 1152 and is_complete
    with pytest.raises(AudioReadError, match=r"a.mp3: is mp3 of variable bit rate.*ffmpeg"):
        read_audio(path)


def test_truncated_without_a_length(headerless, halve):
    path = headerless(44100, "CONSTANT")
    whole = read_audio(path)
    halve(path)
    with pytest.raises(AudioReadError, match="cut short"):
        read_audio(path)
    with pytest.raises(AudioReadError, match="cut short"):
        read_audio(path, duration=1.5)
    np.testing.assert_allclose(read_audio(path, duration=0.8), whole[:12800], atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"ID3", b"\xff" * 300, b"\xff\xfb\x90\x00", bytes(5000)])
def test_what_has_no_frames_has_no_count(tmp_path, content):
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    assert count_mp3_samples(path) is None
