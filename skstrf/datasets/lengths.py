"""Lengths of sound files: what the header declares, and what the file holds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple

import soundfile

__all__ = ["MP3_SLACK", "FileLength", "count_mp3_samples", "measure_length"]

# Tolerance for the length of an MP3 file: two frames, for encoder delay and padding.
MP3_SLACK = 2304
INNER_SIZE = re.compile(r"^ *(?:data|SSND|Data Size) *: (\d+)(?: \(should be (\d+)\))?", re.M)
OUTER_SIZE = re.compile(r"^ *(?:RIFF|riff|FORM|Riff size) *: (\d+) \(should be (\d+)\)", re.M)
# kbit/s by the index in the frame header, layer III (ISO/IEC 11172-3 and 13818-3).
MP3_BIT_RATES_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MP3_BIT_RATES_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
MP3_SAMPLE_RATES = (44100, 48000, 32000)
# Bytes that are searched for the first MP3 frame.
MP3_SEARCH = 1 << 16
# Seconds of undeclared sound, and zeros after the sound, that are ignored.
SHORTEST, PADDING = 0.008, 1 << 16
# Bytes behind the sound that are searched for tags, and bytes that are searched at a time.
TAIL, BLOCK = 1 << 24, 1 << 20
MAX_CHUNKS = 10_000
# Seconds that are read after the wanted ones, for the resampling filter, and more.
MARGIN = 2.0
LYRICS_END = re.compile(rb"LYRICSEND|LYRICS200")
# The first bytes of MP3 frames of layer III.
MP3_FRAME = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")
# Successive frames that cannot be there by chance, as the bytes of one can.
MP3_RUN = 4
# The largest Ogg page: a header of 27 bytes, 255 sizes, and 255 segments of 255 bytes.
OGG_PAGE = 27 + 255 + 255 * 255


class FileLength(NamedTuple):
    """Samples per channel that can be read and that should be there, and why these differ."""

    n_frames: int
    n_declared: int
    fault: str = ""


def measure_length(handle: soundfile.SoundFile, name: str, needed: float) -> FileLength:
    """Count the samples of an open file, and those that it should have.

    libsndfile silently lowers the length of a truncated file to what is there, and reads no
    further than a header declares. Ogg and FLAC files must be searched for that as a whole; if
    the `needed` seconds end well before their end, decoding shows whether these are there.
    """
    n_frames = int(handle.frames)
    is_enough = n_frames > (needed + MARGIN) * handle.samplerate
    if is_enough and handle.format in ("OGG", "FLAC"):
        return FileLength(n_frames, n_frames)
    if handle.format == "OGG":
        return _ogg_length(n_frames, name)
    if handle.format == "MP3":
        return _mp3_length(n_frames, name)
    if handle.format == "FLAC":
        return _flac_length(n_frames, name)
    size = INNER_SIZE.search(handle.extra_info)
    if size is None or handle.format in ("RF64", "W64"):
        size = OUTER_SIZE.search(handle.extra_info)
    if size is not None and size[2] is not None:
        declared, present = int(size[1]), int(size[2])
        if declared > present and not _means_unknown(declared):
            n_missing = max(1, n_frames * (declared - present) // max(present, 1))
            return FileLength(n_frames, n_frames + n_missing)
        if size.re is INNER_SIZE:  # libsndfile reads to the end of the file
            return FileLength(n_frames, n_frames)
    if handle.format == "W64":  # libsndfile always does
        return FileLength(n_frames, n_frames)
    n_more = _undeclared_samples(n_frames, handle, name)
    return FileLength(n_frames, n_frames + n_more, LONGER if n_more else "")


LONGER = (
    "holds more sound than its header declares, which would be lost. Write it again with the "
    "right length (for example with sox --ignore-length OLD NEW), or give a duration that ends "
    "before the declared end."
)
JOINED = (
    "is several sound files joined to one, or damaged, and would be read to the end of the first "
    "only. Divide it or write it again as one sound (for example with ffmpeg -i OLD NEW), or give "
    "a duration that ends before that."
)
NO_LENGTH = (
    "does not declare its length. Write it again (for example with ffmpeg -i OLD NEW), or give a "
    "duration."
)
VARIABLE = (
    "is mp3 of variable bit rate without its length in the header, so most of it could be lost. "
    "Write the header (for example with ffmpeg -i OLD.mp3 -c copy NEW.mp3)."
)


# wav, aiff, au, caf ------------------------------------------------------------------------------


def _means_unknown(n_bytes: int) -> bool:
    """Whether programs that stream write this size because they do not know the length yet."""
    return any(top - 0x1100 <= n_bytes <= top for top in (0x8000_0000, 0xFFFF_FFFF))


def _undeclared_samples(n_frames: int, handle: soundfile.SoundFile, name: str) -> int:
    """Estimate the samples behind those that the header declares."""
    with open(name, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        sizes = (
            _au_sizes(file) if handle.format == "AU" else _chunk_sizes(file, handle.format, end)
        )
        if sizes is None:
            return 0
        n_bytes, position = sizes
        file.seek(position)
        tags = _skip_tags(file.read(TAIL), 0, padding=PADDING)
    n_more = max(0, end - position - tags)
    if n_frames == 0:
        return n_more
    n_samples = n_more * n_frames // max(n_bytes, 1)
    # What is shorter than any sound that can be read is not sound.
    return n_samples if n_samples >= SHORTEST * handle.samplerate else 0


def _au_sizes(file: BinaryIO) -> tuple[int, int] | None:
    """Return the size of the samples of an AU file, and where they end."""
    file.seek(0)
    order: Any = "little" if file.read(4) == b"dns." else "big"
    start, n_bytes = (int.from_bytes(file.read(4), order) for _ in range(2))
    return None if _means_unknown(n_bytes) else (n_bytes, start + n_bytes)


def _chunk_sizes(file: BinaryIO, container: str, end: int) -> tuple[int, int] | None:
    """Return the size of the samples, and where the last chunk after them ends.

    None means that the samples extend to the end of the file.
    """
    file.seek(0)
    order: Any = "little" if file.read(4) in (b"RIFF", b"RF64") else "big"
    position, n_size, step = (8, 8, 1) if container == "CAF" else (12, 4, 2)
    n_samples = long_size = None
    padding = 0
    for _ in range(MAX_CHUNKS):
        if position + 4 + n_size > end:
            break
        file.seek(position)
        name, size = file.read(4), int.from_bytes(file.read(n_size), order)
        content = position + 4 + n_size
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], order)
        is_sound = n_samples is None and name in (b"data", b"SSND")
        if is_sound and long_size is not None and size == 0xFFFF_FFFF:
            size = long_size
        if is_sound:
            if content + size >= end or _means_unknown(size):
                return None
            n_samples = size
        elif content + size > end or not _names_chunk(name):
            if not padding:
                break
            position, padding = position - padding, 0  # some programs leave it out
            continue
        padding = -size % step
        position = content + size + padding
    return None if n_samples is None else (n_samples, position)


def _names_chunk(name: bytes) -> bool:
    """Whether libsndfile would take these bytes for a chunk that may follow the samples."""
    return all(32 <= byte < 127 for byte in name) and name not in (b"RIFF", b"FORM", b"data")


# ogg and flac ------------------------------------------------------------------------------------

OGG_START, FLAC_START = b"OggS\0", b"fLaC\0\0\0\x22"


def _ogg_length(n_frames: int, name: str) -> FileLength:
    """Look for a second stream, and for the end-of-stream mark of the last page (RFC 3533)."""
    last, goes_on = 0, False
    with open(name, "rb") as file:
        for place, flags in _marks(file, OGG_START):
            if flags & 2 and goes_on:  # the first page of a stream
                return FileLength(n_frames, n_frames + 1, JOINED)
            last, goes_on = place, goes_on or not flags & 2
        file.seek(last)
        page = file.read(OGG_PAGE)
    sizes = page[27 : 27 + page[26]] if len(page) > 26 else b""
    is_closed = len(sizes) > 0 and len(sizes) == page[26] and bool(page[5] & 4)
    is_whole = is_closed and 27 + len(sizes) + sum(sizes) <= len(page)
    return FileLength(n_frames, n_frames + (not is_whole))


def _flac_length(n_frames: int, name: str) -> FileLength:
    """Look for a second stream, and for samples after those that the header declares."""
    if n_frames > 1 << 36:  # the header has 36 bits for the length
        return FileLength(n_frames, n_frames + 1, NO_LENGTH)
    with open(name, "rb") as file:
        starts = list(_marks(file, FLAC_START))
    if len(starts) > 1:
        return FileLength(n_frames, n_frames + 1, JOINED)
    with (
        suppress(soundfile.LibsndfileError),
        open(name, "rb") as file,
        soundfile.SoundFile(_Unlimited(file)) as handle,
    ):
        handle.seek(n_frames)
        if len(handle.read(1)):
            return FileLength(n_frames, n_frames + 1, LONGER)
    return FileLength(n_frames, n_frames)


class _Unlimited:
    """A FLAC file whose header seems to say that its length is unknown."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Read with zeros in place of the 36 bits of the length."""
        start = self.file.tell()
        data = bytearray(self.file.read(size))
        for place in range(max(start, 21), min(start + len(data), 26)):
            data[place - start] &= 0xF0 if place == 21 else 0
        return bytes(data)


