"""What is known of GTZAN's clips: published lists, faults, and divisions made from them."""

from __future__ import annotations

import csv
import logging
import os
import re
import shutil
import tarfile
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from sklearn.utils import Bunch

from skstrf.datasets.audio import DURATION, OFFSET, SAMPLE_RATE
from skstrf.datasets.folder import (
    AUDIO_EXTENSIONS,
    Entry,
    check_folder,
    linked_groups,
    load_entries,
)
from skstrf.datasets.headers import AudioReadError, audio_info
from skstrf.datasets.loader import N_NAMED, warn_of_errors
from skstrf.utils.optional import import_optional
from skstrf.utils.validation import Integral, StrOptions, validate_params

__all__ = [
    "CLIPS_PER_GENRE",
    "Division",
    "GENRES",
    "UNREADABLE",
    "artist_folds",
    "fault_filtered",
    "faults",
    "fetch_gtzan",
    "gtzan_home",
    "load_gtzan",
    "random_division",
    "repetition_groups",
]

logger = logging.getLogger("skstrf")


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
    """Part of every clip in the fault-filtered division of Kereliuk, Sturm and Larsen."""
    parts = {}
    for part in SHARES:
        lines = (FOLDER / f"{part}_filtered.txt").read_text(encoding="ascii").split()
        parts.update({Path(line).stem: part for line in lines})
    return dict(sorted(parts.items()))


@cache
def faults() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return kind ("repetition" or "distortion") and partners of every faulty clip."""
    with (FOLDER / "faults.csv").open(newline="", encoding="ascii") as file:
        return {
            row["clip"]: (row["fault"], tuple(filter(None, row["partners"].split("|"))))
            for row in csv.DictReader(file)
        }


def all_clips() -> list[str]:
    """Return the names of the 1000 clips, sorted."""
    return [f"{genre}.{number:05d}" for genre in GENRES for number in range(CLIPS_PER_GENRE)]


def repetition_groups() -> dict[str, str]:
    """Group every clip with those it is known to repeat."""
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


ARCHIVE = "genres.tar.gz"
# The original server, opihi.cs.uvic.ca, is gone; the Internet Archive keeps its file. The
# checksum is that of the original, as torchaudio and others publish it.
ADDRESS = "https://web.archive.org/web/20220328223413/http://opihi.cs.uvic.ca/sound/genres.tar.gz"
CHECKSUM = "sha256:24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6"
MEMBER = re.compile(rf"(?:.*/)?((?:{'|'.join(GENRES)})\.\d{{5}}\.(?:au|wav))", re.ASCII)
# A clip is 1.3 MB; headers promising more do not reach the disk.
MAX_CLIP_BYTES = 8_000_000
MAX_MEMBERS = 10_000


def gtzan_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that the clips are put into."""
    given = data_home or os.environ.get("SKSTRF_DATA")
    if not given:
        given = import_optional("pooch", extra="datasets").os_cache("skstrf")
    return Path(given) / "gtzan"


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "url": [str],
        "known_hash": [str, None],
        "progressbar": ["boolean"],
        "keep_archive": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_gtzan(
    data_home: str | os.PathLike[str] | None = None,
    *,
    url: str = ADDRESS,
    known_hash: str | None = CHECKSUM,
    progressbar: bool = False,
    keep_archive: bool = False,
) -> str:
    """Download GTZAN (1.2 GB) and unpack it, once.

    Parameters
    ----------
    data_home : str, Path or None
        A folder for data; the clips go to ``gtzan/genres`` in it. None: ``$SKSTRF_DATA`` if
        that is set, else the user's folder for caches.
    url : str
        Where the archive is. The default is a public copy of the original ``genres.tar.gz``,
        which may stop answering at any time.
    known_hash : str or None
        Checksum of the archive, such as ``"sha256:..."``. The default is that of the original.
        None accepts any archive: for another packing of the clips that you trust.
    progressbar : bool
        Show a progress bar while downloading.
    keep_archive : bool
        Keep the archive beside the clips.

    Returns
    -------
    str
        The folder, to be given to `load_gtzan`.

    Raises
    ------
    ValueError
        When the download fails, its checksum differs, or it holds no clip of GTZAN or something
        that is not what it should be. Nothing is left behind then.

    See Also
    --------
    load_gtzan : Loads it.

    Notes
    -----
    The clips are excerpts of published recordings, shared for research; no license is known.
    From the archive only files named as clips are written, under names made here.

    Examples
    --------
    >>> from skstrf import fetch_gtzan, load_gtzan
    >>> clips = load_gtzan(fetch_gtzan())  # doctest: +SKIP
    """
    folder = gtzan_home(data_home)
    clips = folder / "genres"
    if clips.is_dir():
        return str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    archive = _download(folder, url, known_hash, progressbar)
    staging = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    try:
        n_clips = _unpack(archive, staging)
        if n_clips == 0:
            raise ValueError(f"{url} holds no clips of GTZAN. Give another url.")
        logger.info("%d of %d clips of GTZAN", n_clips, CLIPS_PER_GENRE * len(GENRES))
        staging.chmod(0o755)  # mkdtemp makes a folder for its owner alone
        staging.replace(clips)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if not keep_archive or not clips.is_dir():
            archive.unlink(missing_ok=True)
    return str(folder)


