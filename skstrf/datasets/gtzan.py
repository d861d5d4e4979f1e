"""The GTZAN data set of music genres: download, published splits and known faults."""

from __future__ import annotations

import csv
import logging
import os
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skstrf.caching.files import temporary_folder
from skstrf.datasets.audio import LOADING
from skstrf.datasets.folder import (
    AUDIO_EXTENSIONS,
    Entry,
    check_folder,
    check_names,
    describe_contents,
    finish,
    linked_groups,
    load_entries,
)
from skstrf.datasets.headers import AudioReadError, audio_info
from skstrf.datasets.loader import AudioLoader
from skstrf.utils.messages import N_NAMED, describe_skipped
from skstrf.utils.optional import import_optional
from skstrf.utils.validation import StrOptions, validate_params

__all__ = ["GENRES", "fetch_gtzan", "load_gtzan"]

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
# This clip holds no sound in the .wav copy of the corpus that most people have.
UNREADABLE = "jazz.00054"
# Shares of the random split, as in most of the literature.
SHARES = {"train": 0.5, "valid": 0.25, "test": 0.25}
LEAKS = (
    "The random split leaks: clips of one artist, album or even recording lie on both sides, so "
    "accuracies come out too high. Report them only beside those of split='fault-filtered' or "
    "'artist-folds'."
)
ARCHIVE = "genres.tar.gz"
# The original server, opihi.cs.uvic.ca, is gone; the Internet Archive keeps its file. The
# checksum is that of the original, as torchaudio and others publish it.
ADDRESS = "https://web.archive.org/web/20220328223413/http://opihi.cs.uvic.ca/sound/genres.tar.gz"
CHECKSUM = "sha256:24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6"
CLIP_NAME = re.compile(rf"({'|'.join(GENRES)})\.(\d{{5}})", re.ASCII)
MEMBER = re.compile(rf"(?:.*/)?({CLIP_NAME.pattern}\.(?:au|wav))", re.ASCII)
# A clip has 1.3 MB; headers that declare more do not reach the disk.
MAX_CLIP_BYTES = 8_000_000
MAX_MEMBERS = 10_000
# Of a clip that is there in both distributions, the original is used.
PREFERRED = (".au", ".wav")
# The deepest genuine tree is Data/genres_original/blues/; a corpus of 1000 clips is no larger.
MAX_DEPTH, MAX_ITEMS = 4, 100_000


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "subset": [str, "array-like", None],
        "split": [StrOptions({"fault-filtered", "artist-folds", "random"})],
        **LOADING,
        "random_state": ["random_state"],
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
    data_home : str, Path or None, default=None
        Folder of the clips, which can lie up to four folders deep. Both distributions are known:
        ``genres/blues/blues.00000.au`` and ``genres_original/blues/blues.00000.wav``; only the
        file names matter, not the folders. None uses the folder of `fetch_gtzan`.
    subset : str, list of str or None, default=None
        Parts of the split to load: "train", "valid", "test", or with "artist-folds" "fold-1",
        "fold-2", "fold-3". None loads all.
    split : {"fault-filtered", "artist-folds", "random"}, default="fault-filtered"
        Division of the clips.

        "fault-filtered"
            The lists of [1]_: 443 clips for training, 197 for validation, 290 for testing. No
            artist is in two of them, and 70 repetitions and distorted clips are left out.
        "artist-folds"
            Those three lists as three folds, for cross-validation. [1]_ made the lists such that
            an artist is in one of them only. *Inside* a fold the artists are not known: the part
            of the training set that is held back for early stopping can share them.
        "random"
            All 1000 clips, divided at random into half, quarter and quarter of each genre. Much
            of the literature does so, and it **leaks**: artists, albums and recordings are on
            both sides. A warning says so.
    sample_rate : int, default=16000
        Sampling rate of the sounds in Hz; the files have 22050.
    duration : float or None, default=None
        Duration of each clip in seconds, reached by cropping or padding with zeros. None uses
        the longest.
    offset : float, default=0.0
        Time in seconds at which reading starts in each clip.
    load_content : bool, default=True
        Whether to read the sounds (64 kB per second at 16 kHz; 1.9 GB for all). Otherwise only
        their paths are returned, for pipelines that begin with an `AudioLoader`.
    return_X_y : bool, default=False
        Whether to return ``(data, target)``, or ``(filenames, target)`` without content, instead
        of a Bunch.
    on_error : {"raise", "warn"}, default="raise"
        Handling of clips of the split that are missing or cannot be used: "raise" raises an
        error, "warn" leaves them out and issues one warning. ``jazz.00054``, whose .wav holds no
        sound in the copy that most people have, is always left out with a warning where it is
        missing or cannot be opened.
    random_state : int, RandomState instance or None, default=0
        Random seed for ``split="random"``.
    n_jobs : int or None, default=None
        Number of threads that read files, as in joblib.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Bunch or (ndarray, ndarray)
        The same attributes as from `load_audio_folder`. `target_names` are always the ten
        genres, and

        split : ndarray of shape (n_clips,), dtype str
            The part of the split of each clip.
        groups : ndarray of shape (n_clips,), dtype str
            Clips that must stay on one side of a split have the same group. With "artist-folds"
            the groups are the folds. Otherwise a clip and its known repetitions [2]_ share a
            group, which does *not* keep artists apart.
        test_fold : ndarray of shape (n_clips,), dtype int
            Fold numbers for ``sklearn.model_selection.PredefinedSplit``; only with
            "artist-folds".
        metadata : dict
            ``clip`` (name without extension) and ``fault``: "", "repetition" or "distortion".
        warning : str or None
            Problem of the split, for reports.

    Raises
    ------
    ValueError
        If the folder is not GTZAN (the message lists what was found and what is expected), or a
        name in `subset` is not a part of the split.
    AudioReadError
        With ``on_error="raise"``, for the first clip that cannot be used or is missing.

    Warns
    -----
    UserWarning
        For clips that are left out, and for the random split.

    See Also
    --------
    fetch_gtzan : Downloads the clips, if the public address answers.
    load_audio_folder : Describes the other attributes of the Bunch.

    Notes
    -----
    The list of faults covers repetitions and distortions. For six of the repetitions (reggae 56,
    57, 58, 60, 65 and 69) the partner is not recorded here, so each is a group of its own.
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
    home = check_folder(_gtzan_home() if data_home is None else data_home)
    parts, groups, warning = _division(split, random_state)
    known = sorted(set(parts.values()))
    chosen = (
        known if subset is None else check_names("subset", subset, known, "parts of this split")
    )
    found = _find_clips(home)
    wanted = [clip for clip, part in parts.items() if part in chosen]
    left_out = _missing_clips(home, wanted, found, on_error)
    gone = {clip for clip, _ in left_out}
    entries = [
        Entry(
            file=found[clip],
            label=clip.split(".")[0],
            split=parts[clip],
            group=groups[clip],
            extra={"clip": clip, "fault": faults().get(clip, ("", ()))[0]},
        )
        for clip in wanted
        if clip not in gone
    ]
    loader = AudioLoader(
        int(sample_rate), duration, offset, on_error=on_error, n_jobs=n_jobs, verbose=verbose
    )
    bunch, message = load_entries(
        home,
        entries,
        list(GENRES),
        [],
        loader,
        load_content,
        whole=False,  # genres can be missing: the others keep their numbers
    )
    bunch.skipped = left_out + bunch.skipped
    bunch.warning = warning
    if split == "artist-folds":
        bunch.test_fold = np.array([int(name[-1]) - 1 for name in bunch.split])
    bunch.DESCR = _describe(bunch, home, split)
    messages = [warning, message]
    if left_out:
        headline = f"{len(left_out)} of {len(wanted)} clips of the split were left out"
        messages.insert(1, describe_skipped(left_out, headline))
    return finish(bunch, messages, return_X_y)


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
    """Download GTZAN (1.2 GB) and unpack it, if it is not there yet.

    Parameters
    ----------
    data_home : str, Path or None, default=None
        Folder for data sets; the clips are stored in ``gtzan/genres`` inside it. None uses
        ``$SKSTRF_DATA`` if it is set, else the cache folder of the user.
    url : str, default=ADDRESS
        Address of the archive. The default is a public copy of the original ``genres.tar.gz``,
        which can stop answering at any time.
    known_hash : str or None, default=CHECKSUM
        Checksum of the archive, such as ``"sha256:..."``. The default is that of the original.
        None accepts any archive, for another packing of the clips from a trusted source.
    progressbar : bool, default=False
        Whether to show a progress bar during the download.
    keep_archive : bool, default=False
        Whether to keep the archive beside the clips.

    Returns
    -------
    str
        The folder of the clips, for `load_gtzan`.

    Raises
    ------
    ValueError
        If the download fails, the checksum differs, or the archive holds no clip of GTZAN or
        unexpected contents. Nothing is left behind then.

    See Also
    --------
    load_gtzan : Loads the clips.

    Notes
    -----
    The clips are excerpts of published recordings, shared for research; no license is known.
    Only files named as clips are extracted from the archive, under names made here.

    Examples
    --------
    >>> from skstrf import fetch_gtzan, load_gtzan
    >>> clips = load_gtzan(fetch_gtzan())  # doctest: +SKIP
    """
    folder = _gtzan_home(data_home)
    clips = folder / "genres"
    if clips.is_dir():
        return str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    archive = _download(folder, url, known_hash, progressbar)
    try:
        with temporary_folder(folder) as staging:
            n_clips = _unpack(archive, Path(staging))
            if n_clips == 0:
                raise ValueError(f"{url} holds no clips of GTZAN. Give another url.")
            logger.info("%d of %d clips of GTZAN", n_clips, CLIPS_PER_GENRE * len(GENRES))
            os.chmod(staging, 0o755)  # a temporary folder is for its owner alone
            os.replace(staging, clips)
    finally:
        if not keep_archive or not clips.is_dir():
            archive.unlink(missing_ok=True)
    return str(folder)


