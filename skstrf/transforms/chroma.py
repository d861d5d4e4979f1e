"""Chromagrams: energy in the pitch classes."""

from __future__ import annotations

import numpy as np

from skstrf.transforms.base import Axis
from skstrf.transforms.stft import FourierTransformer
from skstrf.utils.validation import Integral, Interval, Options, Real

__all__ = ["ChromaTransformer"]


class ChromaTransformer(FourierTransformer):
    """Chromagram of every sound: the energy in each pitch class, octaves folded.

    There is no inverse: which octave a pitch class came from is lost.

    Parameters
    ----------
    sample_rate : float, default=16000
        Sampling rate of the input sounds in Hz.
    frame_rate : float, default=62.5
        Number of frames per second. Frame `k` is centered at ``(k + 1/2) / frame_rate`` seconds.
    n_chroma : int, default=12
        Number of pitch classes in an octave.
    tuning : float or None, default=None
        Deviation from A = 440 Hz in fractions of a pitch class; None estimates it for every
        sound.
    ctroct : float, default=5.0
        Center of the Gaussian that weights the octaves, in octaves above 27.5 Hz.
    octwidth : float or None, default=2.0
        Standard deviation of this Gaussian in octaves; None weights all octaves equally.
    norm : {1, 2, inf, None}, default=inf
        Norm by which every frame is divided; silent frames stay 0.
    n_fft : int or None, default=None
        Length of a frame in samples, even. None selects the first power of two of at least
        120 ms and two hops: 2048 at 16 kHz, which resolves semitones above about 260 Hz.
    win_length : int or None, default=None
        Length of the window in samples, see :class:`STFTTransformer`.
    window : str, default="hann"
        Name of the window, see :class:`STFTTransformer`.
    dtype : {"float32", "float64"} or None, default=None
        Precision of the computation and the output; None keeps that of the input.
    n_jobs : int or None, default=None
        Number of threads, each with a sound of its own; None means 1 and -1 all cores.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder in which the tensor of every recording is cached.

    Attributes
    ----------
    axes_ : list of Axis
        Pitch class (semitones above C) and time (s).
    hop_length_ : int
        Number of samples from one frame to the next.

    See Also
    --------
    WaveletTransformer : Spectra that keep the octaves apart.

    Notes
    -----
    The values are those of :func:`librosa.feature.chroma_stft` for one sound, on the frames of
    :class:`STFTTransformer`.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import ChromaTransformer
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    >>> chroma = ChromaTransformer().fit_transform(tone[None])
    >>> chroma.shape, int(chroma.mean(axis=2).argmax())  # A is the ninth above C
    ((1, 12, 63), 9)
    """

    _parameter_constraints: dict = {
        **FourierTransformer._parameter_constraints,
        "n_chroma": [Interval(Integral, 1, None, closed="left")],
        "tuning": [Interval(Real, -0.5, 0.5, closed="both"), None],
        "ctroct": [Interval(Real, 0, None, closed="left")],
        "octwidth": [Interval(Real, 0, None, closed="neither"), None],
        "norm": [Options(Real, {1, 2, np.inf}), None],
    }

    _window_seconds = 0.12

    def __init__(
        self,
        sample_rate=16000,
        frame_rate=62.5,
        *,
        n_chroma=12,
        tuning=None,
        ctroct=5.0,
        octwidth=2.0,
        norm=np.inf,
        n_fft=None,
        win_length=None,
        window="hann",
        dtype=None,
        n_jobs=None,
        memory=None,
    ):
        self.sample_rate = sample_rate
        self.frame_rate = frame_rate
        self.n_chroma = n_chroma
        self.tuning = tuning
        self.ctroct = ctroct
        self.octwidth = octwidth
        self.norm = norm
        self.n_fft = n_fft
        self.win_length = win_length
        self.window = window
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.memory = memory

    def _channel_axis(self) -> Axis:
        steps = np.arange(self.n_chroma) * 12 / self.n_chroma
        return Axis("pitch class", "semitones above C", steps)

    def _tensors(self, X: np.ndarray) -> np.ndarray:
        # Sound by sound, because librosa would estimate one tuning for the whole batch.
        return self._map_rows(self._chroma, X)

    def _chroma(self, x: np.ndarray) -> np.ndarray:
        import librosa

        power = np.abs(self._fourier(x)) ** 2
        if not np.isfinite(power.sum(axis=0)).all():  # transform names the sound, librosa does not
            return np.full((self.n_chroma, power.shape[1]), np.nan, x.dtype)
        return librosa.feature.chroma_stft(
            S=power,
            sr=self.sample_rate,
            norm=self.norm,
            tuning=self._tuning(power) if self.tuning is None else self.tuning,
            n_chroma=self.n_chroma,
            ctroct=self.ctroct,
            octwidth=self.octwidth,
        ).astype(x.dtype, copy=False)

    def _tuning(self, power: np.ndarray) -> float:
        """Estimate the tuning as librosa.estimate_tuning; 0 without any pitch."""
        import librosa

        pitch, strength = _spectral_peaks(power, self.sample_rate)
        if not pitch.size:
            return 0.0
        strong = strength >= np.median(strength)
        return librosa.pitch_tuning(pitch[strong], bins_per_octave=self.n_chroma)


def _spectral_peaks(power: np.ndarray, sample_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pitches (Hz) and heights of all peaks that librosa.piptrack finds."""
    # librosa finds them with generalized ufuncs that numba caches on disk. Processes that fill the
    # cache at the same time leave it so that every later call ends in a segmentation fault.
    n_fft = 2 * (len(power) - 1)
    hz = np.fft.rfftfreq(n_fft, 1 / sample_rate)[1:-1, None]
    below, center, above = power[:-2], power[1:-1], power[2:]
    peaks = np.nonzero(
        (hz >= 150)
        & (hz < min(4000, sample_rate / 2))
        & (center > 0.1 * power.max(axis=0))
        & (center > below)
        & (center >= above)
    )
    below, center, above = below[peaks], center[peaks], above[peaks]
    # The extremum of the parabola through the three bins, unless it is farther away than one bin.
    slope = (above - below) / 2
    curvature = np.subtract(below + above, 2 * center, dtype=np.float64)
    within = np.abs(slope) < np.abs(curvature)
    shift = np.divide(-slope, curvature, out=np.zeros_like(curvature), where=within)
    shift = shift.astype(power.dtype)
    pitch = (1 + peaks[0] + shift) * float(sample_rate) / n_fft
    return pitch.astype(power.dtype), center + 0.5 * slope * shift
