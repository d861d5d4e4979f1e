"""Sound files that were damaged on purpose, and the judgment of what reading them gives.

Run as a program, in a process of its own whose memory is limited, since a decoder that crashes
would take the tests with it::

    python tests/hardening/damaged_sounds.py FOLDER FIRST N

Case number `i` is the same on every machine with the same libsndfile. Prints a line of JSON:
how many cases were refused and read, and what went wrong with which.
"""

from __future__ import annotations

import collections
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

from skstrf.datasets import AudioReadError, audio_info, read_audio

RATE = 16000
SUBTYPES = {
    "wav": ["PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM"],
    "flac": ["PCM_16"],
    "ogg": ["VORBIS", "OPUS"],
    "mp3": ["MPEG_LAYER_III"],
    "au": ["PCM_16", "FLOAT"],
    "aiff": ["PCM_16", "FLOAT"],
}
SIZES = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFF0, 0x0FFF_FFFF, 0x1000_0000)
MEMORY = 1 << 30  # more than the process holds before the first case
SECONDS = 10.0  # one case; a sound takes milliseconds
# Where samples lie bare, a flipped bit changes one of them, or the header says something else.
BARE = ("PCM_16", "PCM_24", "FLOAT", "ULAW")
CHECKED = ("FLAC", "OGG")  # frames or pages bear checksums: flipped bits of sound are refused


