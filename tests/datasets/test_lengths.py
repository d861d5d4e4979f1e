"""Files that hold more sound than their header declares: never read by half without a word."""

import struct

import numpy as np
import pytest
import soundfile

from skstrf.datasets import AudioReadError, audio_blocks, audio_info, lengths, read_audio
from skstrf.datasets.loader import AudioLoader

RATE = 8000
# The container with the place of the size of its samples, and how that is written.
SIZES = {
    "WAV": (b"data", 4, "<I"),
    "WAVEX": (b"data", 4, "<I"),
    "RF64": (b"ds64", 16, "<Q"),
    "CAF": (b"data", 4, ">Q"),
    "AIFF": (b"SSND", 4, ">I"),
    "AU": (b".snd", 8, ">I"),
}


@pytest.fixture
def declare(tmp_path):
    """Write two seconds of noise whose header declares another size; returns the path."""

    def make(container, change, subtype="PCM_16", after=b""):
        path = tmp_path / f"a.{container.lower()}"
        noise = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE)
        soundfile.write(path, noise, RATE, format=container, subtype=subtype)
        content = bytearray(path.read_bytes())
        mark, ahead, form = SIZES[container]
        place = content.index(mark) + ahead
        (n_bytes,) = struct.unpack_from(form, content, place)
        struct.pack_into(form, content, place, change(n_bytes))
        path.write_bytes(content + after)
        return path

    return make


def refused(path, match, seconds):
    """The file is refused as a whole, and read up to its declared end."""
    for arguments in ({}, {"duration": seconds + 0.5}, {"offset": 0.1}):
        with pytest.raises(AudioReadError, match=rf"{path.name}: .*{match}"):
            read_audio(path, sample_rate=RATE, **arguments)
        with pytest.raises(AudioReadError, match=match):
            sum(block.size for block in audio_blocks(path, sample_rate=RATE, **arguments))
    assert not audio_info(path).is_complete
    if seconds:
        sound = read_audio(path, sample_rate=RATE, duration=seconds / 2)
        assert sound.shape == (round(RATE * seconds / 2),) and np.abs(sound).max() > 0.05


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize("container", SIZES)
def test_half_of_the_samples_declared(declare, container, subtype):
    refused(declare(container, lambda n: n // 2, subtype), "more sound than its header", 0.9)


@pytest.mark.parametrize("container", ["WAV", "RF64", "AU"])
def test_no_samples_declared(declare, container):
    path = declare(container, lambda n: n * 0)
    with pytest.raises(AudioReadError, match=r"more sound than its header declares.*Write"):
        read_audio(path)


@pytest.mark.parametrize("container", SIZES)
def test_the_right_size_is_right_whatever_follows(declare, container):
    for after in (b"", bytes(5000), b"TAG" + b" " * 125, b"ID3\x03\0\0\0\0\x04\x58" + b"x" * 600):
        path = declare(container, lambda n: n, after=after)
        assert audio_info(path).is_complete
        assert read_audio(path, sample_rate=RATE).shape == (2 * RATE,)


@pytest.mark.parametrize("n_times", [2 * RATE, 2 * RATE + 1])
def test_chunks_after_the_samples_are_no_samples(tmp_path, n_times):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(n_times), RATE, subtype="PCM_U8")
    chunks = b"LIST" + struct.pack("<I", 3000) + bytes(range(250)) * 12 + b"id3 \4\0\0\0abcd"
    content = path.read_bytes()
    for n_missing in (0, n_times % 2):  # the byte that makes the size even may be missing
        path.write_bytes(content[: len(content) - n_missing] + chunks)
        assert read_audio(path, sample_rate=RATE).shape == (n_times,)


def test_a_size_that_went_around_at_4_gigabytes(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(2 * RATE, 0.1), RATE)
    with open(path, "r+b") as file:  # sparse: it takes no room
        file.truncate(2**32 + path.stat().st_size)
    refused(path, "more sound than its header declares", 2.0)


@pytest.mark.parametrize("name", ["a.ogg", "a.flac", "a.mp3", "a.au"])
@pytest.mark.parametrize("order", ["long first", "short first", "twice the same"])
def test_joined_files(tmp_path, name, order):
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)
    contents = []
    for seconds in {"long first": (3, 1), "short first": (1, 3)}.get(order, (2,)):
        soundfile.write(tmp_path / name, noise[: seconds * RATE], RATE)
        contents.append((tmp_path / name).read_bytes())
    path = tmp_path / name
    path.write_bytes(contents[0] + contents[-1])
    first = {"long first": 3, "short first": 1}.get(order, 2)
    refused(path, "joined|more sound than", first)


def test_flac_that_declares_too_little_or_nothing(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(2 * RATE), RATE)
    content = bytearray(path.read_bytes())
    rest = int.from_bytes(content[18:26], "big") >> 36 << 36
    for n_samples in (RATE, 2 * RATE - 2):
        content[18:26] = (rest | n_samples).to_bytes(8, "big")
        path.write_bytes(content)
        refused(path, "more sound than its header declares", n_samples / RATE)
    content[18:26] = rest.to_bytes(8, "big")
    path.write_bytes(content)
    with pytest.raises(AudioReadError, match=r"does not declare its length.*ffmpeg"):
        read_audio(path)
    assert read_audio(path, sample_rate=RATE, duration=1.5).shape == (12000,)


def test_one_such_file_never_loses_the_others(declare, tmp_path):
    half = declare("WAV", lambda n: n // 2)
    soundfile.write(tmp_path / "good.wav", np.full(2 * RATE, 0.1), RATE)
    loader = AudioLoader(RATE, duration=2.0, on_error="warn")
    with pytest.warns(UserWarning, match="more sound than its header"):
        sounds = loader.fit_transform([half, tmp_path / "good.wav"])
    assert (sounds[0] == 0).all() and (sounds[1] > 0).all()


@pytest.mark.parametrize("name", ["a.ogg", "a.flac"])
def test_a_long_file_is_not_searched_for_a_short_part(tmp_path, monkeypatch, name):
    path = tmp_path / name
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(9 * RATE), RATE)

    def search(*args):
        raise AssertionError("the file was searched")

    for function in ("_ogg_length", "_flac_length"):
        monkeypatch.setattr(lengths, function, search)
    assert read_audio(path, sample_rate=RATE, offset=1.0, duration=2.0).shape == (2 * RATE,)
    assert sum(b.size for b in audio_blocks(path, sample_rate=RATE, duration=2.0)) == 2 * RATE
    with pytest.raises(AssertionError, match="searched"):
        read_audio(path, duration=8.0)
