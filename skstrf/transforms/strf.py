"""From a transformer's tensor back to the auditory spectrogram."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from skstrf.auditory import (
    DEFAULT_RATES,
    DEFAULT_SCALES,
    auditory_spectrogram,
    auditory_spectrogram_blocks,
    center_frequencies,
    cortical_transform,
    cortical_transform_blocks,
    frames_per_second,
    invert_auditory_spectrogram,
    invert_cortical_transform,
    model_sample_rate,
    signed_rates,
)
from skstrf.auditory.long_sounds import FrameFile
from skstrf.auditory.modulation_filters import check_ascending
from skstrf.transforms.base import Axis, SoundTransformer, lazy_strf_inverse
from skstrf.utils.arrays import is_torch, resolve_device, to_numpy
from skstrf.utils.lazy import is_dask
from skstrf.utils.validation import (
    HasMethods,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
)

if TYPE_CHECKING:
    import torch

__all__ = [
    "STRFTransformer",
    "compress",
    "decompress",
    "fit_spectrogram",
    "long_axes",
    "transform_blocks",
]


_TINY = 1e-30
_HISTORY = 10


def compress(tensor: Any, kind: str | None, floor: float) -> Any:
    """Compress the magnitude of a torch tensor, keeping sign or phase."""
    if kind is None:
        return tensor
    magnitude = tensor.abs()
    compressed = (magnitude / floor).log1p() if kind == "log" else magnitude.pow(1 / 3)
    # Where the magnitude is 0 so is the compressed one, and any finite divisor will do.
    return tensor * (compressed / magnitude.clamp(min=_TINY))


def decompress(tensor: Any, kind: str | None, floor: float) -> Any:
    """Undo :func:`compress`."""
    if kind is None:
        return tensor
    magnitude = tensor.abs()
    expanded = magnitude.expm1() * floor if kind == "log" else magnitude**3
    return tensor * (expanded / magnitude.clamp(min=_TINY))


def fit_spectrogram(
    target: torch.Tensor,
    forward: Callable,
    start: torch.Tensor,
    *,
    max_iter: int,
    tol: float = 1e-6,
) -> torch.Tensor:
    """Non-negative spectrogram whose tensor is nearest to the target, by L-BFGS."""
    import torch

    # Squares cannot be negative; a spectrogram of zeros would have no gradient.
    root = start.clamp(min=1e-3 * max(float(start.max()), _TINY)).sqrt().requires_grad_()
    energy = max(float((target.abs() ** 2).sum()), _TINY)
    optimizer = torch.optim.LBFGS(
        [root], max_iter=max_iter, history_size=_HISTORY, line_search_fn="strong_wolfe",
        tolerance_grad=0, tolerance_change=tol * 1e-3,
    )  # fmt: skip
    best, least = root.detach() ** 2, np.inf

    def loss() -> torch.Tensor:
        nonlocal best, least
        optimizer.zero_grad()
        value = ((forward(root * root) - target).abs() ** 2).sum() / energy
        value.backward()
        if value.item() < least:
            best, least = root.detach() ** 2, value.item()
        return value

    optimizer.step(loss)
    return best


# The 198 channels of Eremeeva (2017): 11 scales x 9 rates x 2 directions.
_EREMEEVA_RATES = tuple(2.0 ** np.arange(1, 5.25, 0.5))
_EREMEEVA_SCALES = tuple(2.0 ** np.arange(-2, 3.25, 0.5))
# Sounds whose auditory spectrograms are held at a time.
_CHUNK = 16
# Size of the part of the output that the cortical stage works on at a time.
_PART_BYTES = {"cpu": 64_000_000, "gpu": 2_000_000_000}


class STRFTransformer(SoundTransformer):
    """Responses of auditory cortex to sound, as a tensor for every sound.

    Sound -> cochlea -> auditory spectrogram -> bank of spectro-temporal receptive
    fields -> scale x rate x frequency x time.

    Parameters
    ----------
    sample_rate : float, default=16000
        Sampling rate of the input sounds in Hz. Rates other than the model's 16000 Hz are
        resampled.
    rates : sequence of float or "eremeeva2017", default=(2, 4, 8, 16, 32)
        Temporal modulations in Hz, ascending; each is used upward and downward.
        "eremeeva2017" are the nine of [2]_, ``2**(1 .. 5, step .5)``.
    scales : sequence of float or "eremeeva2017", default=(0.25, 0.5, 1, 2, 4, 8)
        Spectral modulations in cycles/octave, ascending.
        "eremeeva2017" are the eleven of [2]_, ``2**(-2 .. 3, step .5)``.
    hop_duration, time_constant : float, default=8.0
        Step and leaky integration of the auditory spectrogram, in ms.
    nonlinearity : {"linear", "half-wave", "hard"} or float, default="linear"
        The hair cell, see :func:`skstrf.auditory.auditory_spectrogram`.
    bandpass : bool, default=False
        True makes the lowest and highest filters band-pass too.
    output : {"magnitude", "complex", "real"}, default="magnitude"
        What to keep of the complex response.
    frame_step : int, default=125
        Frames of the auditory spectrogram per frame of the tensor: 125 are one second, the
        texture window that classified best (see :doc:`/results/classification`). Take 8 or 16
        to look at the tensor, 1 for every frame.
    frame_rate : float or None, default=None
        Frames of the tensor per second, instead of `frame_step`; the rate of the auditory
        spectrogram (125) divided by a whole number. Puts the tensor on the grid that the other
        transformers have for the same `frame_rate`.
    channel_step : int, default=1
        Keep every `channel_step`-th frequency channel.
    pooling : {"mean", "sample"}, default="mean"
        Average each window of `frame_step` frames, or keep its first frame
        (about ten times faster for `frame_step` 16).
    compression : {"log", "cbrt", None}, default="log"
        "log" is ``log(1 + x / compression_floor)``, "cbrt" the cube root (both keep the
        sign of a real output). Complex output is compressed in magnitude.
    compression_floor : float, default=0.001
        Where the logarithm turns linear, in units of the tensor.
    contrast : bool or "auto", default="auto"
        Subtract from the logarithms, at every frequency and time, their mean over all scales
        and rates. In the tensor itself that divides every channel by the geometric mean of
        all channels: divisive normalization, as cortical neurons do it [3]_. What multiplies
        the spectrum slowly (microphone, room, equalizer) cancels, and so does the spectral
        envelope itself. "auto" does it for ``output="magnitude"`` with ``compression="log"``.
    normalize : bool, default=True
        Bring every sound to zero mean and unit variance first, as the model expects. The
        level of a recording is then no feature. Silence stays silence.
    dtype : {"float32", "float64"} or None, default=None
        Of the cortical stage and the output. None keeps the input's.
    n_jobs : int or None, default=None
        Threads of the cochlear stage; None means 1 and -1 all cores. The cortical stage uses
        torch's own threads.
    device : str, default="auto"
        Where the cortical stage runs: "auto", "cpu", "cuda".
    memory : str, path, joblib.Memory or None, default=None
        A folder in which the tensor of every recording is kept, one entry each.

    Attributes
    ----------
    axes_ : list of Axis
        Name, unit and values of the output's axes after the first:
        scale (cycles/octave), rate (Hz), frequency (Hz), time (s).
    rates_ : ndarray of shape (2 * n_rates,)
        Signed, ascending: negative = upward-moving, positive = downward-moving.
    scales_ : ndarray of shape (n_scales,)
        Cycles/octave.
    frame_step_ : int
        As given, or as `frame_rate` asks for.
    n_features_in_ : int
        Samples of every sound.

    See Also
    --------
    MPCA : Makes the tensor small enough to learn from.
    skstrf.auditory.cortical_transform : The function behind it, with its conventions.

    Notes
    -----
    The rate filters depend on the number of frames rounded up to a power of two, as in the NSL
    toolbox. All sounds given to one transformer have one length, so their features compare;
    features of clips of very different lengths do not, quite.

    References
    ----------
    .. [1] T. Chi, P. Ru and S. A. Shamma, "Multiresolution spectrotemporal analysis of
       complex sounds", J. Acoust. Soc. Am. 118(2), 887-906, 2005.
    .. [2] E. Eremeeva, "Transform analysis and music style transfer with deep neural
       networks", ATIAM report, IRCAM, 2017, sections 4 and 6.
    .. [3] M. Carandini and D. J. Heeger, "Normalization as a canonical neural computation",
       Nature Reviews Neuroscience 13, 51-62, 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import STRFTransformer
    >>> X = np.random.default_rng(0).standard_normal((2, 16000)).astype("float32")
    >>> strf = STRFTransformer().fit(X)
    >>> strf.transform(X).shape
    (2, 6, 10, 128, 1)
    >>> [axis.name for axis in strf.axes_]
    ['scale', 'rate', 'frequency', 'time']
    """

    _parameter_constraints: dict = {
        "sample_rate": [Interval(Real, 0, None, closed="neither")],
        "rates": ["array-like", StrOptions({"eremeeva2017"})],
        "scales": ["array-like", StrOptions({"eremeeva2017"})],
        "hop_duration": [Interval(Real, 0, None, closed="neither")],
        "time_constant": [Interval(Real, 0, None, closed="left")],
        "nonlinearity": [
            StrOptions({"linear", "half-wave", "hard"}),
            Interval(Real, 0, None, closed="neither"),
        ],
        "bandpass": ["boolean"],
        "output": [StrOptions({"magnitude", "complex", "real"})],
        "frame_step": [Interval(Integral, 1, None, closed="left")],
        "frame_rate": [Interval(Real, 0, None, closed="neither"), None],
        "channel_step": [Interval(Integral, 1, None, closed="left")],
        "pooling": [StrOptions({"mean", "sample"})],
        "compression": [StrOptions({"log", "cbrt"}), None],
        "compression_floor": [Interval(Real, 0, None, closed="neither")],
        "contrast": ["boolean", StrOptions({"auto"})],
        "normalize": ["boolean"],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "n_jobs": [Integral, None],
        "device": [str],
        "memory": [str, HasMethods(["cache"]), HasMethods(["__fspath__"]), None],
    }

    def __init__(
        self,
        sample_rate=16000,
        rates=DEFAULT_RATES,
        scales=DEFAULT_SCALES,
        *,
        hop_duration=8.0,
        time_constant=8.0,
        nonlinearity="linear",
        bandpass=False,
        output="magnitude",
        frame_step=125,
        frame_rate=None,
        channel_step=1,
        pooling="mean",
        compression="log",
        compression_floor=0.001,
        contrast="auto",
        normalize=True,
        dtype=None,
        n_jobs=None,
        device="auto",
        memory=None,
    ):
        self.sample_rate = sample_rate
        self.rates = rates
        self.scales = scales
        self.hop_duration = hop_duration
        self.time_constant = time_constant
        self.nonlinearity = nonlinearity
        self.bandpass = bandpass
        self.output = output
        self.frame_step = frame_step
        self.frame_rate = frame_rate
        self.channel_step = channel_step
        self.pooling = pooling
        self.compression = compression
        self.compression_floor = compression_floor
        self.contrast = contrast
        self.normalize = normalize
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.device = device
        self.memory = memory

    def _prepare(self, n_times: int) -> list[Axis]:
        rates = _EREMEEVA_RATES if isinstance(self.rates, str) else self.rates
        scales = _EREMEEVA_SCALES if isinstance(self.scales, str) else self.scales
        self._rates = check_ascending(rates, "rates")
        self.frame_step_ = self._chosen_step()
        self.scales_ = check_ascending(scales, "scales")
        self.rates_ = signed_rates(self._rates)
        # A silent sound of the right length tells shapes and raises on bad rates and scales.
        spectrogram = np.zeros((1, 128, self._n_frames(n_times)), dtype=np.float32)
        shape = self._cortical(spectrogram, "cpu").shape
        return self._make_axes(shape[-2], shape[-1])

    def _compute(self, X: np.ndarray) -> np.ndarray:
        dtype = np.dtype(self.dtype or X.dtype)
        device = resolve_device(self.device)
        shape = (len(X), *(len(axis.values) for axis in self.axes_))
        complex_type = np.result_type(dtype, np.complex64)
        result = np.empty(shape, dtype=complex_type if self.output == "complex" else dtype)
        # The cortical stage takes as many sounds at a time as fit its part.
        part_bytes = _PART_BYTES["cpu" if device == "cpu" else "gpu"]
        n_part = max(1, part_bytes // max(1, result[:1].nbytes))
        start = 0
        for spectrograms in self._spectrogram_chunks(X, dtype, ahead=device != "cpu"):
            for first in range(0, len(spectrograms), n_part):
                part = spectrograms[first : first + n_part]
                self._cortical(part, device, into=result[start : start + len(part)])
                start += len(part)
        return result

    def _spectrogram_chunks(self, X: np.ndarray, dtype: Any, ahead: bool) -> Iterator[np.ndarray]:
        """Auditory spectrograms, some sounds at a time, which share threads in the cochlea.

        With `ahead` the next ones are computed while the caller is busy on another device.
        """

        def spectrograms(chunk):
            return auditory_spectrogram(
                _standardized(chunk) if self.normalize else chunk,
                sample_rate=self.sample_rate,
                hop_duration=self.hop_duration,
                time_constant=self.time_constant,
                nonlinearity=self.nonlinearity,
                n_jobs=self.n_jobs,
            ).astype(dtype, copy=False)

        chunks = [X[start : start + _CHUNK] for start in range(0, len(X), _CHUNK)]
        if not ahead:
            yield from map(spectrograms, chunks)
            return
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(spectrograms, chunks[0])
            for chunk in chunks[1:]:
                ready = following.result()
                following = pool.submit(spectrograms, chunk)
                yield ready
            yield following.result()

    def _cortical(
        self, spectrograms: np.ndarray, device: str, into: np.ndarray | None = None
    ) -> np.ndarray:
        """Tensors of a batch of spectrograms, written into an array where one is given."""
        import torch

        tensor = cortical_transform(
            torch.from_numpy(spectrograms).to(device),
            frame_step=self.frame_step_,
            output=self.output,
            pooling=self.pooling,
            **self._bank(),
        )
        tensor = self._compressed(tensor)
        if into is None:
            return to_numpy(tensor)
        torch.from_numpy(into).copy_(tensor)
        return into

    def _compressed(self, tensor: Any) -> Any:
        """Compression and contrast of a torch batch, every frame for itself."""
        if self.compression is not None:
            tensor = _compress(tensor, self.compression, self.compression_floor)
        if self._subtracts_mean():
            tensor -= tensor.mean(dim=(1, 2), keepdim=True)
        return tensor

    def inverse_transform(self, X, *, to="sound", max_iter=None, random_state=0, verbose=False):
        """Sounds, or auditory spectrograms, whose tensors are near to those given.

        Parameters
        ----------
        X : array-like, torch.Tensor or dask array
            Tensors as :meth:`transform` gives them, of shape (n_sounds, n_scales, n_rates,
            n_freqs, n_frames).
        to : {"sound", "spectrogram"}, default="sound"
            How far to go back.
        max_iter : int, optional
            Iterations of each stage at most. None takes what each stage takes by itself.
        random_state : int, Generator or None, default=0
            Of the noise that the sound is started from.
        verbose : bool, default=False
            Show the progress.

        Returns
        -------
        ndarray, torch.Tensor or dask array
            (n_sounds, n_times), or (n_sounds, 128, n_spectrogram_frames) non-negative; lazy for
            a dask array.

        Raises
        ------
        ValueError
            When the shape or kind of `X` is not what transform gives, or on NaN and infinity.

        See Also
        --------
        skstrf.auditory.invert_cortical_transform : The first stage back.
        skstrf.auditory.invert_auditory_spectrogram : The second.

        Notes
        -----
        What is lost depends on what was kept. Median relative L2 error of the auditory spectrogram
        over ten excerpts of speech and music; the table is in :doc:`/results/inversion`.

        * ``output="complex"`` with ``pooling="sample"``: .03 percent from every frame, 1.3 from
          every fourth, 7 from every eighth, 12 from every sixteenth. "real": .2 percent.
        * "magnitude" of every frame (phase retrieval): 4 percent; of every eighth: 40 percent.
        * Averages (``pooling="mean"``) and ``contrast`` keep statistics, not the moments of time:
          what comes back has nearly the same tensor, but errors of 46 to 90 percent.

        With ``normalize=True`` the level of the sound is lost; it comes back at unit variance.

        Examples
        --------
        >>> import numpy as np
        >>> from skstrf import STRFTransformer
        >>> X = np.random.default_rng(0).standard_normal((1, 4000))
        >>> strf = STRFTransformer(output="complex", frame_step=1, pooling="sample").fit(X)
        >>> tensor = strf.transform(X)
        >>> v = strf.inverse_transform(tensor, to="spectrogram")
        >>> v.shape
        (1, 128, 32)
        >>> strf.inverse_transform(tensor, max_iter=20).shape
        (1, 4000)
        """
        check_is_fitted(self)
        if to not in ("sound", "spectrogram"):
            raise ValueError(f"to must be 'sound' or 'spectrogram', got {to!r}.")
        if is_dask(X):
            return lazy_strf_inverse(self, X, to, max_iter, random_state)
        v = self._spectrograms(self._check_tensor(X), max_iter)
        if to == "sound":
            v = invert_auditory_spectrogram(
                v,
                sample_rate=self.sample_rate,
                hop_duration=self.hop_duration,
                time_constant=self.time_constant,
                nonlinearity=self.nonlinearity,
                n_times=self.n_features_in_,
                max_iter=max_iter,
                random_state=random_state,
                verbose=verbose,
            )
        return v if is_torch(X) else to_numpy(v)

    def _spectrograms(self, tensor: Any, max_iter: int | None) -> Any:
        """Auditory spectrograms of a checked torch batch."""
        averages = self.pooling == "mean" and self.frame_step_ > 1
        n_frames = self._n_frames(self.n_features_in_)
        if averages or self._subtracts_mean():
            return self._fitted_spectrograms(tensor, n_frames, max_iter or 100)
        return self._inverted(tensor, n_frames, max_iter)

    def _inverted(self, tensor: Any, n_frames: int, max_iter: int | None) -> Any:
        v = invert_cortical_transform(
            decompress(tensor, self.compression, self.compression_floor),
            content=self.output,
            n_frames=n_frames,
            frame_step=self.frame_step_,
            max_iter=max_iter,
            **self._bank(),
        )
        return v.clamp(min=0)

    def _fitted_spectrograms(self, tensor: Any, n_frames: int, max_iter: int) -> Any:
        """Spectrograms fitted through the transform itself, where no algebra leads back."""
        import torch

        from skstrf.auditory import Cortex

        cortex = Cortex(
            frame_step=self.frame_step_, output=self.output, pooling=self.pooling, **self._bank()
        )

        def forward(v):
            return self._compressed(cortex(v))

        if self._subtracts_mean():  # what all channels share is lost
            start = torch.ones_like(tensor[:, 0, 0, :1, :1]).expand(-1, 128, n_frames)
        else:  # as if every average had been a sample
            start = self._inverted(tensor, n_frames, None)
        return torch.cat(
            [
                fit_spectrogram(tensor[i : i + 1], forward, start[i : i + 1], max_iter=max_iter)
                for i in range(len(tensor))
            ]
        )

    def _check_tensor(self, X: Any) -> Any:
        import torch

        tensor = X.detach() if is_torch(X) else torch.from_numpy(np.ascontiguousarray(X))
        self._check_form(tensor)
        if not torch.isfinite(torch.view_as_real(tensor) if tensor.is_complex() else tensor).all():
            raise ValueError("X contains NaN or infinity.")
        return tensor if tensor.is_complex() or tensor.is_floating_point() else tensor.double()

    def _check_form(self, tensor: Any) -> None:
        """Compare shape and kind with what transform gives; values are not looked at."""
        expected = tuple(len(axis.values) for axis in self.axes_)
        if tensor.shape[1:] != expected or len(tensor) == 0:
            names = ", ".join(axis.name for axis in self.axes_)
            raise ValueError(
                f"This transformer gives tensors of shape (n_sounds, {names}) = (n, "
                f"{', '.join(map(str, expected))}); X has shape {tuple(tensor.shape)}. "
                "Give tensors that it, or one with the same settings, has made."
            )
        if ("complex" in str(tensor.dtype)) != (self.output == "complex"):
            raise ValueError(f"output={self.output!r}, but X is of dtype {tensor.dtype}.")

    def _bank(self) -> dict:
        """Settings of the receptive fields, as the functions of the model take them."""
        return {
            "rates": self._rates,
            "scales": self.scales_,
            "frame_rate": frames_per_second(self.hop_duration),
            "bandpass": self.bandpass,
            "channel_step": self.channel_step,
        }

    def _subtracts_mean(self) -> bool:
        possible = self.compression == "log" and self.output == "magnitude"
        if self.contrast is True and not possible:
            raise ValueError(
                "contrast=True divides by a geometric mean and so needs compression='log' and "
                f"output='magnitude'; got compression={self.compression!r}, "
                f"output={self.output!r}. Leave contrast at 'auto' or set it to False."
            )
        return possible and bool(self.contrast)

    def _chosen_step(self) -> int:
        if self.frame_rate is None:
            return int(self.frame_step)
        highest = frames_per_second(self.hop_duration)
        step = max(1, round(highest / self.frame_rate))
        if abs(highest / step - self.frame_rate) > 0.01 * self.frame_rate:
            raise ValueError(
                f"frame_rate={self.frame_rate:g} must be the {highest:g} frames a second of the "
                "auditory spectrogram divided by a whole number; the nearest are "
                f"{highest / (step + 1):g}, {highest / step:g} and {highest / max(1, step - 1):g}."
            )
        return step

    def _n_frames(self, n_times: int) -> int:
        rate = model_sample_rate()
        n_resampled = max(1, round(n_times * rate / self.sample_rate))
        per_frame = rate / frames_per_second(self.hop_duration)
        return int(-(-n_resampled // per_frame))

    def _make_axes(self, n_freqs: int, n_frames: int) -> list[Axis]:
        step = self.frame_step_ / frames_per_second(self.hop_duration)
        offset = step / 2 if self.pooling == "mean" else 0.0
        return [
            Axis("scale", "cycles/octave", self.scales_),
            Axis("rate", "Hz", self.rates_),
            Axis("frequency", "Hz", center_frequencies()[:: self.channel_step][:n_freqs]),
            Axis("time", "s", offset + step * np.arange(n_frames)),
        ]


def _compress(tensor: Any, kind: str, floor: float) -> Any:
    """Compress a torch tensor, in place where it is not negative and nobody wants gradients."""
    if tensor.is_complex() or tensor.requires_grad or (tensor < 0).any():
        return compress(tensor, kind, floor)
    return tensor.div_(floor).log1p_() if kind == "log" else tensor.pow_(1 / 3)


def _standardized(sounds: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance per sound (ddof=1, as the NSL toolbox); silence stays zero."""
    mean = sounds.mean(axis=1, keepdims=True, dtype=np.float64)
    centered = sounds - mean
    ddof = 1 if sounds.shape[1] > 1 else 0
    deviation = centered.std(axis=1, keepdims=True, ddof=ddof, dtype=np.float64)
    # Rounding of the mean leaves constant sounds a deviation that is not quite zero.
    negligible = deviation <= 1e-7 * np.abs(mean)
    scale = np.where(
        negligible | (deviation == 0), 0.0, 1.0 / np.where(deviation == 0, 1, deviation)
    )
    return (centered * scale).astype(sounds.dtype)


