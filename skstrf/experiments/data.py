"""The sounds of a folder, whichever corpus it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skstrf.datasets import load_audio_folder, load_gtzan, load_million_song_genres

__all__ = ["load_corpus"]

_MSD_LABELS = ("*.cls", "msd_genre_dataset.txt")


def load_corpus(directory: str, **options: Any) -> tuple[Any, str]:
    """List the sounds of a folder: GTZAN, Million Song previews, or one sub-folder a class.

    Parameters
    ----------
    directory : str
        The folder. GTZAN is told by the names of its clips and divided by its fault-filtered
        lists; the Million Song Dataset by a file of genres (``*.cls``) beside the previews.
    **options : dict
        ``sample_rate``, ``on_error`` and ``n_jobs`` of the loaders.

    Returns
    -------
    sounds : Bunch
        Without content; ``split`` and ``groups`` are None where nobody filled them in.
    kind : str
        What it was taken for.

    Raises
    ------
    ValueError
        When the folder holds nothing of the kind.
    """
    folder = Path(directory)
    labels = [path for pattern in _MSD_LABELS for path in sorted(folder.glob(pattern))]
    if _is_gtzan(folder):
        sounds = load_gtzan(folder, load_content=False, **options)
        kind = "GTZAN, fault-filtered split"
    elif labels:
        home = folder if next(folder.rglob("*.h5"), None) else None
        sounds = load_million_song_genres(
            labels[0], home, audio_home=folder, load_content=False, **options
        )
        kind = f"Million Song Dataset, {labels[0].name}"
    else:
        sounds = load_audio_folder(directory, load_content=False, min_per_class=1, **options)
        kind = "folder of classes"
    for name in ("split", "groups"):
        if sounds.get(name) is not None and not any(sounds[name]):
            sounds[name] = None
    return sounds, kind


def _is_gtzan(folder: Path) -> bool:
    patterns = ("blues.000*", "*/blues.000*", "*/*/blues.000*", "*/*/*/blues.000*")
    return any(next(folder.glob(pattern), None) for pattern in patterns)