def _download(folder: Path, url: str, known_hash: str | None, progressbar: bool) -> Path:
    pooch = import_optional("pooch", extra="datasets")
    try:
        return Path(
            pooch.retrieve(url, known_hash, fname=ARCHIVE, path=folder, progressbar=progressbar)
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise ValueError(
            f"GTZAN could not be fetched from {url}: {error}\nDownload it by hand from a place "
            "you trust, unpack it, and give the folder to load_gtzan; or give another url (and "
            "its known_hash)."
        ) from error


def _unpack(archive: Path, folder: Path) -> int:
    """Write the clips of a tar archive to one folder a genre; return their number."""
    names: set[str] = set()
    try:
        with tarfile.open(archive, "r:*") as tar:
            for number, member in enumerate(tar):
                if number >= MAX_MEMBERS:
                    raise ValueError(f"{archive} has more than {MAX_MEMBERS} members: not GTZAN.")
                match = MEMBER.fullmatch(member.name)
                if match is None or not member.isfile() or match[1] in names:
                    continue
                if member.size > MAX_CLIP_BYTES:
                    raise ValueError(f"{archive}: {member.name} is too large for a clip.")
                content = tar.extractfile(member)
                if content is not None:
                    _write(content, folder / match[1].split(".")[0], match[1])
                    names.add(match[1])
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(
            f"{archive} cannot be unpacked ({error}). It is cut short or no tar archive: fetch "
            "it again."
        ) from error
    return len(names)


def _write(content: IO[bytes], genre: Path, name: str) -> None:
    genre.mkdir(exist_ok=True)
    with (genre / name).open("wb") as file:
        shutil.copyfileobj(content, file)


CLIP_NAME = re.compile(rf"({'|'.join(GENRES)})\.(\d{{5}})", re.ASCII)
# Where a clip lies in both distributions the original goes first.
PREFERRED = (".au", ".wav")
# The deepest genuine tree is Data/genres_original/blues/; a corpus of 1000 clips is no larger.
MAX_DEPTH, MAX_ITEMS = 4, 100_000


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "subset": [str, "array-like", None],
        "split": [StrOptions({"fault-filtered", "artist-folds", "random"})],
        "sample_rate": [SAMPLE_RATE],
        "duration": [DURATION, None],
        "offset": [OFFSET],
        "load_content": ["boolean"],
        "return_X_y": ["boolean"],
        "on_error": [StrOptions({"raise", "warn"})],
        "random_state": ["random_state"],
        "n_jobs": [None, Integral],
        "verbose": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def load_gtzan(
    data_home: str | os.PathLike[str] | None = None,
    *,
    subset: str | Sequence[str] | None = None,
    split: str = "fault-filtered",
    sample_rate: int = 16000,
    duration: float | None = None,
    offset: float = 0.0,
    load_content: bool = True,
    return_X_y: bool = False,
    on_error: str = "raise",
    random_state: Any = 0,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Load GTZAN, ten genres of music with 100 clips of 30 s each, with an honest split.

    Parameters
    ----------
    data_home : str, Path or None
        A folder that holds the clips, at any depth down to four folders. Both distributions
        are known: ``genres/blues/blues.00000.au`` and
        ``genres_original/blues/blues.00000.wav``; the names decide, not the folders. None:
        where `fetch_gtzan` puts them.
    subset : str, list of str or None
        The parts of the split to load: "train", "valid", "test", or with "artist-folds"
        "fold-1", "fold-2", "fold-3". None: all.
    split : {"fault-filtered", "artist-folds", "random"}
        How to divide the clips.

        "fault-filtered"
            The lists of [1]_: 443 clips to train, 197 to validate, 290 to test. No artist is in
            two of them, and 70 repetitions and distorted clips are left out.
        "artist-folds"
            Those three lists as three folds, for cross-validation. An artist is in one fold
            only, as [1]_ made the lists so. *Inside* a fold the artists are not known: what is
            held back from a training part for early stopping may share them.
        "random"
            All 1000 clips, half, quarter and quarter of each genre by chance. Much of the
            literature does so, and it **leaks**: artists, albums and recordings are on both
            sides. It warns.
    sample_rate : int
        In Hz; the clips have 22050.
    duration : float or None
        Seconds of each clip, reached by cropping or padding with zeros. None: the longest.
    offset : float
        Seconds to leave out at the start of each clip.
    load_content : bool
        Whether to read the sounds (64 kB for each second at 16 kHz; 1.9 GB for all), or give
        their paths only, for pipelines that begin with an `AudioLoader`.
    return_X_y : bool
        Return ``(data, target)``, or ``(filenames, target)`` without content, not a Bunch.
    on_error : {"raise", "warn"}
        What to do about clips of the split that are missing or cannot be used: raise, or leave
        them out and warn once. ``jazz.00054``, whose .wav holds no sound in the copy that most
        people have, is always left out with a warning where it is missing or cannot be opened.
    random_state : int, RandomState instance or None
        Of ``split="random"``.
    n_jobs : int or None
        Threads that read files.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    Bunch or (ndarray, ndarray)
        As from `load_audio_folder`; `target_names` are always the ten genres, and

        split : ndarray of shape (n_clips,), str
            The part of each clip.
        groups : ndarray of shape (n_clips,), str
            Clips that must stay on one side. With "artist-folds" the fold. Otherwise a clip and
            those it is known to repeat [2]_ share a group, which does *not* keep artists apart.
        test_fold : ndarray of shape (n_clips,), int
            Only with "artist-folds": for ``sklearn.model_selection.PredefinedSplit``.
        metadata : dict
            ``clip`` (name without extension) and ``fault``: "", "repetition", "distortion".
        warning : str or None
            What is wrong with the split, for reports.

    Raises
    ------
    ValueError
        When the folder is not GTZAN (the message says what was found and what is expected),
        or a name in `subset` is not a part of the split.
    AudioReadError
        With ``on_error="raise"``, for the first clip that cannot be used or is missing.

    See Also
    --------
    fetch_gtzan : Downloads it, where the public address answers.
    load_audio_folder : Says what else the Bunch holds.

    Notes
    -----
    The list of faults covers repetitions and distortions. For six of the repetitions (reggae 56,
    57, 58, 60, 65 and 69) the partner is not recorded here, so their group is themselves alone.
    Mislabeled clips are not listed.

    References
    ----------
    .. [1] C. Kereliuk, B. L. Sturm and J. Larsen, "Deep Learning and Music Adversaries", IEEE
       Trans. Multimedia 17(11), 2015.
    .. [2] B. L. Sturm, "The GTZAN dataset: Its contents, its faults, their effects on
       evaluation, and its future use", arXiv:1306.1461, 2013.
    .. [3] G. Tzanetakis and P. Cook, "Musical genre classification of audio signals", IEEE
       Trans. Speech Audio Process. 10(5), 2002.

    Examples
    --------
    >>> from skstrf import load_gtzan
    >>> train = load_gtzan("genres", subset="train", load_content=False)  # doctest: +SKIP
    >>> pipeline.fit(train.filenames, train.target)  # doctest: +SKIP
    """
    home = check_folder(gtzan_home() if data_home is None else data_home)
    division = _division(split, random_state)
    parts = _wanted_parts(division, subset)
    found = _find_clips(home)
    wanted = [clip for clip, part in division.parts.items() if part in parts]
    entries, left_out = _entries(home, wanted, found, division, on_error)
    bunch, message = load_entries(
        home,
        entries,
        list(GENRES),
        [],
        sample_rate=int(sample_rate),
        duration=duration,
        offset=offset,
        load_content=load_content,
        on_error=on_error,
        n_jobs=n_jobs,
        verbose=verbose,
        whole=False,  # some genres may well be missing: their numbers stay
    )
    bunch.skipped = left_out + bunch.skipped
    bunch.warning = division.warning
    if split == "artist-folds":
        bunch.test_fold = np.array([int(name[-1]) - 1 for name in bunch.split])
    messages = [division.warning, _say_left_out(left_out, len(wanted)), message]
    bunch.DESCR = _describe(bunch, home, split, division.warning)
    if any(messages):
        warn_of_errors("\n".join(filter(None, messages)))
    if return_X_y:
        return (bunch.data if load_content else bunch.filenames), bunch.target
    return bunch


def _division(split: str, random_state: Any) -> Division:
    if split == "random":
        return random_division(random_state)
    if split == "artist-folds":
        return artist_folds()
    return Division(fault_filtered(), repetition_groups())


def _wanted_parts(division: Division, subset: Any) -> set[str]:
    known = sorted(set(division.parts.values()))
    wanted = known if subset is None else [subset] if isinstance(subset, str) else list(subset)
    unknown = [str(name) for name in wanted if name not in known]
    if unknown or not wanted:
        raise ValueError(
            f"subset names {', '.join(unknown) or 'nothing'}, but the parts of this split are "
            f"{', '.join(known)}."
        )
    return set(wanted)


def _find_clips(home: Path) -> dict[str, str]:
    """Return for every clip below `home` its path relative to it; explain a wrong folder."""
    found: dict[str, str] = {}
    others: list[str] = []
    n_items = 0
    for place, folders, files in os.walk(home, followlinks=True):
        inside = os.path.relpath(place, home)
        depth = 0 if inside == os.curdir else inside.count(os.sep) + 1
        folders[:] = sorted(f for f in folders if not f.startswith(".") and depth < MAX_DEPTH)
        n_items += len(folders) + len(files)
        if n_items > MAX_ITEMS:
            raise ValueError(_explain(home, f"more than {MAX_ITEMS} files and folders"))
        for name in sorted(files):
            stem, extension = os.path.splitext(name)
            if name.startswith(".") or extension.lower() not in AUDIO_EXTENSIONS:
                continue
            file = os.path.normpath(os.path.join(inside, name)).replace(os.sep, "/")
            match = CLIP_NAME.fullmatch(stem.lower())
            if match is None or int(match[2]) >= CLIPS_PER_GENRE:
                others.append(file)
            else:
                kept = found.setdefault(match[0], file)
                found[match[0]] = min(kept, file, key=_preference)
    if not found:
        raise ValueError(_explain(home, _what_lies_there(home, others)))
    if others:
        logger.info("%d sounds in %s are not named as clips of GTZAN", len(others), home)
    return found


def _preference(file: str) -> tuple[int, int, str]:
    extension = os.path.splitext(file)[1].lower()
    rank = PREFERRED.index(extension) if extension in PREFERRED else len(PREFERRED)
    return rank, file.count("/"), file


def _what_lies_there(home: Path, others: list[str]) -> str:
    if others:
        named = ", ".join(others[:N_NAMED])
        return f"{len(others)} sounds of other names, such as {named}"
    names = sorted(item.name for item in home.iterdir())
    more = ", ..." if len(names) > N_NAMED else ""
    return f"no sounds, but {', '.join(names[:N_NAMED])}{more}" if names else "nothing"


def _explain(home: Path, found: str) -> str:
    return (
        f"{home} is not GTZAN. Expected: ten folders ({', '.join(GENRES)}) of "
        f"{CLIPS_PER_GENRE} clips named blues/blues.00000.au or blues/blues.00000.wav; found: "
        f"{found}. Unpack genres.tar.gz, and name the folder it makes; sounds of your own load "
        "with load_audio_folder."
    )


def _entries(
    home: Path, wanted: list[str], found: dict[str, str], division: Division, on_error: str
) -> tuple[list[Entry], list[tuple[str, str]]]:
    """List the clips of the split that are there; also say which are not."""
    missing = [clip for clip in wanted if clip not in found and clip != UNREADABLE]
    if missing and (on_error == "raise" or len(missing) == len(wanted)):
        counts = Counter(clip.split(".")[0] for clip in missing)
        named = ", ".join(missing[:N_NAMED]) + (", ..." if len(missing) > N_NAMED else "")
        raise AudioReadError(
            home,
            f"lacks {len(missing)} of the {len(wanted)} clips of the split ("
            f"{', '.join(f'{genre} {n}' for genre, n in counts.items())}): {named}. Unpack or "
            "copy the corpus again; with on_error='warn' the clips that are there are loaded.",
        )
    left_out = [(clip, "is missing. Copy it from the corpus.") for clip in missing]
    if UNREADABLE in wanted and (reason := _unreadable(home, found)):
        left_out.append((UNREADABLE, reason))
    gone = {clip for clip, _ in left_out}
    entries = [
        Entry(
            file=found[clip],
            label=clip.split(".")[0],
            split=division.parts[clip],
            group=division.groups[clip],
            extra={"clip": clip, "fault": faults().get(clip, ("", ()))[0]},
        )
        for clip in wanted
        if clip not in gone
    ]
    return entries, left_out


def _unreadable(home: Path, found: dict[str, str]) -> str:
    """Say why the clip that is often broken cannot be used; empty when it can."""
    if UNREADABLE not in found:
        return "is missing, as in some copies of the corpus."
    try:
        audio_info(home / found[UNREADABLE])
    except AudioReadError as error:
        return f"{error.reason} It is broken in the .wav copy of the corpus; the .au is whole."
    return ""


def _say_left_out(left_out: list[tuple[str, str]], n_wanted: int) -> str:
    if not left_out:
        return ""
    named = "\n".join(f"  {clip}: {reason}" for clip, reason in left_out[:N_NAMED])
    more = f"\n  and {len(left_out) - N_NAMED} more" if len(left_out) > N_NAMED else ""
    return f"{len(left_out)} of {n_wanted} clips of the split were left out:\n{named}{more}"


def _describe(bunch: Bunch, home: Path, split: str, warning: str | None) -> str:
    lines = [f"GTZAN in {home}: {len(bunch.target)} clips, split {split!r}", ""]
    lines += [f"{part}: {count}" for part, count in sorted(Counter(bunch.split).items())]
    lines += [f"left out: {len(bunch.skipped)}"] if bunch.skipped else []
    return "\n".join([*lines, "", warning] if warning else lines)
