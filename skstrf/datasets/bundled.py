"""Recordings of musical instruments that come with the package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skstrf.datasets.audio import LOADING
from skstrf.datasets.folder import load_audio_folder
from skstrf.utils.validation import validate_params

__all__ = ["load_instruments"]

FOLDER = Path(__file__).parent / "data" / "instruments"


@validate_params(
    {
        "split": [str, "array-like", None],
        **LOADING,
    },
    prefer_skip_nested_validation=True,
)
def load_instruments(
    *,
    split: str | Sequence[str] | None = None,
    sample_rate: int = 16000,
    duration: float | None = None,
    offset: float = 0.0,
    load_content: bool = True,
    return_X_y: bool = False,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Load the bundled recordings of musical instruments.

    Seven instruments, each clip 5 s of single notes one after another, in four splits.

    Parameters
    ----------
    split : {"train", "valid", "test", "new_library"}, list of these, or None, default=None
        Splits to load; None loads all. No note is in two of the first three splits. The clips of
        "new_library" are of another instrument of the same kind, in another room, and of three
        classes only: they show whether the instrument or the recording was learned.
    sample_rate : int, default=16000
        Sampling rate of the sounds in Hz; the files have 22050.
    duration : float or None, default=None
        Duration of each clip in seconds; None loads all 5 s.
    offset : float, default=0.0
        Time in seconds at which reading starts in each clip.
    load_content : bool, default=True
        Whether to read the sounds. Otherwise only their paths are returned.
    return_X_y : bool, default=False
        Whether to return ``(data, target)``, or ``(filenames, target)`` without content, instead
        of a Bunch.
    n_jobs : int or None, default=None
        Number of threads that read files, as in joblib.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Bunch or (ndarray, ndarray)
        The same attributes as from `load_audio_folder`. `split` is the split of each clip,
        ``metadata`` its source, license and attribution, and `DESCR` lists all sources and
        licenses.

    See Also
    --------
    load_audio_folder : Describes the attributes of the Bunch.

    Notes
    -----
    Clips of one split can share notes, so cross-validation inside a split is optimistic.

    Examples
    --------
    >>> from skstrf.datasets import load_instruments
    >>> clips = load_instruments(split="test", duration=1.0)
    >>> clips.data.shape
    (28, 16000)
    >>> clips.target_names[:3]
    ['alto_sax', 'double_bass_pizz', 'electric_guitar']
    """
    bunch = load_audio_folder(
        os.fspath(FOLDER),
        split=split,
        sample_rate=sample_rate,
        duration=duration,
        offset=offset,
        load_content=load_content,
        n_jobs=n_jobs,
        verbose=verbose,
    )
    if return_X_y:
        return (bunch.data if load_content else bunch.filenames), bunch.target
    bunch.DESCR = (FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    return bunch
