"""Reading one file: every format, every part, every way to be bad."""

import os
import pickle
import struct
import warnings

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from skstrf.datasets import AudioReadError, audio_info, read_audio
from skstrf.datasets.audio import count_samples, fix_length

# Largest error of a decoded sample, for a sound that peaks at .6: quantisation for the exact
# codings, what the codec takes away for the others.
TOLERANCE = {
    "a.wav": 1 / 2**15,
    "a.flac": 1 / 2**15,
    "a.aiff": 1 / 2**15,
    "a.au": 1 / 2**15,
    "a.ogg": 0.06,
    "a.mp3": 0.06,
}
EXACT = ["a.wav", "a.flac", "a.aiff", "a.au"]


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


# ---------------------------------------------------------------------- bad input


def fails(path, match, **arguments):
    """Reading fails; the message names the file, the reason and (a sentence on) the remedy."""
    with pytest.raises(AudioReadError, match=match) as caught:
        read_audio(path, **arguments)
    message = str(caught.value)
    assert str(path) in message
    assert caught.value.path == str(path)
    assert isinstance(caught.value, ValueError)
    return message


def test_missing(tmp_path, write):
    fails(tmp_path / "no.wav", "does not exist. Check")
    fails(write("a.wav") / "b.wav", "does not exist. Check")


def test_directory(tmp_path):
    fails(tmp_path, "is a folder.*load_audio_folder")


def test_empty(tmp_path):
    path = tmp_path / "a.wav"
    path.touch()
    fails(path, r"empty \(0 bytes\). Copy")


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.raw", "a.flac", "a"])
def test_not_sound(tmp_path, name):
    path = tmp_path / name
    path.write_text("This is a letter, not a sound.\n" * 100)
    fails(path, "is not sound.*Convert")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    fails(tmp_path / "a.wav", "pipe.*Save")


def test_link_to_itself(tmp_path):
    path = tmp_path / "a.wav"
    path.symlink_to(path)
    fails(path, "cannot be opened|does not exist")


def test_name_with_a_null():
    with pytest.raises(AudioReadError, match="not the name of a file"):
        read_audio("a\0b.wav")


def test_no_permission(write, monkeypatch):
    path = write("a.wav")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    # The super-user may read everything, so that chmod alone would not do.
    monkeypatch.setattr("builtins.open", refuse)
    fails(path, "permission denied.*Change")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="no such permissions here")
def test_no_permission_for_a_plain_user(write):
    path = write("a.wav")
    path.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        fails(path, "permission denied.*Change")
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", ["a.wav", "a.ogg", "a.aiff", "a.au"])
def test_zero_frames(write, name):
    fails(write(name, np.zeros(0)), "holds no sound")
    fails(write(name, np.zeros(0)), "holds no sound", duration=1.0)


@pytest.mark.parametrize("name", TOLERANCE)
@pytest.mark.parametrize("duration", [None, 1.0])
def test_one_sample_and_too_short(write, name, duration):
    fails(write(name, np.full(1, 0.5)), "too short: 1 samples", duration=duration)
    fails(write("a.wav", np.full(350, 0.5)), "too short.*8 ms.*Leave it out", duration=duration)
    assert read_audio(write("a.wav", np.full(353, 0.5))).shape == (128,)


def test_a_duration_under_one_frame_must_be_there_in_full(write):
    path = write("a.wav", np.full(16, 0.5), 16000)
    assert read_audio(path, duration=0.001).shape == (16,)
    fails(path, "too short", duration=0.002)


def test_offset_at_or_past_the_end(write):
    path = write("a.wav")
    for offset in (0.995, 1.0, 7.0, 1e9):
        fails(path, "lasts 1 s.*Lower the offset", offset=offset)
        fails(path, "lasts 1 s.*Lower the offset", offset=offset, duration=1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sample_rate", [44100, 16000])
def test_samples_that_are_not_finite(write, tone, value, sample_rate):
    sound = tone()
    sound[20000] = value
    path = write("a.wav", np.stack([sound, -sound], axis=1), subtype="FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fails(path, "NaN or infinite", sample_rate=sample_rate)
        fails(path, "NaN or infinite", sample_rate=sample_rate, mono=False)
        assert np.isfinite(read_audio(path, duration=0.3)).all()


def test_samples_that_overflow(write):
    huge = np.full(44100, 3.4e38, dtype=np.float32) * np.sign(np.sin(np.arange(44100)))
    fails(write("a.wav", huge.astype(np.float32), subtype="FLOAT"), "NaN or infinite")
    fails(write("b.wav", np.full(44100, 1e300), subtype="DOUBLE"), "NaN or infinite")


@pytest.mark.parametrize("share", [0.5, 0.97])
@pytest.mark.parametrize("name", TOLERANCE)
def test_truncated(write, halve, name, share):
    path = halve(write(name, seconds=3.0), share)
    fails(path, "is cut short or damaged.*Copy or download it again")
    fails(path, "is cut short", duration=3.0)
    fails(path, "is cut short", duration=4.0)
    fails(path, "is cut short", offset=0.5, duration=2.5)


@pytest.mark.parametrize("name", TOLERANCE)
def test_truncated_but_the_wanted_part_is_there(write, halve, name):
    # Noise, for enough bytes that an Ogg file has several pages.
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * 44100)
    path = write(name, noise)
    whole = read_audio(path)
    halve(path)
    part = read_audio(path, offset=0.2, duration=0.7)
    np.testing.assert_allclose(part, whole[3200 : 3200 + 11200], atol=1e-6)


@pytest.mark.parametrize("name", EXACT)
def test_truncated_right_after_the_wanted_part(write, name):
    noise = np.random.default_rng(0).integers(-3000, 3000, 88200).astype(np.int16)
    path = write(name, noise)
    whole = read_audio(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.501)])
    part = read_audio(path, duration=0.9 if name == "a.flac" else 1.0)
    np.testing.assert_allclose(part[:-100], whole[: part.size - 100], atol=1e-6)


