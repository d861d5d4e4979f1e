"""How long an MP3 file is when its header does not say so.

libsndfile then reckons from the size of the file and the bit rate of the first frame
(libsndfile issue 1001), and reads no further than that: with a variable bit rate, most of the
sound can be lost without a word. Counting the frames is cheap and exact.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Mp3Length", "count_mp3_frames"]

# kbit/s by the index in the frame header, layer III (ISO/IEC 11172-3 and 13818-3).
BIT_RATES_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
BIT_RATES_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
SAMPLE_RATES = (44100, 48000, 32000)
SEARCH = 1 << 16


@dataclass(frozen=True)
class Mp3Length:
    """Samples per channel in the frames of a file, and whether they go on to its end."""

    n_samples: int
    is_complete: bool


def count_mp3_frames(path: str | os.PathLike[str]) -> Mp3Length | None:
    """Count the samples of an MP3 file whose header does not give their number.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Mp3Length or None
        None when the header gives the length, or the file is not plain layer III.
    """
    with open(path, "rb") as file:
        start = _skip_tags(file.read(SEARCH))
        file.seek(start)
        if _declares_length(file.read(SEARCH)):
            return None
        file.seek(0)
        data = file.read()
    first = _first_frame(data, start)
    return None if first is None else _walk(data, first, _end_of_sound(data))


def _walk(data: bytes, position: int, end: int) -> Mp3Length:
    n_samples = 0
    while position < end:
        frame = _frame(data, position)
        if frame is None or position + frame[0] > end:
            return Mp3Length(n_samples, False)
        position += frame[0]
        n_samples += frame[1]
    return Mp3Length(n_samples, True)


def _frame(data: bytes, position: int) -> tuple[int, int] | None:
    """Bytes and samples of the frame that starts here; None when none does."""
    header = int.from_bytes(data[position : position + 4], "big")
    version, layer = header >> 19 & 3, header >> 17 & 3
    bit_rate, sample_rate = header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1:
        return None
    if bit_rate in (0, 15) or sample_rate == 3:
        return None
    is_first = version == 3
    bits = 1000 * (BIT_RATES_1 if is_first else BIT_RATES_2)[bit_rate - 1]
    rate = SAMPLE_RATES[sample_rate] // {3: 1, 2: 2, 0: 4}[version]
    samples = 1152 if is_first else 576
    return samples // 8 * bits // rate + (header >> 9 & 1), samples


def _first_frame(data: bytes, start: int) -> int | None:
    """Where the first frame starts: one that another follows."""
    for position in range(start, min(start + SEARCH, len(data) - 4)):
        frame = _frame(data, position)
        if frame is not None and _frame(data, position + frame[0]) is not None:
            return position
    return None


def _declares_length(data: bytes) -> bool:
    """Whether the first frame bears a Xing (VBR) or Info (CBR) tag with a number of frames."""
    first = _first_frame(data, 0)
    head = data[first : first + 64] if first is not None else b""
    for name in (b"Xing", b"Info"):
        place = head.find(name)
        if place > 0:
            return bool(head[place + 7] & 1)
    return False


def _skip_tags(data: bytes) -> int:
    """Length of the ID3v2 tags at the start."""
    position = 0
    while data[position : position + 3] == b"ID3" and len(data) >= position + 10:
        size = 0
        for byte in data[position + 6 : position + 10]:
            size = size << 7 | byte & 127
        position += 10 + size
    return position


def _end_of_sound(data: bytes) -> int:
    """Where the ID3v1 and APE tags at the end begin."""
    end = len(data)
    while True:
        if data[end - 128 : end - 125] == b"TAG":
            end -= 128
        elif data[end - 32 : end - 24] == b"APETAGEX":
            size = int.from_bytes(data[end - 20 : end - 16], "little")
            has_header = data[end - 9] & 128  # the highest bit of the flags
            if not 32 <= size <= end:
                return end
            end = max(0, end - size - (32 if has_header else 0))
        else:
            return end