def _marks(file: BinaryIO, mark: bytes) -> Iterator[tuple[int, int]]:
    """Yield the positions of a mark in a file, each with the byte after it."""
    start = 0
    while len(block := file.read(BLOCK)) > len(mark):
        place = block.find(mark, 0, -1)
        while place >= 0:
            yield start + place, block[place + len(mark)]
            place = block.find(mark, place + 1, -1)
        start = file.seek(-len(mark), os.SEEK_CUR)


# mp3 ---------------------------------------------------------------------------------------------
# libsndfile estimates the length of an MP3 file without a length in its header from the size of
# the file and the bit rate of the first frame (libsndfile issue 1001), and reads no further than
# that: with a variable bit rate most of the sound can be lost silently. Counting the frames is
# cheap and exact.


def _mp3_length(n_frames: int, name: str) -> FileLength:
    """Count the frames of a file that does not declare their number, and look for more of them."""
    with open(name, "rb") as file:
        start = _skip_tags(file.read(MP3_SEARCH), 0)
        file.seek(start)
        sound_end = _declared_end(file.read(MP3_SEARCH))
        if sound_end is not None:
            file.seek(start + sound_end)
            is_joined = sound_end > 0 and _holds_mp3(file.read(TAIL))
            return FileLength(n_frames, n_frames + is_joined, JOINED if is_joined else "")
    counted = count_mp3_samples(name)
    if counted is None:
        return FileLength(n_frames, n_frames)
    n_samples, is_complete = counted
    if n_frames + MP3_SLACK < n_samples:
        return FileLength(n_frames, n_samples, VARIABLE)
    n_frames = min(n_frames, n_samples)
    return FileLength(n_frames, n_frames + (not is_complete))