def test_damaged_in_the_middle(write):
    path = write("a.flac", seconds=6.0)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = b"\0" * 3000
    path.write_bytes(content)
    fails(path, "is cut short or damaged")
    assert read_audio(path, duration=1.0).shape == (16000,)


def test_how_much_is_there_is_said(write, halve):
    message = fails(halve(write("a.wav", seconds=4.0)), "cut short")
    assert "about 1.9" in message and "of 4 s" in message


# ---------------------------------------------------------------------- headers that lie


def patch(path, position, content):
    data = bytearray(path.read_bytes())
    data[position : position + len(content)] = content
    path.write_bytes(data)
    return path


def lying_flac(path, n_frames):
    """Set the 36-bit number of samples in the STREAMINFO block."""
    data = path.read_bytes()
    field = int.from_bytes(data[18:26], "big") >> 36 << 36 | n_frames
    return patch(path, 18, field.to_bytes(8, "big"))


def test_terabytes_declared_by_flac(write):
    path = lying_flac(write("a.flac"), 2**36 - 1)
    assert audio_info(path).n_frames == 2**36 - 1
    fails(path, r"declares 1.5\d*e\+06 s.*max_duration")
    fails(path, "is cut short", max_duration=1e9)
    fails(path, "is cut short", duration=100.0)
    assert read_audio(path, duration=0.5).shape == (8000,)


@pytest.mark.parametrize("n_bytes", [0x7000_0000, 0xE000_0000])
def test_gigabytes_declared_by_wav(write, n_bytes):
    path = patch(write("a.wav"), 40, struct.pack("<I", n_bytes))
    fails(path, "is cut short")
    assert read_audio(path, duration=0.5).shape == (8000,)


def test_terabytes_declared_by_aiff_and_au(write):
    path = write("a.aiff")
    patch(path, path.read_bytes().index(b"SSND") + 4, struct.pack(">I", 0x7000_0000))
    fails(path, "is cut short|is not sound")
    fails(patch(write("a.au"), 8, struct.pack(">I", 0x7000_0000)), "is cut short")


@pytest.mark.parametrize("n_bytes", [0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000, 0xFFFF_FFFF - 44])
def test_streamed_wav_and_au_of_unknown_length_are_read(write, n_bytes):
    path = patch(write("a.wav"), 40, struct.pack("<I", n_bytes))
    patch(path, 4, struct.pack("<I", n_bytes))
    assert read_audio(path).shape == (16000,)
    assert read_audio(patch(write("a.au"), 8, b"\xff" * 4)).shape == (16000,)


def test_a_wrong_outer_size_alone_is_no_matter(write):
    path = write("a.wav")
    patch(path, 4, struct.pack("<I", path.stat().st_size))
    assert read_audio(path).shape == (16000,)


def test_bytes_after_the_sound_are_no_matter(write):
    for name in TOLERANCE:
        path = write(name)
        n_times = read_audio(path).size
        path.write_bytes(path.read_bytes() + b"TAG" + b" " * 125)
        assert read_audio(path).size == n_times, name


@pytest.mark.parametrize("sample_rate", [0, 1, 999, 2_000_000, 0xFFFF_FFF0])
def test_a_sample_rate_that_is_none(write, sample_rate):
    path = patch(write("a.wav"), 24, struct.pack("<I", sample_rate))
    fails(path, "sample rate of|is not sound")


def test_too_many_channels(write):
    fails(patch(write("a.wav"), 22, struct.pack("<H", 65535)), "is not sound")


def test_longer_than_max_duration(write):
    path = write("a.wav", seconds=3.0)
    fails(path, "more than max_duration=2 s. Give a duration", max_duration=2.0)
    assert read_audio(path, max_duration=2.0, duration=1.5).shape == (24000,)
    assert read_audio(path, max_duration=2.0, offset=1.5).shape == (24000,)
    with pytest.raises(ValueError, match="duration=3 s is more than max_duration"):
        read_audio(path, max_duration=2.0, duration=3.0)


# ---------------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": 16000.5}, "sample_rate"),
        ({"duration": 0}, "duration"),
        ({"duration": -1.0}, "duration"),
        ({"duration": np.inf}, "duration"),
        ({"duration": np.nan}, "duration"),
        ({"duration": 1e-6}, "duration"),
        ({"duration": 1e12}, "duration"),
        ({"offset": -0.1}, "offset"),
        ({"offset": np.inf}, "offset"),
        ({"offset": np.nan}, "offset"),
        ({"mono": "yes"}, "mono"),
        ({"path": 3}, "path"),
        ({"path": None}, "path"),
    ],
)
def test_bad_arguments(write, arguments, name):
    with pytest.raises(ValueError, match=name):
        read_audio(**({"path": write("a.wav")} | arguments))


def test_the_error_can_be_pickled(tmp_path):
    with pytest.raises(AudioReadError) as caught:
        read_audio(tmp_path / "no.wav")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value) and copy.reason == caught.value.reason


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
