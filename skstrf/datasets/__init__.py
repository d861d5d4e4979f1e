"""Sounds in: single files, folders of them with labels, bundled recordings, synthetic sounds."""

from skstrf.datasets.audio import read_audio
from skstrf.datasets.bundled import load_instruments
from skstrf.datasets.folder import load_audio_folder
from skstrf.datasets.headers import AudioInfo, AudioReadError, audio_info
from skstrf.datasets.loader import AudioLoader
from skstrf.datasets.synthetic import make_ripple_genres
from skstrf.datasets.tables import find_audio_files

__all__ = [
    "AudioInfo",
    "AudioLoader",
    "AudioReadError",
    "audio_info",
    "find_audio_files",
    "load_audio_folder",
    "load_instruments",
    "make_ripple_genres",
    "read_audio",
]
