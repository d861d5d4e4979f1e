"""Short-time Fourier transform on the shared grid, its inverse, and phases for magnitudes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from scipy.signal import get_window

from ..utils.validation import Integral, Interval
from .base import FramedTransformer
from .grid import n_frames

__all__ = ["FourierTransformer", "fourier_frames", "griffin_lim", "sounds_from_frames"]

# Least part of the largest overlap of windows that must be over every sample to invert.
_COVERAGE = 1e-4


def fourier_frames(
    X: np.ndarray, *, n_fft: int, hop: int, win_length: int | None = None, window: str = "hann"
) -> np.ndarray:
    """Short-time Fourier transform with frames centred between multiples of `hop`.

    Parameters
    ----------
    X : ndarray of shape (..., n_times)
        Sounds; silence is assumed around them.
    n_fft : int
        Samples of a frame, at least `hop`.
    hop : int
        Samples from one frame to the next.
    win_length : int or None
        Samples of the window, in the middle of the frame; None: all.
    window : str
        Name that scipy.signal.get_window knows.

    Returns
    -------
    ndarray of shape (..., 1 + n_fft // 2, ceil(n_times / hop))
        Complex, of the precision of `X`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.transforms.fourier import fourier_frames
    >>> fourier_frames(np.ones(1000), n_fft=512, hop=256).shape
    (257, 4)
    """
    import librosa

    count = n_frames(X.shape[-1], hop)
    before, total = n_fft // 2 - hop // 2, (count - 1) * hop + n_fft
    padded = np.zeros((*X.shape[:-1], total), dtype=X.dtype)
    padded[..., before : before + X.shape[-1]] = X
    return librosa.stft(
        padded, n_fft=n_fft, hop_length=hop, win_length=win_length, window=window, center=False
    )


def sounds_from_frames(
    frames: np.ndarray, n_times: int, *, hop: int, win_length: int | None = None, window="hann"
) -> np.ndarray:
    """Least-squares inverse of `fourier_frames`, exact for what it gave.

    Parameters
    ----------
    frames : ndarray of shape (..., 1 + n_fft // 2, n_frames)
        Complex.
    n_times : int
        Samples of the sounds.
    hop : int
        As in `fourier_frames`.
    win_length : int or None
        As in `fourier_frames`.
    window : str
        As in `fourier_frames`.

    Returns
    -------
    ndarray of shape (..., n_times)
        Sounds of the precision of `frames`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.transforms.fourier import fourier_frames, sounds_from_frames
    >>> x = np.random.default_rng(0).standard_normal(1000)
    >>> frames = fourier_frames(x, n_fft=512, hop=256)
    >>> bool(np.allclose(sounds_from_frames(frames, 1000, hop=256), x))
    True
    """
    import librosa

    n_fft = 2 * (frames.shape[-2] - 1)
    before = n_fft // 2 - hop // 2
    padded = librosa.istft(
        frames, n_fft=n_fft, hop_length=hop, win_length=win_length, window=window, center=False
    )
    return padded[..., before : before + n_times]


def griffin_lim(
    magnitude: np.ndarray,
    phase: np.ndarray,
    forward: Callable[[np.ndarray], np.ndarray],
    backward: Callable[[np.ndarray], np.ndarray],
    *,
    n_iter: int,
    momentum: float = 0.99,
) -> np.ndarray:
    """Find a sound with these magnitudes by the fast Griffin-Lim algorithm.

    Parameters
    ----------
    magnitude : ndarray
        Magnitudes of the transform.
    phase : ndarray of the shape of `magnitude`
        Unit complex numbers to start from.
    forward : callable
        Sound to complex transform.
    backward : callable
        Its least-squares inverse.
    n_iter : int
        Iterations; 0 inverts with `phase`.
    momentum : float
        0 is the algorithm of Griffin and Lim, .99 that of Perraudin and others.

    Returns
    -------
    ndarray
        The sound.

    References
    ----------
    .. [1] N. Perraudin, P. Balazs and P. L. Søndergaard, "A fast Griffin-Lim algorithm", IEEE
       WASPAA, 2013, algorithm 2 (momentum: alpha / (1 + alpha) as in librosa).

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf.transforms.fourier import fourier_frames, griffin_lim, sounds_from_frames
    >>> def forward(x):
    ...     return fourier_frames(x, n_fft=512, hop=128)
    >>> def backward(frames):
    ...     return sounds_from_frames(frames, 4000, hop=128)
    >>> rng = np.random.default_rng(0)
    >>> magnitude = np.abs(forward(rng.standard_normal(4000)))
    >>> phase = np.exp(2j * np.pi * rng.random(magnitude.shape))
    >>> x = griffin_lim(magnitude, phase, forward, backward, n_iter=64)
    >>> error = np.abs(forward(x)) - magnitude
    >>> bool(np.linalg.norm(error) < 0.15 * np.linalg.norm(magnitude))
    True
    """
    tiny = np.finfo(magnitude.dtype).tiny
    previous: Any = 0
    for _ in range(n_iter):
        consistent = forward(backward(magnitude * phase))
        phase = consistent - momentum / (1 + momentum) * previous
        phase = phase / (np.abs(phase) + tiny)
        previous = consistent
    return backward(magnitude * phase)


class FourierTransformer(FramedTransformer):
    """Base of the transformers that begin with a short-time Fourier transform.

    Attributes
    ----------
    n_fft_ : int
        Samples of a frame.
    """

    _parameter_constraints: dict = {
        **FramedTransformer._parameter_constraints,
        "n_fft": [Interval(Integral, 2, None, closed="left"), None],
        "win_length": [Interval(Integral, 1, None, closed="left"), None],
        "window": [str],
    }

    # Least length of a window, from which `n_fft` None chooses.
    _window_seconds: ClassVar[float] = 0.06

    n_fft: int | None
    win_length: int | None
    window: str
    n_iter: int

    def _prepare_frames(self) -> None:
        hop = self.hop_length_
        enough = max(int(self._window_seconds * self.sample_rate), 2 * hop)
        self.n_fft_ = 1 << (enough - 1).bit_length() if self.n_fft is None else int(self.n_fft)
        length = self.win_length or self.n_fft_
        if self.n_fft_ % 2:
            raise ValueError(f"n_fft={self.n_fft} is odd; take an even number of samples.")
        if length > self.n_fft_:
            raise ValueError(f"win_length={length} is longer than n_fft={self.n_fft_}.")
        _check_window(self.window)
        if hop > length:
            raise ValueError(
                f"frame_rate={self.frame_rate:g} Hz puts frames {hop} samples apart, but a window "
                f"has only {length}: sound between them would be lost. Raise frame_rate or "
                f"{'win_length' if self.win_length else 'n_fft'}."
            )

    def _fourier(self, X: np.ndarray) -> np.ndarray:
        return fourier_frames(
            X,
            n_fft=self.n_fft_,
            hop=self.hop_length_,
            win_length=self.win_length,
            window=self.window,
        )

    def _sound(self, frames: np.ndarray) -> np.ndarray:
        return sounds_from_frames(
            frames,
            self.n_features_in_,
            hop=self.hop_length_,
            win_length=self.win_length,
            window=self.window,
        )

    def _check_coverage(self) -> None:
        """Raise where a sample is under no window, or nearly so."""
        import librosa

        n_times, hop = self.n_features_in_, self.hop_length_
        overlap = librosa.filters.window_sumsquare(
            window=self.window,
            n_frames=n_frames(n_times, hop),
            win_length=self.win_length,
            n_fft=self.n_fft_,
            hop_length=hop,
            dtype=np.float64,
        )
        before = self.n_fft_ // 2 - hop // 2
        if overlap[before : before + n_times].min() < _COVERAGE * overlap.max():
            raise ValueError(
                f"With hops of {hop} samples some samples lie under no window, so the sounds "
                "cannot be found again. Raise frame_rate, or n_fft and win_length."
            )

    def _from_magnitude(
        self, magnitude: np.ndarray, hint: np.ndarray | None, rng: Any
    ) -> np.ndarray:
        """Find one sound from magnitudes, starting from a hint or from random phases."""
        if hint is None:
            hint = rng.uniform(0, 2 * np.pi, magnitude.shape)
        phase = self._phases(hint).astype(np.result_type(magnitude.dtype, np.complex64))
        return griffin_lim(magnitude, phase, self._fourier, self._sound, n_iter=self.n_iter)

    def _phases(self, hint: np.ndarray) -> np.ndarray:
        """Unit complex numbers with the phases of a sound, of complex numbers, or in radians."""
        frames = self._fourier(hint) if hint.ndim == 1 else hint
        return np.exp(1j * (np.angle(frames) if np.iscomplexobj(frames) else frames))

    def _phase_shape(self) -> tuple[int, ...]:
        return (1 + self.n_fft_ // 2, len(self.axes_[-1].values))

    def _bins(self) -> np.ndarray:
        return np.arange(1 + self.n_fft_ // 2) * self.sample_rate / self.n_fft_


def _check_window(window: Any) -> None:
    try:
        get_window(window, 4)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"window={window!r} is none that scipy.signal.get_window knows."
        ) from error
