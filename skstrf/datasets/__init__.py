"""Sounds: single files, folders with labels, known data sets, synthetic sounds."""

from skstrf.datasets.audio import audio_blocks, read_audio
from skstrf.datasets.bundled import load_instruments
from skstrf.datasets.folder import find_audio_files, load_audio_folder
from skstrf.datasets.gtzan import fetch_gtzan, load_gtzan
from skstrf.datasets.headers import AudioInfo, AudioReadError, audio_info
from skstrf.datasets.loader import AudioLoader
from skstrf.datasets.millionsong import load_million_song_genres
from skstrf.datasets.synthetic import make_ripple_genres

__all__ = [
    "AudioInfo",
    "AudioLoader",
    "AudioReadError",
    "audio_blocks",
    "audio_info",
    "fetch_gtzan",
    "find_audio_files",
    "load_audio_folder",
    "load_gtzan",
    "load_instruments",
    "load_million_song_genres",
    "make_ripple_genres",
    "read_audio",
]