def _division(split: str, random_state: Any) -> tuple[dict[str, str], dict[str, str], str | None]:
    """Return the part of every clip, its group, and a warning."""
    if split == "fault-filtered":
        return fault_filtered(), repetition_groups(), None
    if split == "artist-folds":
        fold_of = dict(zip(SHARES, ("fold-1", "fold-2", "fold-3"), strict=True))
        folds = {clip: fold_of[part] for clip, part in fault_filtered().items()}
        return folds, folds, None
    random = check_random_state(random_state)
    bounds = np.cumsum([round(CLIPS_PER_GENRE * share) for share in SHARES.values()])
    parts = {}
    for names in np.array(all_clips()).reshape(len(GENRES), CLIPS_PER_GENRE):
        shuffled = random.permutation(names)
        for part, chosen in zip(SHARES, np.split(shuffled, bounds[:-1]), strict=True):
            parts.update(dict.fromkeys(chosen.tolist(), part))
    return dict(sorted(parts.items())), repetition_groups(), LEAKS


@cache
def fault_filtered() -> dict[str, str]:
    """Read the part of every clip in the split of Kereliuk, Sturm and Larsen."""
    parts = {}
    for part in SHARES:
        lines = (FOLDER / f"{part}_filtered.txt").read_text(encoding="ascii").split()
        parts.update({Path(line).stem: part for line in lines})
    return dict(sorted(parts.items()))


