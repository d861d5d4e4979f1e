"""What is known of GTZAN's clips: published lists, faults, and divisions made from them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from skstrf.datasets.groups import linked_groups

__all__ = [
    "CLIPS_PER_GENRE",
    "GENRES",
    "UNREADABLE",
    "Division",
    "artist_folds",
    "fault_filtered",
    "faults",
    "random_division",
    "repetition_groups",
]

FOLDER = Path(__file__).parent / "data" / "gtzan"
GENRES = (
    "blues",
    "classical",
    "country",
    "disco",
    "hiphop",
    "jazz",
    "metal",
    "pop",
    "reggae",
    "rock",
)
CLIPS_PER_GENRE = 100
# In the .wav copy that most people have, this one holds no sound.
UNREADABLE = "jazz.00054"
# Shares of the random division, as most of the literature has them.
SHARES = {"train": 0.5, "valid": 0.25, "test": 0.25}
LEAKS = (
    "The random split leaks: clips of one artist, album or even recording lie on both sides, so "
    "accuracies come out too high. Report them only beside those of split='fault-filtered' or "
    "'artist-folds'."
)


@dataclass(frozen=True)
class Division:
    """Which part of a division every clip belongs to, and what must stay together."""

    parts: dict[str, str]
    groups: dict[str, str]
    warning: str | None = None


@cache
def fault_filtered() -> dict[str, str]:
    """Part of every clip in the fault-filtered division of Kereliuk, Sturm and Larsen.

    Returns
    -------
    dict of str to str
        "train", "valid" or "test", by clip name such as ``"blues.00029"``; 930 clips.

    Examples
    --------
    >>> from collections import Counter
    >>> from skstrf.datasets.gtzan_lists import fault_filtered
    >>> sorted(Counter(fault_filtered().values()).items())
    [('test', 290), ('train', 443), ('valid', 197)]
    """
    parts = {}
    for part in SHARES:
        lines = (FOLDER / f"{part}_filtered.txt").read_text(encoding="ascii").split()
        parts.update({Path(line).stem: part for line in lines})
    return dict(sorted(parts.items()))


@cache
def faults() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return kind ("repetition" or "distortion") and partners of every faulty clip.

    Returns
    -------
    dict of str to (str, tuple of str)
        The partners are the clips repeated, as far as they are known.

    Examples
    --------
    >>> from skstrf.datasets.gtzan_lists import faults
    >>> faults()["metal.00058"]
    ('repetition', ('rock.00016',))
    """
    with (FOLDER / "faults.csv").open(newline="", encoding="ascii") as file:
        return {
            row["clip"]: (row["fault"], tuple(filter(None, row["partners"].split("|"))))
            for row in csv.DictReader(file)
        }


def all_clips() -> list[str]:
    """Return the names of the 1000 clips, sorted."""
    return [f"{genre}.{number:05d}" for genre in GENRES for number in range(CLIPS_PER_GENRE)]


def repetition_groups() -> dict[str, str]:
    """Group every clip with those it is known to repeat.

    Returns
    -------
    dict of str to str
        The first clip of each one's group, its own name for a clip without known partners.

    Examples
    --------
    >>> from skstrf.datasets.gtzan_lists import repetition_groups
    >>> groups = repetition_groups()
    >>> groups["metal.00058"], groups["rock.00016"], groups["rock.00017"]
    ('metal.00058', 'metal.00058', 'rock.00017')
    """
    clips = all_clips()
    pairs = [(clip, partner) for clip, (_, partners) in faults().items() for partner in partners]
    return dict(zip(clips, linked_groups(clips, pairs), strict=True))


def artist_folds() -> Division:
    """Take the three artist-disjoint lists for three folds, each of them one group."""
    names = dict(zip(SHARES, ("fold-1", "fold-2", "fold-3"), strict=True))
    parts = {clip: names[part] for clip, part in fault_filtered().items()}
    return Division(parts, parts)


def random_division(random_state: int | np.random.RandomState | None) -> Division:
    """Divide all clips at random, half, quarter and quarter of every genre."""
    from sklearn.utils import check_random_state

    random = check_random_state(random_state)
    bounds = np.cumsum([round(CLIPS_PER_GENRE * share) for share in SHARES.values()])
    parts = {}
    clips = np.array(all_clips()).reshape(len(GENRES), CLIPS_PER_GENRE)
    for names in clips:
        shuffled = random.permutation(names)
        for part, chosen in zip(SHARES, np.split(shuffled, bounds[:-1]), strict=True):
            parts.update(dict.fromkeys(chosen.tolist(), part))
    return Division(dict(sorted(parts.items())), repetition_groups(), LEAKS)
