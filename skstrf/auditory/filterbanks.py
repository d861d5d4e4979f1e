"""Cochlear filters of the NSL model, and their center frequencies."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

__all__ = [
    "CHANNELS_PER_OCTAVE",
    "N_CHANNELS",
    "CochlearFilters",
    "center_frequencies",
    "cochlear_filters",
]

N_CHANNELS = 128
CHANNELS_PER_OCTAVE = 24


class CochlearFilters(NamedTuple):
    """The 129 filters of the NSL cochlea; the last is only subtracted from the one below."""

    b: np.ndarray
    a: np.ndarray
    order: np.ndarray
    norm: np.ndarray


@lru_cache(maxsize=1)
def cochlear_filters() -> CochlearFilters:
    """Coefficients of the cochlear filter bank of the NSL model.

    The same digital filters serve every octave shift: at 8 kHz all center
    frequencies are half of those at 16 kHz.

    Returns
    -------
    CochlearFilters
        Named tuple of read-only arrays ``b``, ``a``, ``order``, ``norm``.

    References
    ----------
    .. [1] X. Yang, K. Wang and S. A. Shamma, "Auditory representations of acoustic
       signals", IEEE Transactions on Information Theory 38(2), 824-839, 1992.

    Examples
    --------
    >>> from skstrf.auditory.filterbanks import cochlear_filters
    >>> filters = cochlear_filters()
    >>> filters.b.shape, int(filters.order.min()), int(filters.order.max())
    ((129, 25), 7, 24)
    """
    source = files("skstrf.auditory") / "data" / "cochlear_filters.npz"
    with source.open("rb") as stream, np.load(stream, allow_pickle=False) as table:
        arrays = [np.ascontiguousarray(table[name]) for name in ("b", "a", "order", "norm")]
    for array in arrays:
        array.setflags(write=False)
    return CochlearFilters(*arrays)


def center_frequencies(octave_shift: float = 0, n_channels: int = N_CHANNELS) -> np.ndarray:
    """Center frequencies of the cochlear channels.

    Parameters
    ----------
    octave_shift : float, default=0
        Shift of the center frequencies in octaves: 0 for the model at 16 kHz, -1 for 8 kHz.
    n_channels : int, default=128
        Number of channels, from the lowest.

    Returns
    -------
    ndarray of shape (n_channels,), float64
        Center frequencies in Hz, ascending, 24 per octave from 180 Hz (without shift).

    Examples
    --------
    >>> from skstrf.auditory.filterbanks import center_frequencies
    >>> center_frequencies()[[0, 31, 127]].round(1)
    array([ 179.7,  440. , 7040. ])
    """
    channel = np.arange(n_channels)
    return 440.0 * 2.0 ** ((channel - 31) / CHANNELS_PER_OCTAVE + octave_shift)
