"""Mel-frequency cepstral coefficients and their inverse."""

from __future__ import annotations

import numpy as np

from skstrf.transforms.base import Axis
from skstrf.transforms.compression import COMPRESSION, compress, expand
from skstrf.transforms.mel import MelBankTransformer
from skstrf.utils.validation import Integral, Interval, Options, Real

__all__ = ["MFCCTransformer"]


class MFCCTransformer(MelBankTransformer):
    """Mel-frequency cepstral coefficients of every sound.

    Parameters
    ----------
    sample_rate : float, default=16000
        Sampling rate of the input sounds in Hz.
    frame_rate : float, default=62.5
        Number of frames per second. Frame `k` is centered at ``(k + 1/2) / frame_rate`` seconds.
    n_mfcc : int, default=20
        Number of coefficients, at most `n_mels`.
    dct_type : {1, 2, 3}, default=2
        Type of the cosine transform over the mel axis, which is always orthonormal.
    lifter : float, default=0
        Liftering parameter, 0 for none or between 1 and 1e6: coefficient `k` (counted from 1) is
        multiplied by ``1 + lifter / 2 * sin(pi k / lifter)``.
    n_mels : int, default=128
        Number of mel filters.
    fmin : float, default=0.0
        Lower edge of the lowest filter in Hz.
    fmax : float or None, default=None
        Upper edge of the highest filter in Hz; None selects half the sampling rate.
    htk : bool, default=False
        Whether the mel scale is that of HTK instead of Slaney's.
    norm : {"slaney", None}, default="slaney"
        Normalization of the filters: "slaney" gives equal areas, None equal heights.
    n_fft : int or None, default=None
        Length of a frame in samples, see :class:`STFTTransformer`.
    win_length : int or None, default=None
        Length of the window in samples, see :class:`STFTTransformer`.
    window : str, default="hann"
        Name of the window, see :class:`STFTTransformer`.
    compression_floor : float, default=1e-10
        Smallest mel power; lower ones are raised to it.
    max_iter : int, default=64
        Number of iterations of `inverse_transform`.
    random_state : int, RandomState instance or None, default=None
        Seed of the phases from which `inverse_transform` starts.
    dtype : {"float32", "float64"} or None, default=None
        Precision of the computation and the output; None keeps that of the input.
    n_jobs : int or None, default=None
        Number of threads of `inverse_transform`; None means 1 and -1 all cores.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder in which the tensor of every recording is cached.

    Attributes
    ----------
    axes_ : list of Axis
        Coefficient (index; coefficient 0 is the level) and time (s).
    hop_length_ : int
        Number of samples from one frame to the next.

    See Also
    --------
    MelTransformer : Spectra that the coefficients describe.

    Notes
    -----
    The values are those of :func:`librosa.feature.mfcc` without `top_db`, which would make every
    frame depend on the loudest one of its batch.

    `inverse_transform` sets the coefficients that were left out to 0, which smooths the spectra
    and removes their harmonics, and proceeds as :class:`MelTransformer`. On 28 bundled recordings
    of 2 s the coefficients of the resulting sounds differ by .023 of their norm in the median and
    .063 at worst. The waveforms are different: even with the true phases the SNR is 1.5 dB in the
    median.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import MFCCTransformer
    >>> X = np.random.default_rng(0).standard_normal((2, 16000)).astype("float32")
    >>> MFCCTransformer().fit_transform(X).shape
    (2, 20, 63)
    """

    _parameter_constraints: dict = {
        **MelBankTransformer._parameter_constraints,
        "n_mfcc": [Interval(Integral, 1, None, closed="left")],
        "dct_type": [Options(Integral, {1, 2, 3})],
        "lifter": [Interval(Real, 1, 1e6, closed="both"), Options(Real, {0})],
        "compression_floor": COMPRESSION["compression_floor"],
    }

    def __init__(
        self,
        sample_rate=16000,
        frame_rate=62.5,
        *,
        n_mfcc=20,
        dct_type=2,
        lifter=0,
        n_mels=128,
        fmin=0.0,
        fmax=None,
        htk=False,
        norm="slaney",
        n_fft=None,
        win_length=None,
        window="hann",
        compression_floor=1e-10,
        max_iter=64,
        random_state=None,
        dtype=None,
        n_jobs=None,
        memory=None,
    ):
        self.sample_rate = sample_rate
        self.frame_rate = frame_rate
        self.n_mfcc = n_mfcc
        self.dct_type = dct_type
        self.lifter = lifter
        self.n_mels = n_mels
        self.fmin = fmin
        self.fmax = fmax
        self.htk = htk
        self.norm = norm
        self.n_fft = n_fft
        self.win_length = win_length
        self.window = window
        self.compression_floor = compression_floor
        self.max_iter = max_iter
        self.random_state = random_state
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.memory = memory

    def _channel_axis(self) -> Axis:
        if self.n_mfcc > self.n_mels:
            raise ValueError(
                f"n_mfcc={self.n_mfcc} is above n_mels={self.n_mels}: there are no more "
                "coefficients than filters. Lower n_mfcc or raise n_mels."
            )
        self._mel_frequencies()
        return Axis("coefficient", "index", np.arange(float(self.n_mfcc)))

    def _computes_tensors(self) -> bool:
        return True

    def _tensors(self, X: np.ndarray) -> np.ndarray:
        import librosa

        mel = compress(self._mel(X), "db", self.compression_floor, power=True)
        return librosa.feature.mfcc(
            S=mel, n_mfcc=self.n_mfcc, dct_type=self.dct_type, lifter=self.lifter
        )

    def _invert(self, tensor, hint, rng):
        import scipy.fft

        if self.lifter:
            order = np.arange(1, 1 + self.n_mfcc, dtype=tensor.dtype)
            tensor = tensor / (1 + self.lifter / 2 * np.sin(np.pi * order / self.lifter))[:, None]
        decibels = scipy.fft.idct(tensor, axis=0, type=self.dct_type, norm="ortho", n=self.n_mels)
        return self._from_mel(expand(decibels, "db", 1.0, power=True), hint, rng)
