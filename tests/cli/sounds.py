"""Folders of sounds for the commands."""

import numpy as np
import soundfile

from skstrf.__main__ import main

RATE = 16000
FAST = ["--rates", "4", "8", "--scales", "1", "--max-epochs", "2", "--folds", "2"]


def write_folder(root, n_per_class=4, classes=("high", "low"), duration=0.5):
    """Write noise around a pitch of its own for each class."""
    rng = np.random.default_rng(0)
    times = np.arange(round(duration * RATE)) / RATE
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(n_per_class):
            carrier = np.sin(2 * np.pi * 300 * 4**number * times)
            sound = 0.3 * carrier * rng.standard_normal(times.size)
            soundfile.write(root / name / f"{index}.wav", sound.astype(np.float32), RATE)
    return root


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def error_of(capsys, arguments):
    """Run, and give the single line on stderr that says what was wrong."""
    status = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert status == 2
    assert printed.out == ""
    assert "Traceback" not in printed.err
    lines = printed.err.strip().splitlines()
    assert lines[-1].startswith(
        ("skstrf classify: error: ", "skstrf predict: error: ", "skstrf listen: error: ")
    )
    return lines[-1]
