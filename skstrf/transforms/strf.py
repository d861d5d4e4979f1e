"""Spectro-temporal receptive fields: the cochlea and cortex of the NSL model as a transformer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from skstrf.auditory import (
    auditory_spectrogram,
    auditory_spectrogram_blocks,
    center_frequencies,
    cortical_transform,
    cortical_transform_blocks,
    invert_auditory_spectrogram,
    invert_cortical_transform,
    rate_filter,
    scale_filter,
)
from skstrf.auditory.cochlea import (
    frames_per_second,
    model_sample_rate,
    resample,
    resampled_length,
)
from skstrf.auditory.cortex import (
    DEFAULT_RATES,
    DEFAULT_SCALES,
    analyze,
    check_settings,
    cortical_plan,
    filter_bank,
    signed_rates,
)
from skstrf.auditory.filterbanks import CHANNELS_PER_OCTAVE, N_CHANNELS
from skstrf.auditory.long_sounds import FrameFile
from skstrf.auditory.modulation_filters import check_ascending
from skstrf.transforms.base import Axis, InvertibleTransformer
from skstrf.transforms.compression import compress, expand
from skstrf.transforms.standardization import standardize, standardize_blocks
from skstrf.transforms.streaming import StreamingSTRF
from skstrf.utils.arrays import is_torch, resolve_device, to_numpy
from skstrf.utils.devices import (
    HOST_KINDS,
    WITHOUT_FLOAT64,
    HostWriter,
    halve_on_full_device,
    loaded_ahead,
)
from skstrf.utils.lazy import apply_samplewise
from skstrf.utils.validation import HasMethods, Integral, Interval, Real, StrOptions

if TYPE_CHECKING:
    import torch

__all__ = ["STRFTransformer", "long_axes", "transform_blocks"]

# The 198 channels of Eremeeva (2017): 11 scales x 9 rates x 2 directions.
_EREMEEVA_RATES = tuple(2.0 ** np.arange(1, 5.25, 0.5))
_EREMEEVA_SCALES = tuple(2.0 ** np.arange(-2, 3.25, 0.5))
# Sounds whose auditory spectrograms are held at a time.
_CHUNK = 16
# Size of the part of the output that the cortical stage works on at a time.
_PART_BYTES = {"cpu": 64_000_000, "gpu": 2_000_000_000}
# Sounds that are on a GPU at a time, besides those that are copied.
_CHUNK_ON_DEVICE = 64


class STRFTransformer(InvertibleTransformer):
    """Responses of the auditory cortex to sounds.

    Every sound passes through a model of the cochlea, which gives its auditory spectrogram, and
    a bank of spectro-temporal receptive fields. The result is a tensor with the axes scale,
    rate, frequency and time.

    Parameters
    ----------
    sample_rate : float, default=16000
        Sampling rate of the input sounds in Hz. Rates other than the model's 16000 Hz are
        resampled.
    rates : sequence of float or "eremeeva2017", default=(2, 4, 8, 16, 32)
        Temporal modulations in Hz, ascending; each is used upward and downward.
        "eremeeva2017" selects the nine rates of [2]_, ``2**(1 .. 5, step .5)``.
    scales : sequence of float or "eremeeva2017", default=(0.25, 0.5, 1, 2, 4, 8)
        Spectral modulations in cycles/octave, ascending.
        "eremeeva2017" selects the eleven scales of [2]_, ``2**(-2 .. 3, step .5)``.
    hop_duration : float, default=8.0
        Time between two frames of the auditory spectrogram in ms.
    time_constant : float, default=8.0
        Time constant of the leaky integration of the auditory spectrogram in ms.
    nonlinearity : {"linear", "half-wave", "hard"} or float, default="linear"
        Nonlinearity of the hair cells, see :func:`skstrf.auditory.auditory_spectrogram`.
    bandpass : bool, default=False
        Whether the lowest and highest filters are band-pass filters too, instead of low-pass
        and high-pass filters.
    output : {"magnitude", "complex", "real"}, default="magnitude"
        Part of the complex response that is kept.
    frame_step : int, default=125
        Number of frames of the auditory spectrogram per frame of the tensor. The default of one
        second is the texture window that classified best (see :doc:`/results/classification`).
        Values of 8 or 16 show the course of a sound; 1 keeps every frame.
    frame_rate : float or None, default=None
        Frames of the tensor per second, an alternative to `frame_step`: the frame rate of the
        auditory spectrogram (125) divided by a whole number. The tensor is then on the same time
        grid as that of the other transformers with this `frame_rate`.
    channel_step : int, default=1
        Step between the frequency channels that are kept.
    pooling : {"mean", "sample"}, default="mean"
        Whether each window of `frame_step` frames is averaged, or its first frame kept (about
        ten times faster for ``frame_step=16``).
    compression : {"log", "cbrt", None}, default="log"
        Compression of the magnitudes: "log" is ``log(1 + x / compression_floor)``, "cbrt" the
        cube root. The signs of real output and the phases of complex output are kept.
    compression_floor : float, default=0.001
        Magnitude at which the logarithm turns linear, in units of the uncompressed tensor.
    contrast : bool or "auto", default="auto"
        Whether the mean over all scales and rates is subtracted from the logarithms at every
        frequency and time. In the uncompressed tensor this divides every channel by the
        geometric mean of all channels, a divisive normalization like that of cortical neurons
        [3]_. It cancels factors that vary slowly over frequency (microphone, room, equalizer),
        and the spectral envelope itself. "auto" applies it if ``output="magnitude"`` and
        ``compression="log"``.
    normalize : bool, default=True
        Whether every sound is first brought to zero mean and unit variance, as the model
        expects. The level of a recording is then no feature. Silence stays silence.
    causal : bool, "recursive" or "fir", default=False
        Whether the tensor depends on earlier sound only, so that a model that learned from it can
        run live with :class:`skstrf.StreamingSTRF`. True is "recursive". The rate filters are
        then band-pass filters, see :func:`skstrf.auditory.causal_cortical_transform`, and
        `normalize` uses the running level. There is no inverse.
    look_ahead : int or None, default=None
        Number of later frames of the spectrogram that ``causal="fir"`` uses; None is 12.
    level_time_constant : float, default=1.0
        Time constant of the running level in s, if `causal`.
    max_iter : int or None, default=None
        Maximum number of iterations of each stage of :meth:`inverse_transform`; None selects the
        default of each stage.
    random_state : int, RandomState instance or None, default=None
        Seed of the noise from which :meth:`inverse_transform` starts.
    dtype : {"float32", "float64"} or None, default=None
        Precision of the cortical stage and the output; None keeps that of the input.
    storage_dtype : {"float16", "bfloat16"} or None, default=None
        Half precision that the finished tensors are rounded to on the device, which halves what
        is copied and kept; "bfloat16" for torch tensors only. None keeps `dtype`.
    n_jobs : int or None, default=None
        Number of threads of the cochlear stage on the CPU; None means 1 and -1 all cores. The
        cortical stage uses torch's own threads.
    device : str, default="auto"
        Device of the computation: "cpu", "cuda" ("cuda:1", ...), or "auto", which is that of a
        torch tensor on a GPU, and otherwise CUDA when available.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder in which the tensor of every recording is cached.
    verbose : bool, default=False
        Whether :meth:`inverse_transform` shows its progress.

    Attributes
    ----------
    axes_ : list of Axis
        Name, unit and values of the output's axes after the first:
        scale (cycles/octave), rate (Hz), frequency (Hz), time (s).
    rates_ : ndarray of shape (2 * n_rates,)
        Signed rates in Hz, ascending: negative rates are upward, positive downward.
    scales_ : ndarray of shape (n_scales,)
        Scales in cycles/octave.
    frame_step_ : int
        Number of frames of the auditory spectrogram per frame of the tensor.
    n_features_in_ : int
        Number of samples of every sound.

    See Also
    --------
    MPCA : Reduces the tensor to a size that classifiers can learn from.
    skstrf.auditory.cortical_transform : The function behind it, with its conventions.

    Notes
    -----
    The rate filters depend on the number of frames rounded up to a power of two, as in the NSL
    toolbox. Features of clips of very different lengths are therefore not quite comparable; all
    sounds of one transformer have the same length.

    The quality of :meth:`inverse_transform` depends on what the tensor keeps. The median relative
    L2 error of the auditory spectrogram over ten excerpts of speech and music is (the full table
    is in :doc:`/results/inversion`):

    * ``output="complex"`` with ``pooling="sample"``: .03 percent from every frame, 1.3 from
      every fourth, 7 from every eighth, 12 from every sixteenth. "real": .2 percent.
    * "magnitude" of every frame (phase retrieval): 4 percent; of every eighth: 40 percent.
    * Averages (``pooling="mean"``) and ``contrast`` keep statistics, not moments in time: the
      result has nearly the same tensor, but errors of 46 to 90 percent.

    With ``normalize=True`` the level of the sound is lost; the inverse has unit variance.

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

    A complex tensor of every frame nearly determines the sound:

    >>> X = X[:1, :4000]
    >>> strf = STRFTransformer(output="complex", frame_step=1, pooling="sample", max_iter=20)
    >>> tensor = strf.fit_transform(X)
    >>> strf.inverse_spectrogram(tensor).shape
    (1, 128, 32)
    >>> strf.inverse_transform(tensor).shape
    (1, 4000)
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
        "causal": ["boolean", StrOptions({"recursive", "fir"})],
        "look_ahead": [Interval(Integral, 0, None, closed="left"), None],
        "level_time_constant": [Interval(Real, 0, None, closed="neither")],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "storage_dtype": [StrOptions({"float16", "bfloat16"}), None],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "device": [str],
        "memory": [str, HasMethods(["cache"]), HasMethods(["__fspath__"]), None],
        "verbose": ["verbose"],
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
        causal=False,
        look_ahead=None,
        level_time_constant=1.0,
        max_iter=None,
        random_state=None,
        dtype=None,
        storage_dtype=None,
        n_jobs=None,
        device="auto",
        memory=None,
        verbose=False,
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
        self.causal = causal
        self.look_ahead = look_ahead
        self.level_time_constant = level_time_constant
        self.max_iter = max_iter
        self.random_state = random_state
        self.dtype = dtype
        self.storage_dtype = storage_dtype
        self.n_jobs = n_jobs
        self.device = device
        self.memory = memory
        self.verbose = verbose

    def inverse_spectrogram(self, X):
        """Compute the auditory spectrograms whose tensors are close to those given.

        Parameters
        ----------
        X : array-like, torch.Tensor, zarr.Array or dask array of shape \
                (n_sounds, n_scales, n_rates, n_freqs, n_frames)
            Tensors as returned by :meth:`transform`.

        Returns
        -------
        ndarray, torch.Tensor or dask array of shape (n_sounds, 128, n_spectrogram_frames)
            Non-negative spectrograms in the precision of `X`; lazy for a dask array.

        Raises
        ------
        ValueError
            If the shape or kind of `X` is not what :meth:`transform` returns, or if it contains
            NaN or infinity.

        See Also
        --------
        inverse_transform : Goes one stage further back, to sounds.
        skstrf.auditory.invert_cortical_transform : The function behind it.
        """
        X = self._check_form(X)
        dtype = np.float32 if X.dtype in (np.float32, np.complex64) else np.float64
        shape = (128, self._n_spectrogram_frames(self.n_features_in_))
        twin = self._detached()
        return apply_samplewise(twin._spectrograms_like, X, shape=shape, dtype=dtype)

    def _prepare(self, n_times: int) -> list[Axis]:
        rates, scales = self._modulations()
        self._rates = check_ascending(rates, "rates")
        self.frame_step_ = self._chosen_step()
        self.scales_ = check_ascending(scales, "scales")
        self.rates_ = signed_rates(self._rates)
        self._subtracts_mean()  # checks contrast
        if self.storage_dtype and self.output == "complex":
            raise ValueError(
                "storage_dtype is for real tensors: output='complex' has no half precision. Set "
                "storage_dtype=None or output='magnitude'."
            )
        # The filters check that their rate or scale is within the model's limits.
        for rate in self._rates:
            rate_filter(rate, 1, frame_rate=frames_per_second(self.hop_duration))
        for scale in self.scales_:
            scale_filter(scale, 1)
        if self.look_ahead and self.causal != "fir":
            raise ValueError(f"look_ahead={self.look_ahead} has an effect with causal='fir' only.")
        if self.causal:
            StreamingSTRF.from_transformer(self)  # checks the rates for the causal filters
        return self._axes_of(n_times)

    def _compute(self, X: np.ndarray) -> np.ndarray:
        import torch

        dtype = np.dtype(self.dtype or X.dtype)
        device = resolve_device(self.device)
        if self.storage_dtype == "bfloat16":
            raise ValueError(
                "storage_dtype='bfloat16' does not exist in numpy: give a torch tensor to "
                "transform, or use 'float16'."
            )
        if self.causal:
            tensors = self._map_rows(self._causal_tensor, X)
            return tensors.astype(self._output_dtype(X.dtype), copy=False)
        result = np.empty((len(X), *self._output_shape()), dtype=self._output_dtype(X.dtype))
        if torch.device(device).type not in HOST_KINDS:
            self._compute_through(torch.device(device), X, result)
            return result
        # The cortical stage takes as many sounds at a time as fit its part of the memory.
        n_part = self._sounds_per_part("cpu", dtype)
        chunks: Iterator[np.ndarray] = (
            X[start : start + _CHUNK] for start in range(0, len(X), _CHUNK)
        )
        if self.normalize:
            chunks = map(standardize, chunks)
        start = 0
        for spectrograms in self._auditory(chunks, dtype):
            for first in range(0, len(spectrograms), n_part):
                part = spectrograms[first : first + n_part]
                self._cortical(part, device, into=result[start : start + len(part)])
                start += len(part)
        return result

    def _causal_tensor(self, x: np.ndarray) -> np.ndarray:
        stream = StreamingSTRF.from_transformer(self)
        return np.concatenate([stream.push(x), stream.flush()], axis=-1)

    def _streaming(self) -> dict:
        """Parameters of a stream with the same numbers."""
        same = (
            "sample_rate", "hop_duration", "time_constant", "nonlinearity", "bandpass", "output",
            "pooling", "channel_step", "compression", "compression_floor", "normalize",
            "look_ahead", "level_time_constant", "dtype",
        )  # fmt: skip
        params = {name: getattr(self, name) for name in same}
        rates, scales = self._modulations()
        return params | {
            "rates": rates,
            "scales": scales,
            "frame_step": self._chosen_step(),
            "contrast": self._subtracts_mean(),
            "method": "recursive" if self.causal is True else self.causal,
        }

    def _modulations(self) -> tuple[Any, Any]:
        rates = _EREMEEVA_RATES if isinstance(self.rates, str) else self.rates
        scales = _EREMEEVA_SCALES if isinstance(self.scales, str) else self.scales
        return rates, scales

    def _sounds_per_part(self, kind: str, dtype: Any) -> int:
        per_sound = math.prod(self._output_shape()) * np.dtype(dtype).itemsize
        return max(1, _PART_BYTES[kind] // max(1, per_sound * (1 + self._is_complex())))

    def _auditory(self, chunks: Iterator[np.ndarray], dtype: Any) -> Iterator[np.ndarray]:
        """Yield the auditory spectrograms of every chunk of sounds."""
        for chunk in chunks:
            yield auditory_spectrogram(chunk, n_jobs=self.n_jobs, **self._cochlea()).astype(
                dtype, copy=False
            )

    def _cortical(self, spectrograms: np.ndarray, device: str, into: np.ndarray) -> None:
        """Write the tensors of a batch of spectrograms into an array."""
        import torch

        tensor = cortical_transform(
            torch.from_numpy(spectrograms).to(device),
            frame_step=self.frame_step_,
            output=self.output,
            pooling=self.pooling,
            **self._bank(),
        )
        torch.from_numpy(into).copy_(self._compressed(tensor))

    def _output_dtype(self, dtype: Any) -> np.dtype:
        return np.dtype("float16") if self.storage_dtype else super()._output_dtype(dtype)

    # ---- the road of tensors on a device, and of arrays to one and back ----

    def _computes_tensors(self) -> bool:
        return not self.causal

    def _compute_tensors(self, X: torch.Tensor) -> torch.Tensor:
        import torch

        device = X.device if self.device == "auto" else torch.device(resolve_device(self.device))
        if device.type == X.device.type and device.index is None:
            device = X.device
        parts = (X[rows].to(device) for rows in self._part_slices(X, X.dtype.itemsize))
        result: Any = None
        for start, tensor in self._tensors_on(device, parts):
            if result is None:
                shape = (len(X), *tensor.shape[1:])
                result = torch.empty(shape, dtype=tensor.dtype, device=X.device)
            result[start : start + len(tensor)] = tensor
        return result

    def _compute_through(self, device: torch.device, X: np.ndarray, into: np.ndarray) -> None:
        """Transform sounds on a device, with copies there and back that overlap with the work."""
        if X.dtype == np.float64 and device.type in WITHOUT_FLOAT64:
            raise ValueError(
                f"Sounds in float64 cannot be computed on {device}, which has no float64: give "
                "X.astype('float32')."
            )
        slices = self._part_slices(X, X.dtype.itemsize)
        parts = loaded_ahead(slices, lambda rows: np.ascontiguousarray(X[rows]), device)
        with HostWriter(into, device) as writer:
            for start, tensor in self._tensors_on(device, parts):
                writer.write(start, tensor)

    def _part_slices(self, X: Any, itemsize: int) -> Iterator[slice]:
        n_part = min(_CHUNK_ON_DEVICE, self._sounds_per_part("gpu", f"f{itemsize}"))
        return (slice(start, start + n_part) for start in range(0, len(X), n_part))

    def _tensors_on(
        self, device: torch.device, parts: Iterable[torch.Tensor]
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield the first row and the tensors of every part of the sounds."""
        import torch

        from skstrf.auditory.device_cochlea import auditory_spectrogram_on_device

        settings = check_settings(
            frame_step=self.frame_step_,
            output=self.output,
            pooling=self.pooling,
            **self._bank(),
            channels_per_octave=CHANNELS_PER_OCTAVE,
        )
        n_frames = self._n_spectrogram_frames(self.n_features_in_)
        plan = cortical_plan((N_CHANNELS, n_frames), settings)
        bank = None
        start = 0
        for sounds in parts:
            dtype = getattr(torch, self.dtype or str(sounds.dtype).removeprefix("torch."))
            if bank is None:
                bank = filter_bank(plan, dtype, device)

            def some(x: torch.Tensor, dtype: Any = dtype, bank: Any = bank) -> torch.Tensor:
                x = standardize(x) if self.normalize else x
                v = auditory_spectrogram_on_device(x, **self._cochlea()).to(dtype)
                tensor = analyze(v, plan, settings.output, settings.window, bank=bank)
                tensor = self._compressed(tensor)
                return (
                    tensor.to(getattr(torch, self.storage_dtype)) if self.storage_dtype else tensor
                )

            def run(size: int, sounds: torch.Tensor = sounds, some: Any = some) -> torch.Tensor:
                if size >= len(sounds):
                    return some(sounds)
                return torch.cat([some(part) for part in sounds.split(size)])

            with torch.no_grad():
                tensor = halve_on_full_device(run, len(sounds), "the tensor of one sound", device)
            yield start, tensor
            start += len(tensor)

    def _compressed(self, tensor: Any) -> Any:
        """Apply compression and contrast to every frame of a torch batch, which is overwritten."""
        signed = self.output != "magnitude" or tensor.requires_grad
        tensor = compress(
            tensor, self.compression, self.compression_floor, signed=signed, overwrite=True
        )
        if self._subtracts_mean():
            tensor -= tensor.mean(dim=(1, 2), keepdim=True)
        return tensor

    def _seed(self) -> int:
        # The integer itself, as skstrf.auditory.invert_auditory_spectrogram takes it.
        seed = self.random_state
        return int(seed) if isinstance(seed, Integral) else super()._seed()

    def _hint_shapes(self) -> list[tuple[int, ...]]:
        return [self.input_shape_]

    def _check_form(self, X: Any) -> Any:
        X = super()._check_form(X)
        if self.causal:
            raise ValueError(
                f"causal={self.causal!r} has no inverse. Use STRFTransformer(causal=False) for "
                "tensors that are to be inverted."
            )
        return X

    def _invert_rows(self, X: Any, phase: Any = None, *, start: int, seed: int) -> Any:
        rng: Any = np.random.default_rng(seed)
        # One number is drawn for every sample; the sounds before these have had theirs.
        n_samples = round(model_sample_rate() / frames_per_second(self.hop_duration))
        n_frames = self._n_spectrogram_frames(self.n_features_in_)
        rng.bit_generator.advance(start * n_frames * n_samples)
        sounds = invert_auditory_spectrogram(
            self._spectrograms(X),
            n_times=self.n_features_in_,
            start=None if phase is None else self._start(phase),
            max_iter=self.max_iter,
            random_state=rng,
            verbose=self.verbose,
            **self._cochlea(),
        )
        return sounds if is_torch(X) else to_numpy(sounds)

    def _start(self, phase: Any) -> np.ndarray:
        """Bring sounds to the level and the rate of the model."""
        sounds = np.asarray(to_numpy(phase), dtype=float)
        if not np.isfinite(sounds).all():
            raise ValueError("phase contains NaN or infinity.")
        sounds = standardize(sounds) if self.normalize else sounds
        return resample(sounds, self.sample_rate, model_sample_rate())

    def _spectrograms_like(self, X: Any) -> Any:
        v = self._spectrograms(X)
        return v if is_torch(X) else to_numpy(v)

    def _spectrograms(self, X: Any) -> torch.Tensor:
        """Return the auditory spectrograms of tensors of the right form, on their device."""
        import torch

        tensor = X.detach() if is_torch(X) else torch.from_numpy(np.ascontiguousarray(X))
        if not torch.isfinite(torch.view_as_real(tensor) if tensor.is_complex() else tensor).all():
            raise ValueError("X contains NaN or infinity.")
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.float()
        if not tensor.is_complex() and not tensor.is_floating_point():
            tensor = tensor.double()
        averages = self.pooling == "mean" and self.frame_step_ > 1
        if averages or self._subtracts_mean():
            return self._fitted_spectrograms(tensor)
        return self._inverted(tensor, self.max_iter)

    def _inverted(self, tensor: torch.Tensor, max_iter: int | None) -> torch.Tensor:
        v = invert_cortical_transform(
            expand(tensor, self.compression, self.compression_floor, signed=True),
            content=self.output,
            n_frames=self._n_spectrogram_frames(self.n_features_in_),
            frame_step=self.frame_step_,
            max_iter=max_iter,
            **self._bank(),
        )
        return v.clamp(min=0)

    def _fitted_spectrograms(self, tensor: torch.Tensor) -> torch.Tensor:
        """Fit spectrograms through the transform itself, where no algebra leads back."""
        import torch

        from skstrf.auditory import Cortex

        cortex = Cortex(
            frame_step=self.frame_step_, output=self.output, pooling=self.pooling, **self._bank()
        )
        if self._subtracts_mean():  # what all channels share is lost
            n_frames = self._n_spectrogram_frames(self.n_features_in_)
            start = torch.ones_like(tensor[:, 0, 0, :1, :1]).expand(-1, 128, n_frames)
        else:  # as if every average had been a sample
            start = self._inverted(tensor, None)
        max_iter = 100 if self.max_iter is None else self.max_iter
        return torch.cat(
            [
                _fit_spectrogram(
                    tensor[i : i + 1],
                    lambda v: self._compressed(cortex(v)),
                    start[i : i + 1],
                    max_iter=max_iter,
                )
                for i in range(len(tensor))
            ]
        )

    def _cochlea(self) -> dict:
        """Parameters of the auditory spectrogram, as the functions of the model take them."""
        return {
            "sample_rate": self.sample_rate,
            "hop_duration": self.hop_duration,
            "time_constant": self.time_constant,
            "nonlinearity": self.nonlinearity,
        }

    def _bank(self) -> dict:
        """Parameters of the receptive fields, as the functions of the model take them."""
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

    def _n_spectrogram_frames(self, n_times: int) -> int:
        rate = model_sample_rate()
        n_resampled = resampled_length(n_times, self.sample_rate, rate)
        per_frame = rate / frames_per_second(self.hop_duration)
        return int(-(-n_resampled // per_frame))

    def _axes_of(self, n_times: int) -> list[Axis]:
        step = self.frame_step_ / frames_per_second(self.hop_duration)
        offset = step / 2 if self.pooling == "mean" else 0.0
        n_frames = -(-self._n_spectrogram_frames(n_times) // self.frame_step_)
        return [
            Axis("scale", "cycles/octave", self.scales_),
            Axis("rate", "Hz", self.rates_),
            Axis("frequency", "Hz", center_frequencies()[:: self.channel_step]),
            Axis("time", "s", offset + step * np.arange(n_frames)),
        ]


# Pairs of steps and gradients that L-BFGS keeps.
_HISTORY = 10
_TINY = 1e-30


def _fit_spectrogram(
    target: torch.Tensor,
    forward: Callable,
    start: torch.Tensor,
    *,
    max_iter: int,
    tol: float = 1e-6,
) -> torch.Tensor:
    """Find the non-negative spectrogram whose tensor is nearest to the target, by L-BFGS."""
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
    if settled.causal:
        return _streamed(settled, blocks, block_length)
    if settled.normalize and iter(blocks) is blocks:
        raise ValueError(
            "blocks can be gone through once only, but normalize=True needs the mean of the whole "
            "first. Pass a list, or what audio_blocks returns, or set normalize=False."
        )
    return _transformed(settled, blocks, block_length, folder)


def long_axes(strf: STRFTransformer, n_times: int) -> list[Axis]:
    """Return the axes of the tensor of a sound of `n_times` samples, without computing it."""
    return _settled(strf)._axes_of(n_times)


def _settled(strf: STRFTransformer) -> STRFTransformer:
    """Return a copy that is fitted on a short silence; the length of the sound comes later."""
    return clone(strf).fit(np.zeros((1, _SILENCE), dtype=np.float32))


def _transformed(
    strf: STRFTransformer, blocks: Iterable[Any], block_length: int | None, folder: Any
) -> Iterator[np.ndarray]:
    import torch

    device = resolve_device(strf.device)
    spectrogram = _spectrogram_file(strf, blocks, folder)
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
            array = to_numpy(strf._compressed(torch.from_numpy(block)[None]))[0]
            yield array.astype(strf._output_dtype(array.real.dtype), copy=False)
    finally:
        spectrogram.close()


def _streamed(
    strf: STRFTransformer, blocks: Iterable[Any], block_length: int | None
) -> Iterator[np.ndarray]:
    """Transform a sound by a stream, and give frames in blocks of `block_length`."""
    stream = StreamingSTRF.from_transformer(strf)
    n_channels = len(strf.scales_) * len(strf.rates_) * len(strf.axes_[2].values)
    length = block_length or max(1, _PART_BYTES["cpu"] // (8 * n_channels))

    def frames() -> Iterator[np.ndarray]:
        for block in blocks:
            yield stream.push(block)
        yield stream.flush()

    held: list[np.ndarray] = []
    for part in frames():
        held.append(part)
        while sum(p.shape[-1] for p in held) >= length:
            joined = np.concatenate(held, axis=-1)
            yield joined[..., :length]
            held = [joined[..., length:]]
    joined = np.concatenate(held, axis=-1)
    if joined.shape[-1]:
        yield joined


def _spectrogram_file(strf: STRFTransformer, blocks: Iterable[Any], folder: Any) -> FrameFile:
    """Write the auditory spectrogram of the whole sound to disk."""
    parts = auditory_spectrogram_blocks(
        standardize_blocks(blocks) if strf.normalize else blocks,
        n_jobs=strf.n_jobs,
        **strf._cochlea(),
    )
    file: FrameFile | None = None
    for part in parts:
        file = file or FrameFile(strf.dtype or part.dtype, len(part), folder)
        file.append(part)
    assert file is not None, "the spectrogram of at least one sample has a frame"
    return file