def whole_files(folder: Path) -> list[tuple[Path, str, int]]:
    """Write one whole file for every format, coding and number of channels."""
    time_axis = np.arange(RATE // 2) / RATE
    made = []
    for suffix, subtypes in SUBTYPES.items():
        for subtype in subtypes:
            for n_channels in (1, 2):
                path = folder / f"whole-{subtype}-{n_channels}.{suffix}"
                phases = np.arange(n_channels)
                sound = 0.4 * np.sin(2 * np.pi * 440 * time_axis[:, None] + phases)
                soundfile.write(path, sound.astype(np.float32), RATE, subtype=subtype)
                made.append((path, subtype, n_channels))
    return made


def flip_bits(data: bytearray, rng: np.random.Generator) -> str:
    """Flip up to 16 bits, half of the time in the header."""
    end = len(data) if rng.random() < 0.5 else min(len(data), 128)
    n_bits = int(rng.choice([1, 1, 1, 2, 4, 16]))
    places = rng.integers(0, end, n_bits)
    for place in places:
        data[place] ^= 1 << int(rng.integers(8))
    return f"bits flipped in bytes {sorted(int(p) for p in places)}"


def cut(data: bytearray, rng: np.random.Generator) -> str:
    """Keep the start."""
    kept = int(rng.integers(0, len(data)))
    del data[kept:]
    return f"cut to {kept} bytes"


def lie_about_sizes(data: bytearray, rng: np.random.Generator) -> str:
    """Put a huge, small or odd number over 2, 4 or 8 bytes of the header."""
    width = int(rng.choice([2, 4, 4, 4, 8]))
    place = int(rng.integers(4, 64)) & ~1
    value = int(rng.choice(SIZES)) & ((1 << 8 * width) - 1)
    order = "little" if rng.random() < 0.5 else "big"
    data[place : place + width] = value.to_bytes(width, order)
    close_ogg_pages(data)
    return f"{value:#x} in {width} bytes ({order}) at {place}"


def close_ogg_pages(data: bytearray) -> None:
    """Make the checksums of Ogg pages right again, so that the lie is told to the decoder."""
    start = data.find(b"OggS")
    while start >= 0:
        header = data[start : start + 27]
        if len(header) == 27:
            lengths = data[start + 27 : start + 27 + header[26]]
            end = start + 27 + header[26] + sum(lengths)
            data[start + 22 : start + 26] = bytes(4)
            data[start + 22 : start + 26] = ogg_crc(data[start:end]).to_bytes(4, "little")
        start = data.find(b"OggS", start + 4)


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFF_FFFF
        table.append(value)
    return table


TABLE = _table()


def ogg_crc(page: bytes) -> int:
    """The CRC-32 of RFC 3533: polynomial 04c11db7, nothing reflected, starting from 0."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFF_FFFF) ^ TABLE[value >> 24 ^ byte]
    return value


def wrong_header(data: bytearray, rng: np.random.Generator, others: list[bytes]) -> str:
    """Put the start of another file over, or before, this one's."""
    other = others[int(rng.integers(len(others)))]
    size = int(rng.choice([4, 12, 44, 64, 200]))
    replaced = size if rng.random() < 0.7 else 0
    data[:replaced] = other[:size]
    return f"the first {size} bytes of another file over {replaced}"


def splice(data: bytearray, rng: np.random.Generator) -> str:
    """Take a piece out, repeat one, or fill one with zeros or noise."""
    start, end = sorted(int(p) for p in rng.integers(0, len(data), 2))
    kind = int(rng.integers(4))
    if kind == 0:
        del data[start:end]
    elif kind == 1:
        data[start:start] = data[start:end]
    elif kind == 2:
        data[start:end] = bytes(end - start)
    else:
        data[start:end] = rng.bytes(end - start)
    return f"{['taken out', 'repeated', 'zeros in', 'noise in'][kind]} bytes {start} to {end}"


def damage(number: int, wholes: list[tuple[Path, str, int]]) -> tuple[bytearray, int, str, str]:
    """Damaged bytes of case `number`, which file it was, and the kind and details of damage."""
    rng = np.random.default_rng([2017, number])
    which = int(rng.integers(len(wholes)))
    data = bytearray(wholes[which][0].read_bytes())
    kind = ["flip", "flip", "cut", "size", "header", "splice"][int(rng.integers(6))]
    if kind == "header":
        details = wrong_header(data, rng, [path.read_bytes() for path, _, _ in wholes])
    else:
        makers = {"flip": flip_bits, "cut": cut, "size": lie_about_sizes, "splice": splice}
        details = makers[kind](data, rng)
    return data, which, kind, details


def judge(path: Path, options: dict, whole: np.ndarray, kind: str) -> tuple[str, str | None]:
    """What reading gave ("refused" or "read"), and what is wrong with that, if anything."""
    started = time.perf_counter()
    try:
        sound = read_audio(path, sample_rate=RATE, **options)
        info = audio_info(path)
    except AudioReadError as error:
        taken = time.perf_counter() - started
        if not str(error).startswith(f"{path}: ") or not error.reason.endswith("."):
            return "refused", f"the error does not name the file: {error}"
        return "refused", f"took {taken:.1f} s" if taken > SECONDS else None
    taken = time.perf_counter() - started
    if taken > SECONDS:
        return "read", f"took {taken:.1f} s"
    return "read", _wrong(sound, info, options, whole, kind)


def _wrong(sound, info, options, whole, kind) -> str | None:
    if sound.dtype != np.float32 or not np.isfinite(sound).all():
        return f"gave {sound.dtype} with {np.sum(~np.isfinite(sound))} values that are not finite"
    if sound.ndim != (1 if options["mono"] else 2):
        return f"gave the shape {sound.shape}"
    duration = options["duration"]
    expected = info.n_times(RATE) if duration is None else round(duration * RATE)
    slack = 2304 * RATE // info.sample_rate + 1 if info.format == "MP3" and not duration else 0
    if abs(sound.shape[-1] - expected) > slack:
        return f"gave {sound.shape[-1]} samples of {expected}"
    is_same_kind = (info.sample_rate, sound.shape) == (RATE, whole.shape)
    if (
        kind == "flip"
        and is_same_kind
        and info.format in CHECKED
        and not np.array_equal(sound, whole)
    ):
        return "gave other samples than those of the whole file"
    if kind == "flip" and is_same_kind and info.subtype in BARE and info.format not in CHECKED:
        n_changed = np.sum(~np.isclose(sound, whole, atol=1e-7))
        if n_changed > 16 and np.mean(np.isclose(sound, whole, atol=1e-7)) > 0.5:
            return f"gave {n_changed} other samples for at most 16 flipped bits"
    if kind == "cut" and duration is None and abs(sound.shape[-1] - whole.shape[-1]) > slack:
        return (
            f"gave {sound.shape[-1]} samples of a file of {whole.shape[-1]}, as if it were whole"
        )
    if kind == "cut":
        n = min(sound.shape[-1], whole.shape[-1])
        if not np.allclose(sound[..., :n], whole[..., :n], atol=1e-5):
            return "gave other samples than those of the whole file"
    return None


def peak_kib() -> int:
    """Most memory this program held; ru_maxrss counts that of its parent before the fork too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def run(folder: Path, first: int, n: int) -> dict:
    """Judge the cases from `first` on."""
    wholes = whole_files(folder)
    sounds = {
        (which, mono): read_audio(path, sample_rate=RATE, mono=mono)
        for which, (path, _, _) in enumerate(wholes)
        for mono in (True, False)
    }
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    counts: collections.Counter = collections.Counter()
    bad = []
    slowest = 0.0
    for number in range(first, first + n):
        data, which, kind, details = damage(number, wholes)
        path = folder / f"case-{first}{wholes[which][0].suffix}"
        path.write_bytes(data)
        (folder / f"case-{first}.txt").write_text(
            f"case {number}: {wholes[which][0].name}, {details}"
        )
        rng = np.random.default_rng(number)
        options = {"mono": bool(rng.integers(2)), "duration": [None, None, 0.25][rng.integers(3)]}
        started = time.perf_counter()
        try:
            outcome, wrong = judge(path, options, sounds[which, options["mono"]], kind)
        except Exception as error:  # the very thing that is looked for
            outcome, wrong = "crashed", f"{type(error).__name__}: {error}"
        slowest = max(slowest, time.perf_counter() - started)
        counts[f"{kind} {outcome}"] += 1
        if wrong:
            bad.append(f"case {number}: {wholes[which][0].name}, {details}, {options}: {wrong}")
        path.unlink()
    peak = peak_kib() // 1024
    return {"counts": counts, "bad": bad, "slowest_s": round(slowest, 3), "peak_mib": peak}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