# Samples of the silence that settings are checked on.
_SILENCE = 4096


def transform_blocks(
    strf: STRFTransformer,
    blocks: Iterable[Any],
    *,
    block_length: int | None = None,
    folder: Any = None,
) -> Iterator[np.ndarray]:
    """Transform one sound that comes block by block, and give its tensor block by block.

    Parameters
    ----------
    strf : STRFTransformer
        The settings; it need not be fitted, and stays as it is.
    blocks : iterable of array-like of shape (n_times,)
        The sound in order, as :func:`skstrf.datasets.audio_blocks` reads it from a file. With
        ``normalize=True`` it is gone through twice (mean and deviation of the whole come
        first), so it must be a list or another iterable that starts anew, not a generator.
    block_length : int, optional
        Frames of every block of the tensor but the last. None: about 64 MB.
    folder : str or Path, optional
        For temporary files, 400 MB for an hour with the default rates. None takes the
        system's folder for such.

    Returns
    -------
    iterator of ndarray of shape (n_scales, n_rates, n_freqs, block_length)
        Joined along the last axis they are ``strf.fit_transform(sound)[0]``: before
        compression to 1e-4 of the largest magnitude, see
        :func:`skstrf.auditory.cortical_transform_blocks`; equal for up to 33 s.

    Raises
    ------
    ValueError
        On NaN, settings that make no sense, no samples, or a generator where two passes are
        needed.

    See Also
    --------
    long_axes : Names and values of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import STRFTransformer
    >>> from skstrf.transforms import transform_blocks
    >>> rng = np.random.default_rng(0)
    >>> minute = [rng.standard_normal(16000).astype(np.float32) for _ in range(60)]
    >>> strf = STRFTransformer(rates=[4, 8], scales=[1])
    >>> parts = transform_blocks(strf, minute, block_length=40)
    >>> [part.shape for part in parts]
    [(1, 4, 128, 40), (1, 4, 128, 20)]
    """
    settled = _settled(strf)
    if settled.normalize and iter(blocks) is blocks:
        raise ValueError(
            "blocks can be gone through once only, but normalize=True needs the mean of the whole "
            "first. Pass a list, or what audio_blocks returns, or set normalize=False."
        )
    return _transformed(settled, blocks, block_length, folder)


