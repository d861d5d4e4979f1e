"""Getting GTZAN: download, checksum, and an extraction that only takes what is expected."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO

import pooch

from skstrf.datasets.gtzan_lists import CLIPS_PER_GENRE, GENRES
from skstrf.utils.validation import validate_params

__all__ = ["fetch_gtzan", "gtzan_home"]

logger = logging.getLogger("skstrf")

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
    """Return the folder that the clips are put into.

    Parameters
    ----------
    data_home : str, Path or None
        The folder for data; None: ``$SKSTRF_DATA``, or the user's folder for caches.

    Returns
    -------
    Path
        Whether or not it is there.
    """
    given = data_home or os.environ.get("SKSTRF_DATA") or pooch.os_cache("skstrf")
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
    The clips are excerpts of published recordings, shared for research; no licence is known.
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
