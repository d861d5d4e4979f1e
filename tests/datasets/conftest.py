import numpy as np
import pytest
import soundfile

from tests.datasets.songs import write_labels, write_tree


@pytest.fixture
def tone():
    """One second of two partials under an envelope, well below full scale."""

    def make(sample_rate=44100, seconds=1.0, frequency=440.0):
        time = np.arange(round(seconds * sample_rate)) / sample_rate
        envelope = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)
        partials = np.sin(2 * np.pi * frequency * time) + np.sin(5 * np.pi * frequency * time)
        return (0.3 * envelope * partials).astype(np.float32)

    return make


@pytest.fixture
def write(tmp_path, tone):
    """Write a sound (a tone unless given) to a file in tmp_path; returns the path."""

    def make(name, sound=None, sample_rate=44100, seconds=1.0, **settings):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if sound is None:
            sound = tone(sample_rate, seconds)
        soundfile.write(path, sound, sample_rate, **settings)
        return path

    return make


@pytest.fixture
def halve():
    """Cut a file to a share of its bytes."""

    def cut(path, share=0.5):
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        return path

    return cut


@pytest.fixture
def tree(tmp_path):
    """Twelve songs at hand, twenty labeled."""
    write_tree(tmp_path / "songs" / "data", range(12))
    return tmp_path / "songs", write_labels(tmp_path / "cd2c.cls", range(20))
