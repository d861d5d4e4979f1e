"""Files that cannot be read, headers that lie, senseless arguments: what is said of them."""

import os
import pickle
import struct
import warnings

import numpy as np
import pytest

from skstrf.datasets import AudioReadError, audio_blocks, audio_info, read_audio
from tests.datasets.formats import EXACT, TOLERANCE


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


def test_one_flipped_bit_of_a_float(write, tone):
    sound = np.where(np.arange(44100) == 20000, -0.06, 0.1 * tone()).astype(np.float32)
    bits = sound.view(np.uint32)
    bits[20000] ^= 1 << 30
    assert sound[20000] < -1e37
    path = write("a.wav", sound, subtype="FLOAT")
    for arguments in ({}, {"mono": False}, {"duration": 0.6}):
        fails(path, "far beyond full scale: it is damaged. Write it again", **arguments)
    with pytest.raises(AudioReadError, match="far beyond full scale"):
        list(audio_blocks(path))
    assert read_audio(path, duration=0.3).shape == (4800,)
    assert read_audio(write("b.wav", 2.0**31 * tone(), subtype="FLOAT")).max() > 2e8


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
