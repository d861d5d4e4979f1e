"""Loading of any folder of labeled sounds, with recognition of known data sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sklearn.utils import Bunch

from skstrf.datasets.folder import METADATA, load_audio_folder
from skstrf.datasets.gtzan import load_gtzan
from skstrf.datasets.millionsong import load_million_song_genres

__all__ = ["load_corpus"]

# Label files of the Million Song Dataset.
LABEL_FILES = ("*.cls", "msd_genre_dataset.txt")


def load_corpus(
    directory: str | os.PathLike[str],
    *,
    kind: str = "auto",
    metadata: str | os.PathLike[str] | None = None,
    **options: Any,
) -> tuple[Bunch, str]:
    """List the sounds of a folder without reading them; also return the kind of the data set.

    `kind` is "folder", "gtzan", "million-song" or "auto", which recognizes the folder by its file
    names. Empty columns of splits and groups become None.
    """
    folder = Path(directory)
    if kind == "auto":
        kind = "folder" if metadata or (folder / METADATA).is_file() else _recognize(folder)
    if kind == "gtzan":
        sounds = load_gtzan(folder, load_content=False, **options)
        name = "GTZAN, fault-filtered split"
    elif kind == "million-song":
        labels = _label_files(folder)
        if not labels:
            raise ValueError(
                f"{folder} has no labels of the Million Song Dataset: put the file of genres "
                "(.cls, or msd_genre_dataset.txt) into it."
            )
        home = folder if next(folder.rglob("*.h5"), None) else None
        sounds = load_million_song_genres(
            labels[0], home, audio_home=folder, load_content=False, **options
        )
        name = f"Million Song Dataset, {labels[0].name}"
    else:
        # The experiments themselves raise for classes with too few sounds.
        sounds = load_audio_folder(
            directory, metadata=metadata, load_content=False, min_per_class=1, **options
        )
        name = "folder"
    for column in ("split", "groups"):
        if sounds[column] is not None and not any(sounds[column]):
            sounds[column] = None
    return sounds, name


def _recognize(folder: Path) -> str:
    clips = ("blues.000*", "*/blues.000*", "*/*/blues.000*", "*/*/*/blues.000*")
    if any(next(folder.glob(pattern), None) for pattern in clips):
        return "gtzan"
    return "million-song" if _label_files(folder) else "folder"


def _label_files(folder: Path) -> list[Path]:
    return [path for pattern in LABEL_FILES for path in sorted(folder.glob(pattern))]