def long_axes(strf: STRFTransformer, n_times: int) -> list[Axis]:
    """Give the axes of the tensor of a sound of any length, without computing it."""
    settled = _settled(strf)
    n_frames = -(-settled._n_frames(n_times) // settled.frame_step_)
    return settled._make_axes(len(settled.axes_[2].values), n_frames)


def _settled(strf: STRFTransformer) -> STRFTransformer:
    """A copy that is fitted, on a short silence: the length of the sound comes later."""
    return clone(strf).fit(np.zeros((1, _SILENCE), dtype=np.float32))


def _transformed(
    strf: STRFTransformer, blocks: Iterable[Any], block_length: int | None, folder: Any
) -> Iterator[np.ndarray]:
    import torch

    device = resolve_device(strf.device)
    spectrogram = _spectrogram(strf, blocks, folder)
    try:
        for block in cortical_transform_blocks(
            spectrogram,
            frame_step=strf.frame_step_,
            output=strf.output,
            pooling=strf.pooling,
            block_length=block_length,
            folder=folder,
            device=device,
            **strf._bank(),
        ):
            yield to_numpy(strf._compressed(torch.from_numpy(block)[None]))[0]
    finally:
        spectrogram.close()


def _spectrogram(strf: STRFTransformer, blocks: Iterable[Any], folder: Any) -> FrameFile:
    """The auditory spectrogram of the whole, on disk."""
    parts = auditory_spectrogram_blocks(
        _standardized_long(blocks) if strf.normalize else blocks,
        sample_rate=strf.sample_rate,
        hop_duration=strf.hop_duration,
        time_constant=strf.time_constant,
        nonlinearity=strf.nonlinearity,
        n_jobs=strf.n_jobs,
    )
    file: FrameFile | None = None
    for part in parts:
        file = file or FrameFile(strf.dtype or part.dtype, len(part), folder)
        file.append(part)
    assert file is not None, "the spectrogram of at least one sample has a frame"
    return file


def _standardized_long(blocks: Iterable[Any]) -> Iterator[np.ndarray]:
    """Zero mean and unit variance over all blocks, by the rules of STRFTransformer."""
    n_times, mean, squares = 0, 0.0, 0.0
    for block in blocks:
        values = np.asarray(block, dtype=np.float64)
        if values.size == 0:
            continue
        # Chan, Golub and LeVeque's update of mean and sum of squares by a block.
        difference = values.mean() - mean
        squares += ((values - values.mean()) ** 2).sum()
        squares += difference**2 * n_times * values.size / (n_times + values.size)
        n_times += values.size
        mean += difference * values.size / n_times
    deviation = np.sqrt(squares / max(1, n_times - 1))
    is_constant = deviation <= 1e-7 * abs(mean) or deviation == 0
    scale = 0.0 if is_constant else 1.0 / deviation
    for block in blocks:
        values = np.asarray(block)
        dtype = np.float32 if values.dtype in (np.float32, np.float16) else np.float64
        yield ((values - mean) * scale).astype(dtype)
