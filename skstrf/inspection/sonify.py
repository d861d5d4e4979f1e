"""Sonification of spectrograms and tensors."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from skstrf import auditory
from skstrf.datasets.writing import write_sound
from skstrf.utils.arrays import to_numpy
from skstrf.utils.validation import check_is_fitted

__all__ = ["sonify"]

_logger = logging.getLogger("skstrf")


def sonify(
    v: Any,
    *,
    transformer: Any = None,
    sample_rate: float | None = None,
    peak: float | None = 0.9,
    path: str | os.PathLike[str] | None = None,
    hop_duration: float = 8.0,
    time_constant: float = 8.0,
    nonlinearity: str | float = "linear",
    method: str = "gradient",
    max_iter: int | None = None,
) -> np.ndarray:
    """Convert a spectrogram or a tensor to sound, at a level that is safe to play.

    Parameters
    ----------
    v : array-like or torch.Tensor
        Auditory spectrogram of shape (128, n_frames) or, with `transformer`, tensor of the shape
        that the transformer computes of one sound. An additional first axis makes a batch.
    transformer : SoundTransformer or None, default=None
        Fitted transformer with an ``inverse_transform``, such as STRFTransformer; `v` is one of
        its tensors, possibly modified. With None, `v` is an auditory spectrogram.
    sample_rate : float or None, default=None
        Sampling rate of the sound in Hz. With None, it is that of `transformer`, or 16000.
    peak : float or None, default=0.9
        Largest absolute sample, in (0, 1]: 0.9 is 0.9 dB below full scale. All sounds of a batch
        have the same gain, so that their levels can be compared; silence remains silence. With
        None, the level is kept unless it would clip: then the sound is scaled down to 1, and a
        warning is logged.
    path : str, PathLike or None, default=None
        Path of a 16-bit ``.wav`` file to write, completely or not at all. An existing file is
        replaced.
    hop_duration : float, default=8.0
        Hop of the spectrogram in ms, see :func:`skstrf.auditory.auditory_spectrogram`. This and
        the following parameters are unused with a transformer.
    time_constant : float, default=8.0
        Time constant of the spectrogram in ms.
    nonlinearity : {"linear", "half-wave", "hard"} or float, default="linear"
        Hair cell nonlinearity of the spectrogram.
    method : {"gradient", "projection"}, default="gradient"
        Method of inversion, see :func:`skstrf.auditory.invert_auditory_spectrogram`.
    max_iter : int or None, default=None
        Maximum number of iterations. With None, it is 100 for "gradient" and 10 for "projection".

    Returns
    -------
    ndarray of shape (n_times,) or (n_sounds, n_times)
        Samples between -1 and 1. In a notebook,
        ``IPython.display.Audio(y, rate=sample_rate, normalize=False)`` plays one sound.

    Raises
    ------
    ValueError
        If the number of axes of `v` is wrong, `peak` is not in (0, 1], `sample_rate` is not that
        of the transformer, `path` cannot be the WAV file of one sound, or the sound is not finite.

    See Also
    --------
    skstrf.inspection.ReconstructionDisplay : Plot the reconstruction.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.inspection import sonify
    >>> from skstrf.transforms.stft import STFTTransformer
    >>> X = np.random.default_rng(0).standard_normal((1, 4000))
    >>> stft = STFTTransformer(output="complex").fit(X)
    >>> y = sonify(stft.transform(X)[0], transformer=stft)
    >>> y.shape, float(abs(y).max())
    ((4000,), 0.9)
    """
    if peak is not None and not 0 < peak <= 1:
        raise ValueError(f"peak must lie in (0, 1] or be None, got {peak!r}.")
    n_axes = 2 if transformer is None else _n_axes(transformer)
    values = to_numpy(v)
    if values.ndim not in (n_axes, n_axes + 1):
        kind = "an auditory spectrogram" if transformer is None else "a tensor of the transformer"
        raise ValueError(
            f"v has {values.ndim} axes; {kind} has {n_axes}, and a batch {n_axes + 1}. "
            "Tensors need the transformer that made them."
        )
    rate = _sample_rate(sample_rate, transformer)
    single = values.ndim == n_axes
    if path is not None:
        path = _check_path(path, rate, 1 if single else len(values))
    batch = values[None] if single else values
    if transformer is None:
        sounds = auditory.invert_auditory_spectrogram(
            batch,
            sample_rate=rate,
            hop_duration=hop_duration,
            time_constant=time_constant,
            nonlinearity=nonlinearity,
            method=method,
            max_iter=max_iter,
        )
    else:
        sounds = transformer.inverse_transform(batch)
    sounds = _playable(np.asarray(sounds), peak)
    if path is not None:
        write_sound(path, sounds[0], rate)
    return sounds[0] if single else sounds


def _n_axes(transformer: Any) -> int:
    if not hasattr(transformer, "inverse_transform"):
        raise ValueError(f"{type(transformer).__name__} has no inverse_transform.")
    check_is_fitted(transformer)
    return len(transformer.axes_)


def _sample_rate(sample_rate: float | None, transformer: Any) -> float:
    known = getattr(transformer, "sample_rate", 16000)
    if sample_rate is None:
        return known
    if transformer is not None and sample_rate != known:
        raise ValueError(
            f"sample_rate={sample_rate:g}, but the transformer's sounds have {known:g} Hz. "
            "Omit sample_rate and resample the result, for example with librosa.resample."
        )
    return sample_rate


def _check_path(path: Any, rate: float, n_sounds: int) -> Path:
    path = Path(path)
    if n_sounds != 1:
        raise ValueError(f"path is one file for {n_sounds} sounds: sonify them one by one.")
    if path.suffix.lower() != ".wav":
        raise ValueError(f"path must end in .wav, got {path.name!r}.")
    if not path.parent.is_dir():
        raise ValueError(f"path: the folder {str(path.parent)!r} does not exist. Create it first.")
    if rate != int(rate):
        raise ValueError(f"sample_rate must be a whole number in a WAV file, got {rate!r}.")
    return path


def _playable(sounds: np.ndarray, peak: float | None) -> np.ndarray:
    if not np.isfinite(sounds).all():
        raise ValueError("the sound is not finite: check v for extreme values.")
    largest = np.abs(sounds).max(initial=0)
    if peak is None and largest > 1:
        _logger.warning(
            "sonify: level reduced by %.1f dB to prevent clipping", 20 * np.log10(largest)
        )
        peak = 1.0
    if peak is None or largest == 0:
        return sounds
    # Division first: the rounding of a tiny or huge gain must not take a sample beyond the peak.
    return np.clip(sounds / largest * sounds.dtype.type(peak), -peak, peak)
