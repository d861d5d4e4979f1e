"""Sounds as style transfer takes them: checked, mono or with channels, at one level."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils.arrays import is_torch, to_numpy
from ..utils.blocks import is_dask
from ..utils.validation import check_array

__all__ = [
    "LEVEL",
    "as_sounds",
    "check_not_silent",
    "flat_sounds",
    "repeat_to",
    "restore_level",
    "shaped_noise",
]

# Root mean square of every sound inside. With it the logarithm of 1 + |STFT| bends where it does
# for recordings at their usual level.
LEVEL = 0.1
# Samples of the spectra from which noise gets its colour.
_COLOUR = 1024


def as_sounds(X: Any, name: str) -> np.ndarray:
    """Check sounds of shape (n_sounds, n_times) or (n_sounds, n_channels, n_times).

    Parameters
    ----------
    X : array-like or torch.Tensor
        Real and finite; integers become float64.
    name : str
        What messages call it.

    Returns
    -------
    ndarray of the shape of `X`
        float32 or float64.

    Raises
    ------
    ValueError
        When the shape is another, or there are NaN or infinities.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.style.sounds import as_sounds
    >>> as_sounds(np.ones((2, 5), "float32"), "style").dtype
    dtype('float32')
    """
    array = check_array(
        to_numpy(X) if is_torch(X) else X,
        dtype=(np.float64, np.float32),
        allow_nd=True,
        ensure_all_finite=False,
        input_name=f"of the {name}",
    )
    if array.ndim > 3 or array.size == 0:
        raise ValueError(
            f"the {name} must have the shape (n_sounds, n_times), or (n_sounds, n_channels, "
            f"n_times), none of them 0; got {array.shape}."
        )
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        raise ValueError(f"the {name} contains NaN or infinity, in sound {bad[0]}: leave it out.")
    return array


def check_not_silent(sounds: np.ndarray, name: str) -> None:
    """Refuse sounds without any change, which have neither content nor style.

    Parameters
    ----------
    sounds : ndarray of shape (n_sounds, ..., n_times)
        Checked by :func:`as_sounds`.
    name : str
        What the message calls them.

    Raises
    ------
    ValueError
        Naming the first such sound.
    """
    for i, sound in enumerate(sounds):
        if not sound.any():
            raise ValueError(f"sound {i} of the {name} is silent: leave it out.")


def flat_sounds(X: Any, name: str, *, mono: bool = False) -> list[np.ndarray]:
    """Check sounds of one length or of several, and list them, every channel one of them.

    Parameters
    ----------
    X : array-like, torch.Tensor or dask array, or list of arrays of shape (n_times,)
        Sounds as :func:`as_sounds` takes them, or mono ones of several lengths.
    name : str
        What messages call them.
    mono : bool
        Refuse sounds of several channels.

    Returns
    -------
    list of ndarray of shape (n_times,)
        float32 or float64; channels without any sound are left out.

    Raises
    ------
    ValueError
        When one is silent or not finite, or shapes are wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.style.sounds import flat_sounds
    >>> [len(sound) for sound in flat_sounds([np.ones(3), np.ones(5)], "style")]
    [3, 5]
    """
    if is_dask(X):
        X = X.compute()
    if isinstance(X, list | tuple) and len({np.shape(x) for x in X}) > 1:
        if not all(np.ndim(x) == 1 for x in X):
            raise ValueError(f"sounds of the {name} in a list must be mono, (n_times,) each.")
        parts = [as_sounds(np.asarray(x)[None], name) for x in X]
        check_not_silent(np.array([part.any() for part in parts])[:, None], name)
        return [part[0] for part in parts]
    array = as_sounds(X, name)
    if mono and array.ndim > 2:
        raise ValueError(f"the {name} must be mono, of shape (n_sounds, n_times): {array.shape}.")
    check_not_silent(array, name)
    flat = array.reshape(-1, array.shape[-1])
    return [sound for sound in flat if sound.any()]


def repeat_to(sound: np.ndarray, n_times: int) -> np.ndarray:
    """Repeat or cut a sound to a length.

    Parameters
    ----------
    sound : ndarray of shape (n,)
        Any sound.
    n_times : int
        Samples wanted.

    Returns
    -------
    ndarray of shape (n_times,)
        From its beginning.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.style.sounds import repeat_to
    >>> repeat_to(np.array([1, 2, 3]), 5)
    array([1, 2, 3, 1, 2])
    """
    return np.resize(sound, n_times)


def shaped_noise(sound: np.ndarray, n_times: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise with the long-term spectrum and the level of a sound.

    Parameters
    ----------
    sound : ndarray of shape (n,)
        What gives the colour.
    n_times : int
        Samples wanted.
    rng : numpy.random.Generator
        What gives the noise.

    Returns
    -------
    ndarray of shape (n_times,)
        Of the dtype of `sound`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.style.sounds import shaped_noise
    >>> rng = np.random.default_rng(0)
    >>> noise = shaped_noise(rng.standard_normal(8000), 4000, rng)
    >>> noise.shape, bool(0.9 < noise.std() < 1.1)
    ((4000,), True)
    """
    from scipy.signal import welch

    size = min(_COLOUR, len(sound))
    _, power = welch(sound.astype(np.float64), nperseg=size, detrend=False)
    white = np.fft.rfft(rng.standard_normal(n_times))
    places = np.linspace(0, len(power) - 1, len(white))
    coloured = np.fft.irfft(
        white * np.sqrt(np.interp(places, np.arange(len(power)), power)), n_times
    )
    level = np.sqrt(np.square(sound, dtype=np.float64).mean())
    found = np.sqrt(np.square(coloured).mean())
    return (coloured * (level / found if found else 0.0)).astype(sound.dtype)


def restore_level(result: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Bring a result to the content's level, but nowhere beyond full scale.

    Parameters
    ----------
    result : ndarray of shape (..., n_times)
        Of one recording, all channels.
    content : ndarray of the shape of `result`
        What it was made of.

    Returns
    -------
    ndarray
        `result` with the root mean square of `content`; where this takes a peak beyond 1 (or
        beyond the content's own, if that is higher) all of it is turned down.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.style.sounds import restore_level
    >>> restore_level(np.array([0.0, 8.0, 0.0, 0.0]), np.array([0.8, -0.8, 0.8, -0.8]))
    array([0., 1., 0., 0.])
    """
    wanted, found = (np.sqrt(np.square(x, dtype=np.float64).mean()) for x in (content, result))
    if found == 0:
        return content.copy()
    scaled = result * (wanted / found)
    ceiling, peak = max(1.0, np.abs(content).max()), np.abs(scaled).max()
    return scaled * (ceiling / peak) if peak > ceiling else scaled
