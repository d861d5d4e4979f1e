"""Scattering transform in time, computed by kymatio."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from skstrf.transforms.base import Axis, FramedTransformer
from skstrf.transforms.compression import COMPRESSION, compress
from skstrf.utils.optional import import_optional
from skstrf.utils.validation import Integral, Interval

__all__ = ["ScatteringTransformer"]

# kymatio averages over T / _FINER samples and subsamples by half of that; the windows of the
# frames average the rest. The sound is mirrored at its ends, for the wavelets.
_OVERSAMPLING, _FINER = 1, 8
# Standard deviation of an average over T samples, in units of T, of kymatio's Gaussian.
_DEVIATION = 1 / (2 * np.pi * 0.1)
# Weights of a window beyond this number of standard deviations are omitted. Windows of so many
# frames are multiplied at a time.
_REACH, _FRAMES = 6.0, 256


class ScatteringTransformer(FramedTransformer):
    """Scattering transform of every sound in time.

    Order 1 holds the averaged envelopes of a wavelet transform, order 2 those of a wavelet
    transform of each envelope: how strongly it is modulated, and at which rate. There is no
    inverse: kymatio has none, and which phases were averaged away is lost.

    Parameters
    ----------
    sample_rate : float, default=16000
        Sampling rate of the input sounds in Hz.
    frame_rate : float, default=62.5
        Number of frames per second. Frame `k` is centered at ``(k + 1/2) / frame_rate`` seconds.
    J : int, default=12
        Binary logarithm of the length of the longest wavelet in samples: 256 ms at 16 kHz.
    Q : int or (int, int), default=(8, 1)
        Number of wavelets per octave of order 1 and order 2; one number applies to order 1.
    T : int or None, default=None
        Length of the average in samples, a power of two and at least a hop. None selects
        ``2**J``, or the first power of two of at least a hop if that is longer.
    orders : tuple of int, default=(1, 2)
        Orders that are kept: 0 (the averaged sound, which is signed), 1 and 2.
    compression : {"db", "log", "cbrt"}, float or None, default="db"
        Compression of the output, as in :class:`STFTTransformer`.
    compression_floor : float, default=1e-5
        Floor of "db" and scale of "log", in units of the uncompressed output.
    dtype : {"float32", "float64"} or None, default=None
        Precision of the computation and the output; None keeps that of the input.
    n_jobs : int or None, default=None
        Number of threads, each with a sound of its own, besides those of torch; None means 1
        and -1 all cores.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder in which the tensor of every recording is cached.

    Attributes
    ----------
    axes_ : list of Axis
        Path (with names such as "440 Hz" and "440 Hz, 12.5 Hz") and time (s).
    paths_ : ndarray of shape (n_paths, 2)
        Center frequencies in Hz of the wavelets of order 1 and 2; NaN where there is none.
    orders_ : ndarray of shape (n_paths,)
        Order of every path.
    hop_length_ : int
        Number of samples from one frame to the next.

    See Also
    --------
    STRFTransformer : Modulations over time and frequency, with their direction.

    Notes
    -----
    Paths are averaged over Gaussian windows of a standard deviation of ``1.6 T``, like those of
    kymatio, around the middles of the frames. Windows at the ends cover the sound only, and are
    widened until their largest weight equals that of the others. Steady sounds therefore keep
    their level up to the ends, a click is loudest in its own frame, and a reversed sound has the
    reversed tensor. The wavelets meet the sound mirrored at both ends. kymatio also averages over
    the mirrored sound, so that a click near an end is loudest at the end, and twice as loud.

    kymatio 0.3 scales paths down by powers of two when it subsamples
    [3]_; this is undone, so that paths are comparable. The filters are designed for the length of
    the sounds, which takes longer than their application, and are kept for the next call (460 MB
    for 30 s).

    References
    ----------
    .. [1] J. Andén and S. Mallat, "Deep scattering spectrum", IEEE Trans. Signal Processing
       62(16), 4114-4128, 2014.
    .. [2] M. Andreux et al., "Kymatio: scattering transforms in Python", J. Machine Learning
       Research 21(60), 2020.
    .. [3] https://github.com/kymatio/kymatio/pull/736

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import ScatteringTransformer
    >>> X = np.random.default_rng(0).standard_normal((2, 8000)).astype("float32")
    >>> scattering = ScatteringTransformer(frame_rate=15.625, J=10).fit(X)
    >>> scattering.transform(X).shape
    (2, 373, 8)
    >>> scattering.axes_[0].values[[0, 372]].tolist()
    ['6966.09 Hz', '24.2699 Hz, 5.46875 Hz']
    """

    _algorithm_version = 2
    _parameter_constraints: dict = {
        **FramedTransformer._parameter_constraints,
        **COMPRESSION,
        "J": [Interval(Integral, 1, None, closed="left")],
        "Q": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "T": [Interval(Integral, 1, None, closed="left"), None],
        "orders": [tuple, list],
    }

    def __init__(
        self,
        sample_rate=16000,
        frame_rate=62.5,
        *,
        J=12,
        Q=(8, 1),
        T=None,
        orders=(1, 2),
        compression="db",
        compression_floor=1e-5,
        dtype=None,
        n_jobs=None,
        memory=None,
    ):
        self.sample_rate = sample_rate
        self.frame_rate = frame_rate
        self.J = J
        self.Q = Q
        self.T = T
        self.orders = orders
        self.compression = compression
        self.compression_floor = compression_floor
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.memory = memory

    def _channel_axis(self) -> Axis:
        settings = self._settings()
        utils = import_optional("kymatio.scattering1d.utils", extra="scattering")
        given = (settings[name] for name in ("J", "Q", "T", "max_order"))
        # The last three are what kymatio's frontends set.
        meta = utils.compute_meta_scattering(*given, np.sqrt(0.5), 0.1, 5.0)
        kept = np.isin(meta["order"], self.orders)
        paths = np.full((len(kept), 2), np.nan)
        paths[:, : settings["max_order"]] = meta["xi"]
        self._kept = np.flatnonzero(kept)
        self.orders_ = np.asarray(meta["order"])[kept].astype(int)
        self.paths_ = paths[kept] * self.sample_rate
        return Axis("path", "Hz", np.array([_name(path) for path in self.paths_]))

    def _settings(self) -> dict[str, Any]:
        """Check the parameters and return those of kymatio."""
        orders = tuple(self.orders)
        if not orders or not set(orders) <= {0, 1, 2}:
            raise ValueError(f"orders={self.orders!r}: choose some of 0, 1 and 2.")
        if 0 in orders and self.compression is not None:
            raise ValueError(
                f"orders={self.orders!r} holds 0, the averaged sound, which has both signs and "
                "cannot be compressed: leave it out, or set compression=None."
            )
        Q = (self.Q, 1) if isinstance(self.Q, Integral) else tuple(self.Q)
        if len(Q) != 2 or not all(isinstance(q, Integral) and int(q) >= 1 for q in Q):
            raise ValueError(f"Q={self.Q!r} must be a positive integer, or two of them.")
        hop = self.hop_length_
        least = 1 << (hop - 1).bit_length()
        T = max(2**self.J, least) if self.T is None else int(self.T)
        if T & (T - 1) or hop > T:
            raise ValueError(
                f"T={self.T} must be a power of two and at least the hop of {hop} "
                f"samples, or sound between frames is lost. Set T to {least} or more, or to None."
            )
        return {"J": int(self.J), "Q": Q, "T": T, "max_order": max(1, *orders)}

    def _tensors(self, X: np.ndarray) -> np.ndarray:
        return self._map_rows(self._scattering, X)

    def _scattering(self, x: np.ndarray) -> np.ndarray:
        settings = self._settings()
        T, hop, count = settings["T"], self.hop_length_, len(self.axes_[-1].values)
        fine = max(1, T // _FINER)
        step = max(1, fine >> _OVERSAMPLING)
        # Mirrored further than the wavelets and averages reach, in whole steps of kymatio.
        lead = -(-max(2 ** (settings["J"] + 1), T) // fine) * fine
        tail = lead + -len(x) % fine
        padded = np.pad(x, (lead, tail), mode="reflect")
        paths = _scatter(padded, tuple(sorted((settings | {"T": fine}).items())))[self._kept]
        first = lead // step
        paths = paths[:, first : first + 1 + -(-len(x) // step)]
        middles = np.minimum(np.arange(count) * hop + hop // 2, len(x) - 1)
        values = np.empty((len(paths), count), dtype=x.dtype)
        for rows, columns, weights in _windows(len(x), step, T, fine, tuple(middles)):
            values[:, rows] = paths[:, columns] @ weights.astype(x.dtype).T
        if 0 not in self.orders:
            values = np.maximum(values, 0)  # of rounding
        return compress(values, self.compression, self.compression_floor)


@lru_cache(maxsize=4)
def _windows(
    n_times: int, step: int, T: int, fine: int, middles: tuple[int, ...]
) -> list[tuple[slice, slice, np.ndarray]]:
    """Return the averages of all frames, as weights of the paths at every `step` samples.

    They add what averages over `T` samples have beyond averages over `fine` samples, a few frames
    at a time: slices of frames and of steps, and weights (n_frames, n_steps).
    """
    deviation, known = _DEVIATION * T, _DEVIATION * fine
    centers = np.asarray(middles, dtype=float)
    inverse = _inverse_widths(centers, n_times, deviation)
    # Variances of Gaussians add; 0 if the window covers all of the sound alike.
    inverse /= np.sqrt(1 - (known * inverse) ** 2)
    times = np.arange(1 + -(-n_times // step)) * float(step)
    # Part of the sound that every step stands for.
    cells = np.minimum(times + step / 2, n_times) - np.maximum(times - step / 2, 0)
    cells = np.maximum(cells, 0)
    parts = []
    for start in range(0, len(centers), _FRAMES):
        rows = slice(start, min(start + _FRAMES, len(centers)))
        reach = _REACH / max(inverse[rows].min(), 1 / (_REACH * n_times))
        low, high = np.searchsorted(times, [centers[rows][0] - reach, centers[rows][-1] + reach])
        columns = slice(max(int(low) - 1, 0), int(high) + 1)
        distance = (times[columns] - centers[rows, None]) * inverse[rows, None]
        weights = cells[columns] * np.exp(-(distance**2) / 2)
        parts.append((rows, columns, weights / weights.sum(axis=1, keepdims=True)))
    return parts


def _inverse_widths(centers: np.ndarray, n_times: int, deviation: float) -> np.ndarray:
    """Return 1 / the standard deviation of the windows, truncated at the ends of the sound.

    Each is widened until its largest weight is that of a window inside, `deviation` wide.
    """
    from scipy.special import ndtr

    low, high = np.zeros_like(centers), np.full_like(centers, 1 / deviation)
    for _ in range(50):
        middle = (low + high) / 2
        covered = ndtr((n_times - centers) * middle) - ndtr(-centers * middle)
        too_narrow = covered < middle * deviation
        low, high = np.where(too_narrow, low, middle), np.where(too_narrow, middle, high)
    return low


def _name(path: np.ndarray) -> str:
    known = [f"{hz:g} Hz" for hz in path if not np.isnan(hz)]
    return ", ".join(known) if known else "0 Hz"


def _scatter(x: np.ndarray, settings: tuple) -> np.ndarray:
    """Compute all paths of one sound in the precision of `x`."""
    frontend, scale = _frontend(len(x), x.dtype == np.float32, settings)
    if x.dtype == np.float32:
        import torch

        return frontend(torch.from_numpy(x)).numpy() * scale
    return frontend(x[None])[0] * scale


@lru_cache(maxsize=2)
def _frontend(n_times: int, single: bool, settings: tuple) -> tuple[Any, np.ndarray]:
    """Return kymatio's transform for one length, and the scale of every path."""
    # By the deep path: kymatio.numpy and kymatio.torch load the 3-D transforms as well, which
    # need a function that SciPy 1.17 no longer has.
    file, name = ("torch", "ScatteringTorch1D") if single else ("numpy", "ScatteringNumPy1D")
    module = f"kymatio.scattering1d.frontend.{file}_frontend"
    frontend = getattr(import_optional(module, extra="scattering"), name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the ends of short sounds, which are silence here
        transform = frontend(shape=n_times, oversampling=_OVERSAMPLING, **dict(settings))
    scale = _path_scales(transform).astype(np.float32 if single else np.float64)
    return transform, scale[:, None]


def _path_scales(transform: Any) -> np.ndarray:
    """Return factors that undo the scaling of the paths by kymatio 0.3.

    kymatio divides its filters by the step at which they are sampled, which makes each path too
    small by its own power of two. The divisors are read from the low-pass filter, whose gain at
    frequency 0 should be 1; if kymatio corrects this, the factors are 1.
    """
    gains = [float(np.ravel(level)[0]) for level in transform.phi_f["levels"]]
    most = transform.log2_T
    scales = []
    for path in transform.meta()["j"]:
        steps = [int(j) for j in path if not np.isnan(j)]
        k1 = max(min(steps[0], most) - _OVERSAMPLING, 0) if steps else 0
        scale = gains[0] / gains[k1]
        if len(steps) == 2:
            k2 = max(min(steps[1], most) - k1 - _OVERSAMPLING, 0)
            scale *= gains[0] / gains[k1 + k2]
        scales.append(scale)
    return np.array(scales)
