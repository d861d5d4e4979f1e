"""Reading one file: every format and every part."""

import os
import warnings

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from skstrf.datasets import AudioReadError, audio_blocks, audio_info, read_audio
from skstrf.datasets.audio import count_samples, fix_length
from tests.datasets.formats import TOLERANCE


@pytest.mark.parametrize("name", TOLERANCE)
def test_every_format_gives_back_the_sound(write, tone, name):
    sound = tone()
    got = read_audio(write(name), sample_rate=44100)
    assert got.dtype == np.float32
    assert got.shape == sound.shape
    assert np.abs(got - sound).max() <= TOLERANCE[name]
    assert np.corrcoef(got, sound)[0, 1] > 0.998


@pytest.mark.parametrize("name", TOLERANCE)
@pytest.mark.parametrize("sample_rate", [16000, 22050, 48000])
def test_resampling_equals_the_sound_made_at_that_rate(write, tone, name, sample_rate):
    got = read_audio(write(name), sample_rate=sample_rate)
    expected = tone(sample_rate)
    assert got.shape == expected.shape
    assert np.isfinite(got).all()
    middle = slice(sample_rate // 10, -sample_rate // 10)
    assert np.abs(got - expected)[middle].max() <= TOLERANCE[name] + 1e-4


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT", "DOUBLE", "PCM_U8", "ULAW"])
def test_every_sample_format_of_wav(write, tone, subtype):
    got = read_audio(write("a.wav", subtype=subtype), sample_rate=44100)
    assert np.abs(got - tone()).max() < (0.02 if subtype in ("PCM_U8", "ULAW") else 1e-6)


def test_opus_in_ogg(write, tone):
    path = write("a.opus", sample_rate=48000, format="OGG", subtype="OPUS")
    got = read_audio(path, sample_rate=48000)
    assert np.corrcoef(got, tone(48000))[0, 1] > 0.99


def test_stereo_is_averaged_or_kept(write, tone):
    left, right = tone(), 0.5 * tone(frequency=300.0)
    path = write("a.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    mono = read_audio(path, sample_rate=44100)
    np.testing.assert_allclose(mono, (left + right) / 2, atol=1e-7)
    both = read_audio(path, sample_rate=44100, mono=False)
    np.testing.assert_array_equal(both, np.stack([left, right]))
    assert read_audio(path, mono=False, duration=0.5).shape == (2, 8000)
    assert read_audio(write("m.wav"), mono=False).shape == (1, 16000)


def test_channels_resampled_apart_average_to_the_mono_sound(write):
    noise = np.random.default_rng(0).standard_normal((44100, 3)).astype(np.float32) * 0.1
    path = write("a.wav", noise, subtype="FLOAT")
    apart = read_audio(path, mono=False)
    np.testing.assert_allclose(apart.mean(axis=0), read_audio(path), atol=1e-6)


@pytest.mark.parametrize("name", TOLERANCE)
@pytest.mark.parametrize(
    ("file_rate", "sample_rate"), [(44100, 16000), (22050, 16000), (16000, 16000), (8000, 16000)]
)
def test_a_part_is_a_slice_of_the_whole(write, name, file_rate, sample_rate):
    # Noise under a slow envelope: what seeking in Vorbis and MP3 goes wrong on.
    random = np.random.default_rng(1)
    envelope = 1 + np.sin(2 * np.pi * 3 * np.arange(file_rate * 4) / file_rate)
    sound = (0.1 * random.standard_normal(file_rate * 4) * envelope).astype(np.float32)
    path = write(name, sound, file_rate)
    whole = read_audio(path, sample_rate=sample_rate)
    for offset in [0.0, 0.2, 1.0001, *random.uniform(0, 3.4, 6)]:
        part = read_audio(path, sample_rate=sample_rate, offset=offset, duration=0.5)
        start = round(offset * sample_rate)
        np.testing.assert_allclose(part, whole[start : start + part.size], atol=1e-6)
        rest = read_audio(path, sample_rate=sample_rate, offset=offset)
        np.testing.assert_allclose(rest, whole[start:], atol=1e-6)


def test_a_part_is_a_slice_of_the_whole_for_rates_without_common_factor(write):
    sound = np.random.default_rng(2).standard_normal(44101 * 3).astype(np.float32) * 0.1
    path = write("a.wav", sound, 44101, subtype="FLOAT")
    whole = read_audio(path)
    part = read_audio(path, offset=1.7, duration=0.6)
    np.testing.assert_allclose(part, whole[27200 : 27200 + 9600], atol=1e-6)


def test_only_the_wanted_part_is_decoded(write, monkeypatch):
    path = write("a.wav", seconds=20.0)
    read = []
    original = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile,
        "read",
        lambda self, frames=-1, *a, **k: read.append(frames) or original(self, frames, *a, **k),
    )
    read_audio(path, offset=10.0, duration=0.5)
    assert 0.5 * 44100 <= sum(read) < 0.7 * 44100


@pytest.mark.parametrize("seconds", [0.2, 0.7, 1.0, 1.3])
@pytest.mark.parametrize("name", TOLERANCE)
def test_duration_crops_and_pads_with_zeros_at_the_end(write, name, seconds):
    path = write(name)
    whole = read_audio(path)
    got = read_audio(path, duration=seconds)
    assert got.shape == (round(seconds * 16000),)
    n_kept = min(whole.size, got.size)
    np.testing.assert_allclose(got[:n_kept], whole[:n_kept], atol=1e-6)
    assert (got[n_kept:] == 0).all()


def test_padding_is_logged(write, caplog):
    caplog.set_level("INFO", logger="skstrf")
    path = write("a.wav")
    read_audio(path, duration=0.5)
    assert not caplog.records
    read_audio(path, duration=1.5)
    assert str(path) in caplog.text and "padded" in caplog.text


@given(
    n_file=st.integers(80, 3000),
    n_wanted=st.integers(1, 4000),
    start=st.integers(0, 3000),
    file_rate=st.sampled_from([8000, 11025, 16000]),
)
@settings(max_examples=60, deadline=None)
def test_any_length_wanted_is_the_length_got(tmp_path_factory, n_file, n_wanted, start, file_rate):
    path = tmp_path_factory.mktemp("sounds") / "a.wav"
    soundfile.write(path, np.full(n_file, 0.5), file_rate)
    arguments = {"sample_rate": 8000, "offset": start / 8000, "duration": n_wanted / 8000}
    left = n_file / file_rate - start / 8000
    if left < min(0.008, n_wanted / 8000) - 0.6 / file_rate:
        with pytest.raises(AudioReadError, match=r"short|too little"):
            read_audio(path, **arguments)
    elif left > min(0.008, n_wanted / 8000):
        sound = read_audio(path, **arguments)
        assert sound.shape == (n_wanted,)
        assert sound.dtype == np.float32
        n_there = max(0, int(left * 8000) + 1)
        assert (sound[n_there:] == 0).all()


@given(
    n=st.integers(0, 40),
    n_times=st.integers(1, 60),
    leading=st.lists(st.integers(1, 3), max_size=2),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_fix_length_keeps_the_start_and_the_dtype(n, n_times, leading, dtype):
    x = np.random.default_rng(0).standard_normal((*leading, n)).astype(dtype)
    fixed = fix_length(x, n_times)
    assert fixed.shape == (*leading, n_times) and fixed.dtype == dtype
    shared = min(n, n_times)
    np.testing.assert_array_equal(fixed[..., :shared], x[..., :shared])
    assert (fixed[..., shared:] == 0).all()
    np.testing.assert_array_equal(fix_length(fixed, n_times), fixed)


@given(st.floats(1e-3, 3600), st.integers(1000, 200_000))
def test_count_samples_rounds(duration, sample_rate):
    assert count_samples(duration, sample_rate) == round(duration * sample_rate)


def test_silence_is_legal(write):
    sound = read_audio(write("a.wav", np.zeros(44100)))
    assert sound.shape == (16000,) and (sound == 0).all()


def test_floats_beyond_full_scale_are_kept(write):
    path = write("a.wav", np.full(16000, 3.0), 16000, subtype="FLOAT")
    assert read_audio(path).max() == 3.0


def test_names_of_every_kind(write, tmp_path):
    path = write("ünï cödé 音.wav")
    for name in (path, str(path), os.fsencode(path)):
        assert read_audio(name).shape == (16000,)
    link = tmp_path / "link.wav"
    link.symlink_to(path)
    assert read_audio(link).shape == (16000,)


@pytest.mark.skipif(os.name == "nt", reason="file names are Unicode on Windows")
def test_a_name_that_is_not_utf8(write, tmp_path):
    path = write("a.wav")
    old = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    try:
        os.rename(path, old)
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    assert read_audio(os.fsdecode(old)).shape == (16000,)


def test_the_extension_does_not_decide(write):
    path = write("a.wav", format="FLAC")
    assert audio_info(path).format == "FLAC"
    assert read_audio(path).shape == (16000,)


@pytest.mark.parametrize(("name", "share"), [("a.wav", 1.0), ("a.wav", 0.999), ("a.ogg", 1.0)])
def test_channels_that_cancel_each_other_are_named(write, tone, name, share, caplog):
    path = write(name, np.stack([tone(), -share * tone()], axis=1))
    sound = read_audio(path)
    blocks = list(audio_blocks(path))
    assert np.abs(sound).max() < 4e-3
    np.testing.assert_array_equal(np.concatenate(blocks), sound)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2 and texts[0] == texts[1]
    assert texts[0].startswith(f"{path}: the channels cancel each other") and "remix 1" in texts[0]
    assert np.abs(read_audio(path, mono=False)).max() > 0.3
    read_audio(write(name, np.zeros((44100, 2))))
    read_audio(write(name, np.stack([tone(), -0.9 * tone()], axis=1)))
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("file_rate", "sample_rate"), [(48000, 44100), (96000, 22050), (32000, 16000), (12000, 22050)]
)
def test_exact_halves_are_rounded_up(write, file_rate, sample_rate):
    divisor = np.gcd(file_rate, sample_rate)
    for odd in (1, 3, 5):
        n_frames = odd * file_rate // (2 * divisor) + 1000 * file_rate // divisor
        path = write("a.wav", np.full(n_frames, 0.5), file_rate)
        n_times = audio_info(path).n_times(sample_rate)
        assert n_times == int(n_frames * sample_rate / file_rate + 0.5)
        blocks = audio_blocks(path, sample_rate=sample_rate)
        assert read_audio(path, sample_rate=sample_rate).size == n_times == blocks.n_times
        assert sum(block.size for block in blocks) == n_times


def test_numpy_integers_do_not_overflow(write):
    path = write("a.wav", seconds=3.0)
    assert read_audio(path, sample_rate=np.int32(48000)).shape == (144000,)
    assert audio_info(path).n_times(np.int16(16000)) == 48000


def test_no_warning_leaks(write):
    paths = [write(name) for name in TOLERANCE]
    paths.append(write("stereo.wav", np.zeros((16000, 2)), 16000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in paths:
            read_audio(path, duration=0.5)


def test_info_of_every_format(write):
    for name, container in zip(
        TOLERANCE, ["WAV", "FLAC", "AIFF", "AU", "OGG", "MP3"], strict=True
    ):
        info = audio_info(write(name, np.zeros((44100, 2))))
        assert (info.sample_rate, info.n_channels, info.n_frames) == (44100, 2, 44100)
        assert info.format == container and info.is_complete
        assert info.duration == 1.0
        assert info.n_times(16000, 0.25) == 12000
        assert info.n_times(16000, 5.0) == 0


@given(st.integers(360, 200_000), st.sampled_from([8000, 22050, 44100, 44101, 96000]))
@settings(max_examples=15, deadline=None)
def test_info_foretells_the_length_of_the_sound(tmp_path_factory, n_frames, file_rate):
    path = tmp_path_factory.mktemp("sounds") / "a.wav"
    soundfile.write(path, np.zeros(max(n_frames, file_rate // 100)), file_rate)
    assert read_audio(path).size == audio_info(path).n_times(16000)
