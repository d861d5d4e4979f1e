"""Gammatonegrams: envelopes of gammatone filters."""

from __future__ import annotations

from skstrf.transforms.filterbanks import BankTransformer, gammatone_bank
from skstrf.utils.validation import Integral, Interval

__all__ = ["GammatoneTransformer"]


class GammatoneTransformer(BankTransformer):
    """Gammatonegram of every sound: envelopes of a gammatone filter bank.

    Parameters
    ----------
    sample_rate : float, default=16000
        Sampling rate of the input sounds in Hz.
    frame_rate : float, default=62.5
        Number of frames per second. Magnitudes and powers are root mean squares and means over
        each frame; complex coefficients are those at its middle.
    n_filters : int, default=64
        Number of filters, at equal steps on the ERB scale.
    fmin : float, default=50.0
        Center of the lowest filter in Hz.
    fmax : float or None, default=None
        Frequency in Hz one step above the center of the highest filter; None selects half the
        sampling rate.
    output : {"magnitude", "power", "complex"}, default="magnitude"
        Part of the subbands that is kept; a sine of amplitude 1 at a center gives 1. The real
        part of "complex" is the output of the filters.
    compression : {"db", "log", "cbrt"}, float or None, default="db"
        Compression of the output, as in :class:`STFTTransformer`.
    compression_floor : float, default=1e-5
        Floor of "db" and scale of "log", in units of the uncompressed output.
    max_iter : int, default=32
        Number of iterations of `inverse_transform`.
    random_state : int, RandomState instance or None, default=None
        Seed of the noise from which `inverse_transform` starts.
    dtype : {"float32", "float64"} or None, default=None
        Precision of the computation and the output; None keeps that of the input.
    n_jobs : int or None, default=None
        Number of threads, each with a sound of its own; None means 1 and -1 all cores.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder in which the tensor of every recording is cached.

    Attributes
    ----------
    axes_ : list of Axis
        Frequency (Hz, at equal steps on the ERB scale) and time (s).
    hop_length_ : int
        Number of samples from one frame to the next.

    See Also
    --------
    CochleogramTransformer : Filters without delay and with an exact inverse.

    Notes
    -----
    The filters are those of fourth order of :func:`scipy.signal.gammatone`, at the centers of
    Slaney's toolbox. As in the ear, low filters respond later: by 18 ms at 50 Hz, by 3 ms at
    1 kHz.

    `inverse_transform` inverts complex coefficients by the dual frame of the bank and GMRES;
    magnitudes and powers by changing noise, or `phase`, until its envelopes match. On 28 bundled
    recordings of 2 s complex coefficients give an SNR of 79 dB in the median (54 dB at worst) at
    1000 frames per second, 41 dB at 250, except for the last 50 ms, whose filter output comes
    partly after the end (with them 32 and 25 dB). Magnitudes at 62.5 frames per second are
    reproduced to .046 of their norm in the median, .069 at worst; with the true sound as `phase`
    and ``max_iter=0`` the SNR is 26 dB in the median.

    References
    ----------
    .. [1] R. D. Patterson et al., "Complex sounds and auditory images", Auditory Physiology and
       Perception, 429-446, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import GammatoneTransformer
    >>> X = np.random.default_rng(0).standard_normal((2, 16000)).astype("float32")
    >>> GammatoneTransformer().fit_transform(X).shape
    (2, 64, 63)
    """

    _parameter_constraints: dict = {
        **BankTransformer._parameter_constraints,
        "n_filters": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        sample_rate=16000,
        frame_rate=62.5,
        *,
        n_filters=64,
        fmin=50.0,
        fmax=None,
        output="magnitude",
        compression="db",
        compression_floor=1e-5,
        max_iter=32,
        random_state=None,
        dtype=None,
        n_jobs=None,
        memory=None,
    ):
        self.sample_rate = sample_rate
        self.frame_rate = frame_rate
        self.n_filters = n_filters
        self.fmin = fmin
        self.fmax = fmax
        self.output = output
        self.compression = compression
        self.compression_floor = compression_floor
        self.max_iter = max_iter
        self.random_state = random_state
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.memory = memory

    def _design(self):
        band = self._band(self.fmin, self.fmax)
        return gammatone_bank, (self.n_filters, *band, float(self.sample_rate))
