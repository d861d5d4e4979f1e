"""Previews of the Million Song Dataset: which sound file belongs to which track."""

from __future__ import annotations

import csv
import os
import pickle
from pathlib import Path
from typing import Any

from skstrf.datasets.msd_labels import check_track_id
from skstrf.datasets.tables import AUDIO_EXTENSIONS

__all__ = ["find_previews", "read_id_map"]

MAX_BYTES = 500_000_000


def find_previews(root: Path, ids: dict[str, str | int | None]) -> dict[str, str]:
    """Find the sounds of many tracks.

    Parameters
    ----------
    root : Path
        The folder of previews.
    ids : dict of str to (str, int or None)
        For each checked track id the 7digital id that its preview is named by, or a path inside
        `root`. Looked for as ``7dig/8/9/8947470.clip.mp3``, with or without the folders and
        ``.clip``, then by track id as ``A/X/L/TRAXL....mp3`` and ``TRAXL....mp3``.

    Returns
    -------
    dict of str to str
        The first that is there, relative to `root`, by track id.
    """
    listings: dict[Path, dict[str, str]] = {}

    def listed(folder: Path) -> dict[str, str]:
        # One look at a folder serves all songs in it: asking for each file would take minutes.
        if folder not in listings:
            listings[folder] = _sounds_in(root / folder)
        return listings[folder]

    found = {}
    for track, name in ids.items():
        for place in _places(track, "" if name is None else str(name)):
            file = listed(place.parent).get(place.name)
            if file is not None:
                found[track] = (place.parent / file).as_posix()
                break
    return found


def _places(track: str, name: str) -> list[Path]:
    """Where the preview of a track may lie, without extension, relative to the folder."""
    places = [Path(track[2], track[3], track[4], track), Path(track)]
    if name.isascii() and name.isdigit() and int(name) > 0:
        inner = Path(name[0], name[1:2], name)
        return ["7dig" / inner, inner, Path(name), *places]
    inside = os.path.normpath(name)
    if name and not os.path.isabs(inside) and inside.split(os.sep)[0] != os.pardir:
        path = Path(inside)
        path = path.with_name(_stem(path.name))
        return [path, "7dig" / path, *places]
    return places


def _sounds_in(folder: Path) -> dict[str, str]:
    """Names of the sounds in a folder, by stem; of several, mp3 goes first."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    sounds = [n for n in names if os.path.splitext(n)[1].lower() in AUDIO_EXTENSIONS]
    sounds.sort(key=lambda name: (name.lower().endswith(".mp3"), name))
    return {_stem(name): name for name in sounds}


def _stem(name: str) -> str:
    stem, extension = os.path.splitext(name)
    return stem.removesuffix(".clip") if extension.lower() in AUDIO_EXTENSIONS else name


def read_id_map(path: Path) -> dict[str, str]:
    """Read which preview belongs to which track.

    Parameters
    ----------
    path : Path
        A text file, each line a track id and, after a tab or comma, a 7digital id or a path;
        or a ``.pkl`` with a dict of the same, such as ``MSD_id_to_7D_id.pkl``.

    Returns
    -------
    dict of str to str
        7digital id or path, by track id.

    Raises
    ------
    ValueError
        When the file is missing or something else.

    Notes
    -----
    A pickle can run any program when it is loaded. Here one is read that holds nothing but
    plain texts, numbers, lists and dicts; a pickle that asks for more is refused.
    """
    if not path.is_file():
        raise ValueError(f"The file of preview ids {path} does not exist. Check audio_ids.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has more than {MAX_BYTES} bytes. Check audio_ids.")
    is_pickle = path.suffix.lower() in (".pkl", ".pickle", ".p", ".cp")
    pairs = _from_pickle(path) if is_pickle else _from_text(path)
    found = {str(track): str(value) for track, value in pairs if check_track_id(str(track))}
    if not found:
        raise ValueError(f"{path} maps no track id (TR and 16 letters and digits) to a preview.")
    return found


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles numbers, texts and containers of them; refuses to import anything."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _from_pickle(path: Path) -> list[tuple[Any, Any]]:
    try:
        with path.open("rb") as file:
            # Written by Python 2, whose texts are bytes.
            found = _PlainUnpickler(file, encoding="latin-1").load()
    except Exception as error:  # a broken pickle can raise nearly anything
        raise ValueError(
            f"{path} is not a pickle of plain texts and numbers ({error}). Write the ids to a "
            "text file instead: track id, tab, 7digital id."
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}, not a dict. Check audio_ids.")
    return list(found.items())


def _from_text(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            start = file.read(4096)
            file.seek(0)
            rows = csv.reader(file, delimiter="\t" if "\t" in start else ",")
            return [(row[0].strip(), row[1].strip()) for row in rows if len(row) > 1]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a table in UTF-8 ({error}). Check audio_ids.") from error
