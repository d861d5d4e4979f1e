"""Cochleograms: compressed envelopes of half-cosine filters."""

from __future__ import annotations

from skstrf.transforms.filterbanks import BankTransformer, half_cosine_bank
from skstrf.utils.validation import Integral, Interval

__all__ = ["CochleogramTransformer"]


class CochleogramTransformer(BankTransformer):
    """Cochleogram of every sound, as models of sound texture use it.

    Parameters
    ----------
    sample_rate : float, default=16000
        Sampling rate of the input sounds in Hz.
    frame_rate : float, default=62.5
        Number of frames per second. Magnitudes and powers are root mean squares and means over
        each frame; complex coefficients are those at its middle.
    n_filters : int, default=32
        Number of band-pass filters, half-cosines on the ERB scale. With 32 filters between 50 Hz
        and 8 kHz each is about as wide as those of the ear.
    fmin : float, default=50.0
        Lower edge of the lowest band in Hz.
    fmax : float or None, default=None
        Upper edge of the highest band in Hz; None selects half the sampling rate.
    include_edges : bool, default=True
        Whether a low-pass and a high-pass filter complete the bank.
    output : {"magnitude", "power", "complex"}, default="magnitude"
        Part of the subbands that is kept; a sine of amplitude 1 at a center gives 1.
    compression : float, {"db", "log", "cbrt"} or None, default=0.3
        Compression of the output: a number is a power, the others are as in
        :class:`STFTTransformer`.
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
        Frequency (Hz; 0 stands for the low-pass filter and half the sampling rate for the
        high-pass filter) and time (s).
    hop_length_ : int
        Number of samples from one frame to the next.

    See Also
    --------
    GammatoneTransformer : Filters with the delays and slopes of those of the ear.
    STRFTransformer : Cochlea and cortex of the NSL model.

    Notes
    -----
    The bank and the exponent are those of McDermott and Simoncelli [1]_. They smooth envelopes
    with a low-pass filter; here a frame holds the root mean square of its envelope, so that low
    frame rates miss no part of a sound.

    `inverse_transform` inverts complex subbands by the dual frame of the bank and GMRES;
    magnitudes and powers by changing noise, or `phase`, until its envelopes match. On 28 bundled
    recordings of 2 s complex subbands give an SNR above 115 dB at 1000 frames per second and more
    (in float32), and 33 dB in the median at 250. Compressed envelopes at 62.5 frames per second
    are reproduced to .024 of the norm of the envelopes in the median, .077 at worst; with the true
    sound as `phase` and ``max_iter=0`` the SNR is 34 dB in the median.

    References
    ----------
    .. [1] J. H. McDermott and E. P. Simoncelli, "Sound texture perception via statistics of the
       auditory periphery: evidence from sound synthesis", Neuron 71, 926-940, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import CochleogramTransformer
    >>> X = np.random.default_rng(0).standard_normal((2, 16000)).astype("float32")
    >>> CochleogramTransformer().fit_transform(X).shape
    (2, 34, 63)
    """

    _parameter_constraints: dict = {
        **BankTransformer._parameter_constraints,
        "n_filters": [Interval(Integral, 1, None, closed="left")],
        "include_edges": ["boolean"],
    }

    def __init__(
        self,
        sample_rate=16000,
        frame_rate=62.5,
        *,
        n_filters=32,
        fmin=50.0,
        fmax=None,
        include_edges=True,
        output="magnitude",
        compression=0.3,
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
        self.include_edges = include_edges
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
        settings = (self.n_filters, *band, float(self.sample_rate), bool(self.include_edges))
        return half_cosine_bank, settings