def count_mp3_samples(path: str | os.PathLike[str]) -> tuple[int, bool] | None:
    """Count the samples in the frames, and tell whether the frames reach the end of the file.

    Returns None for a file whose header gives the length, or that has no frames.
    """
    with open(path, "rb") as file:
        data = file.read()
    start = _skip_tags(data, 0)
    position = _first_frame(data, start)
    if position is None or _declared_end(data[start : start + MP3_SEARCH]) is not None:
        return None
    n_samples = 0
    while (frame := _frame(data, position)) is not None and position + frame[0] <= len(data):
        position += frame[0]
        n_samples += frame[1]
    return n_samples, _skip_tags(data, position) >= len(data)


def _skip_tags(data: bytes, position: int, padding: int | None = None) -> int:
    """Find where ID3, APE and Lyrics3 tags and up to `padding` zeros end, perhaps past `data`."""
    start = -1
    while start < position < len(data):
        start = position
        if data.startswith(b"ID3", position) and len(data) >= position + 10:
            size = 0
            for byte in data[position + 6 : position + 10]:
                size = size << 7 | byte & 127
            position += 10 + size + (10 if data[position + 5] & 16 else 0)  # with a footer
        elif data.startswith(b"TAG", position):
            position += 128
        elif data.startswith(b"LYRICSBEGIN", position):
            found = LYRICS_END.search(data, position)
            position = found.end() if found else position
        elif ape := _ape_size(data, position):
            position += ape
        elif data.startswith(b"\0", position):
            n_zeros = len(data) - position - len(data[position:].lstrip(b"\0"))
            position += n_zeros if padding is None or n_zeros <= padding else 0
    return position


def _ape_size(data: bytes, position: int) -> int:
    """Measure the APE tag that starts here, with a header of 32 bytes or its footer alone."""
    place = data.find(b"APETAGEX", position)
    if place < 0 or len(data) < place + 32:
        return 0
    size, is_header = (
        int.from_bytes(data[place + 12 : place + 16], "little"),
        data[place + 23] & 32,
    )
    if place == position and is_header:
        return 32 + size
    return size if place + 32 - size == position else 0


def _declared_end(data: bytes) -> int | None:
    """Find where the frames end by the Xing (VBR) or Info (CBR) tag in the first of them.

    Returns None if there is no such tag with the number of frames, and 0 if it has no size.
    """
    first = _first_frame(data, 0)
    head = data[first : first + 64] if first is not None else b""
    place = max(head.find(b"Xing"), head.find(b"Info"))
    if first is None or place <= 0 or not head[place + 7] & 1:
        return None
    return (
        first + int.from_bytes(head[place + 12 : place + 16], "big") if head[place + 7] & 2 else 0
    )


def _holds_mp3(data: bytes) -> bool:
    """Whether several successive frames are in these bytes."""
    for found in MP3_FRAME.finditer(data):
        position = found.start()
        for _ in range(MP3_RUN):
            frame = _frame(data, position)
            if frame is None:
                break
            position += frame[0]
        else:
            return True
    return False


def _first_frame(data: bytes, start: int) -> int | None:
    """Find the first frame that is followed by another one."""
    for position in range(start, min(start + MP3_SEARCH, len(data) - 4)):
        frame = _frame(data, position)
        if frame is not None and _frame(data, position + frame[0]) is not None:
            return position
    return None


def _frame(data: bytes, position: int) -> tuple[int, int] | None:
    """Read the size in bytes and samples of the frame that starts here, if one does."""
    header = int.from_bytes(data[position : position + 4], "big")
    version, layer = header >> 19 & 3, header >> 17 & 3
    bit_rate, sample_rate = header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1:
        return None
    if bit_rate in (0, 15) or sample_rate == 3:
        return None
    is_first = version == 3
    bits = 1000 * (MP3_BIT_RATES_1 if is_first else MP3_BIT_RATES_2)[bit_rate - 1]
    rate = MP3_SAMPLE_RATES[sample_rate] // {3: 1, 2: 2, 0: 4}[version]
    samples = 1152 if is_first else 576
    return samples // 8 * bits // rate + (header >> 9 & 1), samples