@cache
def faults() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Read the kind ("repetition" or "distortion") and the partners of every faulty clip."""
    with (FOLDER / "faults.csv").open(newline="", encoding="ascii") as file:
        return {
            row["clip"]: (row["fault"], tuple(filter(None, row["partners"].split("|"))))
            for row in csv.DictReader(file)
        }


def all_clips() -> list[str]:
    return [f"{genre}.{number:05d}" for genre in GENRES for number in range(CLIPS_PER_GENRE)]


def repetition_groups() -> dict[str, str]:
    """Group every clip with its known repetitions."""
    clips = all_clips()
    pairs = [(clip, partner) for clip, (_, partners) in faults().items() for partner in partners]
    return dict(zip(clips, linked_groups(clips, pairs), strict=True))


def _find_clips(home: Path) -> dict[str, str]:
    """Find the path of every clip below `home`, relative to it; raise for a wrong folder."""
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
    contents = describe_contents(home)
    return contents if contents == "nothing" else f"no sounds, but {contents}"


def _explain(home: Path, found: str) -> str:
    return (
        f"{home} is not GTZAN. Expected: ten folders ({', '.join(GENRES)}) of "
        f"{CLIPS_PER_GENRE} clips named blues/blues.00000.au or blues/blues.00000.wav; found: "
        f"{found}. Unpack genres.tar.gz, and name the folder it makes; sounds of your own load "
        "with load_audio_folder."
    )


def _missing_clips(
    home: Path, wanted: list[str], found: dict[str, str], on_error: str
) -> list[tuple[str, str]]:
    """List the clips of the split that are missing or known to be broken, with the reason."""
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
    if UNREADABLE not in wanted:
        return left_out
    if UNREADABLE not in found:
        return [*left_out, (UNREADABLE, "is missing, as in some copies of the corpus.")]
    try:
        audio_info(home / found[UNREADABLE])
    except AudioReadError as error:
        reason = f"{error.reason} It is broken in the .wav copy of the corpus; the .au is whole."
        return [*left_out, (UNREADABLE, reason)]
    return left_out


def _describe(bunch: Bunch, home: Path, split: str) -> str:
    lines = [f"GTZAN in {home}: {len(bunch.target)} clips, split {split!r}", ""]
    lines += [f"{part}: {count}" for part, count in sorted(Counter(bunch.split).items())]
    lines += [f"left out: {len(bunch.skipped)}"] if bunch.skipped else []
    return "\n".join([*lines, "", bunch.warning] if bunch.warning else lines)


def _gtzan_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Choose the folder that `fetch_gtzan` stores the clips in."""
    given = data_home or os.environ.get("SKSTRF_DATA")
    if not given:
        given = import_optional("pooch", extra="datasets").os_cache("skstrf")
    return Path(given) / "gtzan"


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
    """Extract the clips of a tar archive into one folder per genre; return their number."""
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
                    genre = folder / match[1].split(".")[0]
                    genre.mkdir(exist_ok=True)
                    with (genre / match[1]).open("wb") as file:
                        shutil.copyfileobj(content, file)
                    names.add(match[1])
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(
            f"{archive} cannot be unpacked ({error}). It is cut short or no tar archive: fetch "
            "it again."
        ) from error
    return len(names)
