"""The auditory model for sounds that arrive in blocks, with the numbers of causal transformers."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from scipy.signal import firwin

from skstrf.auditory.causal import CausalCortex, causal_settings, rate_latencies
from skstrf.auditory.cochlea import (
    frame_settings,
    frames_per_second,
    model_sample_rate,
    run_kernel,
)
from skstrf.auditory.cortex import DEFAULT_RATES, DEFAULT_SCALES, signed_rates
from skstrf.auditory.filterbanks import center_frequencies
from skstrf.transforms.compression import compress
from skstrf.utils.validation import check_overflow, checked_number, checked_whole

__all__ = ["StreamingSTRF"]

# Samples above this size are taken for errors; their squares would overflow later.
_LARGEST = 1e15
# Variance below which a sound is silence: 100 dB below full scale.
_SILENCE = 1e-10
# Numbers of zero crossings of the resampling filter on each side, and of its phases at most.
_CROSSINGS, _MAX_PHASES = 32, 1 << 16
# Frames that are filtered at a time.
_FRAMES = 128


class StreamingSTRF:
    """Responses of the auditory cortex to sounds that arrive in blocks.

    The stages are those of ``STRFTransformer(causal=True)``, and so are the numbers, however the
    sound is divided into blocks: running level, resampling, cochlea, causal receptive fields,
    pooling and compression. Each keeps its state from block to block.

    Parameters
    ----------
    rates : sequence of float, default=(2, 4, 8, 16, 32)
        Temporal modulations in Hz, ascending; each is used upward and downward.
    scales : sequence of float, default=(0.25, 0.5, 1, 2, 4, 8)
        Spectral modulations in cycles/octave, ascending.
    sample_rate : float, default=16000
        Sampling rate of the blocks in Hz. Rates other than 16000 Hz are resampled.
    method : {"recursive", "fir"}, default="recursive"
        Kind of the rate filters, see :func:`skstrf.auditory.causal_cortical_transform`.
    look_ahead : int or None, default=None
        Number of later frames of the spectrogram that "fir" waits for; None is 12 (96 ms).
        With more the tensor is closer to that of the model, and comes later.
    hop_duration, time_constant, nonlinearity, bandpass, channel_step
        Same as in :class:`skstrf.STRFTransformer`.
    output : {"magnitude", "complex", "real"}, default="magnitude"
        Part of the complex response that is kept.
    frame_step : int, default=1
        Number of frames of the auditory spectrogram per frame of the tensor.
    pooling : {"mean", "sample"}, default="mean"
        Whether each window of `frame_step` frames is averaged, or its first frame kept.
    compression : {"log", "cbrt", None}, default="log"
        Compression of the magnitudes, as in :class:`skstrf.STRFTransformer`.
    compression_floor : float, default=0.001
        Magnitude at which the logarithm turns linear.
    contrast : bool, default=False
        Whether the mean over all scales and rates is subtracted from the logarithms.
    normalize : bool, default=True
        Whether the running mean is subtracted from the sound, which is then divided by its
        running deviation.
    level_time_constant : float, default=1.0
        Time constant of the running mean and deviation in s.
    dtype : {"float32", "float64"} or None, default=None
        Precision of the output; None keeps that of the first block.

    Attributes
    ----------
    rates_ : ndarray of shape (2 * n_rates,)
        Signed rates in Hz, ascending: negative rates are upward, positive downward.
    scales_ : ndarray of shape (n_scales,)
        Scales in cycles/octave.
    frequencies_ : ndarray of shape (n_freqs,)
        Center frequencies in Hz.
    frame_rate_ : float
        Number of frames of the tensor per second.
    latency_ : ndarray of shape (n_scales, 2 * n_rates)
        Time in s from a modulation of the sound to the peak of the response of its channel: the
        delay of the rate filter, the look-ahead, one window of frames, and the resampling.

    Raises
    ------
    ValueError
        If a parameter is invalid.

    See Also
    --------
    skstrf.STRFTransformer : The same for whole sounds, with ``causal=True``.

    Notes
    -----
    The whole state is in the object, which can be pickled and copied between two blocks. It does
    not grow with the length of the sound. The computation is in double precision.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import STRFTransformer
    >>> from skstrf.transforms import StreamingSTRF
    >>> sound = np.random.default_rng(0).standard_normal(16000)
    >>> stream = StreamingSTRF(rates=[4, 8], scales=[1])
    >>> parts = [stream.push(block) for block in np.array_split(sound, 9)]
    >>> parts.append(stream.flush())
    >>> live = np.concatenate(parts, axis=-1)
    >>> live.shape
    (1, 4, 128, 125)
    >>> strf = STRFTransformer(
    ...     rates=[4, 8], scales=[1], frame_step=1, causal=True, contrast=False
    ... )
    >>> bool(np.allclose(live, strf.fit_transform(sound[None])[0], atol=1e-6))
    True
    """

    def __init__(
        self,
        rates: Any = DEFAULT_RATES,
        scales: Any = DEFAULT_SCALES,
        sample_rate: float = 16000,
        *,
        method: str = "recursive",
        look_ahead: int | None = None,
        hop_duration: float = 8.0,
        time_constant: float = 8.0,
        nonlinearity: str | float = "linear",
        bandpass: bool = False,
        channel_step: int = 1,
        output: str = "magnitude",
        frame_step: int = 1,
        pooling: str = "mean",
        compression: str | None = "log",
        compression_floor: float = 0.001,
        contrast: bool = False,
        normalize: bool = True,
        level_time_constant: float = 1.0,
        dtype: Any = None,
    ) -> None:
        _check_choice("output", output, ("magnitude", "complex", "real"))
        _check_choice("pooling", pooling, ("mean", "sample"))
        _check_choice("compression", compression, ("log", "cbrt", None))
        if contrast and not (compression == "log" and output == "magnitude"):
            raise ValueError(
                "contrast=True needs compression='log' and output='magnitude'; got "
                f"compression={compression!r}, output={output!r}."
            )
        if dtype is not None:
            _check_choice("dtype", np.dtype(dtype).name, ("float32", "float64"))
        self.sample_rate = checked_number(
            sample_rate, "sample_rate", low=0, open_low=True, unit="Hz"
        )
        self.output, self.pooling, self.compression = output, pooling, compression
        self.compression_floor = checked_number(
            compression_floor, "compression_floor", low=0, open_low=True
        )
        self.contrast, self.normalize, self.dtype = bool(contrast), bool(normalize), dtype
        self.frame_step = checked_whole(frame_step, "frame_step")
        constant = checked_number(
            level_time_constant, "level_time_constant", low=0, open_low=True, unit="s"
        )
        self._decay = float(np.exp(-1 / (constant * self.sample_rate)))
        self._cochlea = frame_settings(
            model_sample_rate(), hop_duration, time_constant, nonlinearity
        )
        frame_rate = frames_per_second(hop_duration)
        self._bank = causal_settings(
            rates, scales, frame_rate=frame_rate, bandpass=bandpass, channel_step=channel_step,
            method=method, look_ahead=look_ahead,
        )  # fmt: skip
        self._ratio = _ratio(self.sample_rate)
        self.scales_ = self._bank.scales
        self.rates_ = signed_rates(self._bank.rates)
        self.frequencies_ = center_frequencies()[::channel_step]
        self.frame_rate_ = frame_rate / self.frame_step
        delays = rate_latencies(self._bank, frame_rate) + 1 / self.frame_rate_
        if self._ratio != 1:
            delays = delays + _reach(self._ratio) / self.sample_rate
        self.latency_ = np.tile(np.r_[delays[::-1], delays], (len(self.scales_), 1))
        self.reset()

    @classmethod
    def from_transformer(cls, strf: Any) -> StreamingSTRF:
        """Return a stream with the settings of a transformer.

        Parameters
        ----------
        strf : STRFTransformer
            Transformer with ``causal=True``, "recursive" or "fir"; it need not be fitted.

        Returns
        -------
        StreamingSTRF
            Stream whose frames equal those of the transformer.

        Raises
        ------
        ValueError
            If the transformer is not causal, or its parameters are invalid.
        """
        if not getattr(strf, "causal", False):
            raise ValueError(
                f"{strf!r} is not causal: its frames depend on the sound that follows. Fit the "
                "model with STRFTransformer(causal=True)."
            )
        return cls(**strf._streaming())

    def reset(self) -> None:
        """Forget everything that was heard; the next block may have another number of channels."""
        self._n_channels: int | None = None
        self._output_dtype: Any = None
        self._n_in, self._offset, self._n_out = 0, 0, 0
        self._n_window = 0
        self._window: np.ndarray | None = None
        self._memories: dict = {}
        self._levels = self._waiting = self._rest = np.zeros((0, 0))
        self._cortex = CausalCortex(self._bank, 0)

    def push(self, samples: Any, sample_rate: float | None = None) -> np.ndarray:
        """Return the frames of the tensor that a block of samples completes.

        Parameters
        ----------
        samples : array-like of shape (n_times,) or (n_channels, n_times)
            Next samples of the sound, of any number. Channels are independent of each other.
        sample_rate : float or None, default=None
            Sampling rate of the block in Hz, to be compared with that of the stream.

        Returns
        -------
        ndarray of shape (n_scales, 2 * n_rates, n_freqs, n_frames) or (n_channels, ...)
            New frames; their number may be 0.

        Raises
        ------
        ValueError
            If the block contains NaN, infinity or samples above 1e15, has another number of
            channels than the blocks before, or another sampling rate. The state is unchanged.
        """
        block = self._checked(samples, sample_rate)
        alone = block.ndim == 1
        block = np.atleast_2d(block)
        if self._n_channels is None:
            self._start(0 if alone else len(block), block.dtype)
        self._n_in += block.shape[-1]
        sound = block.astype(float)
        if self.normalize:
            sound = _running_level(sound, self._levels, self._decay)
        return self._frames(self._resampled(sound))

    def flush(self) -> np.ndarray:
        """Return the last frames, as if silence followed, and reset the stream.

        Returns
        -------
        ndarray of shape (n_scales, 2 * n_rates, n_freqs, n_frames) or (n_channels, ...)
            Frames that samples were waiting for; the last window may be shorter than the others.

        Raises
        ------
        ValueError
            If no samples were pushed.
        """
        if self._n_channels is None or not self._n_in:
            raise ValueError("The stream is empty: push samples before flush.")
        rest = np.zeros((len(self._levels), 0))
        if self._ratio != 1:
            wanted = max(1, int(self._n_in * self._ratio + Fraction(1, 2)))
            silence = np.zeros((len(self._levels), 2 * _reach(self._ratio) + 2))
            rest = self._resampled(silence)[:, : wanted - self._n_out]
            self._n_out = wanted
        samples = np.concatenate([self._rest, rest], axis=-1)
        padding = -samples.shape[-1] % self._cochlea.n_samples
        self._rest = samples[:, :0]
        parts = [self._frames(np.pad(samples, ((0, 0), (0, padding))))]
        parts.append(self._pooled(self._cortex.flush(), last=True))
        self.reset()
        return np.concatenate(parts, axis=-1)

    def _checked(self, samples: Any, sample_rate: float | None) -> np.ndarray:
        block = np.asarray(samples)
        if block.dtype.kind not in "fiub" or block.ndim not in (1, 2):
            raise ValueError(
                "A block must be real samples of shape (n_times,) or (n_channels, n_times); got "
                f"shape {block.shape} of dtype {block.dtype}."
            )
        if sample_rate is not None and sample_rate != self.sample_rate:
            raise ValueError(
                f"The block has {sample_rate:g} Hz and the stream {self.sample_rate:g} Hz. Set "
                "sample_rate of StreamingSTRF to that of the sound."
            )
        n_channels = 0 if block.ndim == 1 else len(block)
        if block.ndim == 2 and not n_channels:
            raise ValueError(f"The block of shape {block.shape} has no channel.")
        if self._n_channels is not None and n_channels != self._n_channels:
            raise ValueError(
                f"The block of shape {block.shape} has {max(1, n_channels)} channels, and the "
                f"blocks before had {max(1, self._n_channels)}. Call reset() to start anew."
            )
        if block.size and not np.abs(block).max() <= _LARGEST:
            raise ValueError(
                "The block contains NaN, infinity or samples above 1e15. Leave it out or repair "
                "it; the stream is as before."
            )
        if block.dtype not in (np.float32, np.float64):
            block = block.astype(np.float32 if block.dtype == np.float16 else np.float64)
        return block

    def _start(self, n_channels: int, dtype: Any) -> None:
        n_sounds = max(1, n_channels)
        self._n_channels = n_channels
        self._output_dtype = np.dtype(self.dtype or dtype)
        if self.output == "complex":
            self._output_dtype = np.result_type(self._output_dtype, np.complex64)
        self._levels = np.zeros((n_sounds, 3))
        self._waiting = np.zeros((n_sounds, _reach(self._ratio)))  # silence before the sound
        self._rest = np.zeros((n_sounds, 0))
        self._cortex = CausalCortex(self._bank, n_sounds)

    def _resampled(self, sound: np.ndarray) -> np.ndarray:
        """Return the samples at the model's rate whose surroundings are complete."""
        if self._ratio == 1:
            return sound
        up, down = self._ratio.numerator, self._ratio.denominator
        table, reach = _phases(up, down), _reach(self._ratio)
        waiting = np.concatenate([self._waiting, sound], axis=-1)
        # Sample m of the output is at m * down / up samples of the input. The first of `waiting`
        # is that at `offset - reach`.
        last = self._offset + waiting.shape[-1] - 2 * reach - 1  # input sample with both sides
        n_ready = max(0, (last * up + up - 1) // down + 1) if last >= 0 else 0
        places = np.arange(self._n_out, max(self._n_out, n_ready), dtype=np.int64) * down
        result = np.zeros((len(sound), len(places)))
        _interpolate(waiting, places // up - self._offset, places % up, table, result)
        self._n_out += len(places)
        kept = max(0, self._n_out * down // up - self._offset)
        kept = min(kept, waiting.shape[-1])
        self._waiting, self._offset = waiting[:, kept:].copy(), self._offset + kept
        return result

    def _frames(self, sound: np.ndarray) -> np.ndarray:
        """Return the frames of the tensor that samples at the model's rate complete."""
        samples = np.concatenate([self._rest, sound], axis=-1)
        size = self._cochlea.n_samples
        n_whole = samples.shape[-1] // size * size
        self._rest = samples[:, n_whole:].copy()
        parts = []
        for start in range(0, n_whole, _FRAMES * size):
            part = samples[:, start : min(start + _FRAMES * size, n_whole)]
            frames = run_kernel(part, self._cochlea, 1, np.float64, self._memories)
            parts.append(self._pooled(self._cortex.push(frames)))
        if not parts:
            parts = [self._pooled(self._cortex.push(np.zeros((len(samples), 128, 0))))]
        return np.concatenate(parts, axis=-1)

    def _pooled(self, responses: np.ndarray, last: bool = False) -> np.ndarray:
        """Pool and compress responses, the incomplete window of earlier ones included."""
        if self.output == "magnitude":
            responses = np.abs(responses)
        elif self.output == "real":
            responses = responses.real
        step = self.frame_step
        windows = []
        if step == 1:
            windows = [responses]
        else:
            start = 0
            while start < responses.shape[-1]:
                part = responses[..., start : start + step - self._n_window]
                if self._window is None:
                    first = part[..., 0].copy()
                    total = first if self.pooling == "sample" else part.sum(axis=-1)
                    self._window = total
                elif self.pooling == "mean":
                    self._window += part.sum(axis=-1)
                start += part.shape[-1]
                self._n_window += part.shape[-1]
                if self._n_window == step:
                    windows.append(self._closed_window())
            if last and self._window is not None:
                windows.append(self._closed_window())
        empty = responses[..., :0]
        pooled = np.concatenate(windows, axis=-1) if windows else empty
        pooled = compress(
            pooled, self.compression, self.compression_floor, signed=self.output != "magnitude"
        )
        if self.contrast:
            pooled = pooled - pooled.mean(axis=(1, 2), keepdims=True)
        pooled = check_overflow(pooled.astype(self._output_dtype), "StreamingSTRF")
        return pooled if self._n_channels else pooled[0]

    def _closed_window(self) -> np.ndarray:
        window = self._window
        assert window is not None, "a window is closed after frames were added to it"
        total = window / self._n_window if self.pooling == "mean" else window
        self._window, self._n_window = None, 0
        return total[..., None]


def _check_choice(name: str, value: Any, choices: tuple) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}.")


@njit(nogil=True, cache=True)
def _running_level(sound, levels, decay):
    """Return sounds minus their running mean, divided by their running deviation."""
    result = np.empty_like(sound)
    for i in range(sound.shape[0]):
        # Sums with exponentially decaying weights: of the weights, samples and squares.
        weight, total, squares = levels[i, 0], levels[i, 1], levels[i, 2]
        for n in range(sound.shape[1]):
            weight = weight * decay + 1
            total = total * decay + sound[i, n]
            centered = sound[i, n] - total / weight
            squares = squares * decay + centered * centered
            result[i, n] = centered / np.sqrt(squares / weight + _SILENCE)
        levels[i, 0], levels[i, 1], levels[i, 2] = weight, total, squares
    return result


def _ratio(sample_rate: float) -> Fraction:
    """Return the ratio of the model's sampling rate to that of the sound."""
    ratio = Fraction(model_sample_rate()) / Fraction(sample_rate)
    if ratio.numerator > _MAX_PHASES or not Fraction(1, 256) <= ratio <= 256:
        raise ValueError(
            f"Sounds of {sample_rate:g} Hz cannot be resampled to {model_sample_rate():g} Hz "
            "block by block. Give a whole number of Hz from 63 to 4096000."
        )
    return ratio


def _reach(ratio: Fraction) -> int:
    """Return the number of input samples on each side that a resampled sample depends on."""
    return 0 if ratio == 1 else int(np.ceil(_CROSSINGS * max(1.0, float(1 / ratio))))


@lru_cache(maxsize=8)
def _phases(up: int, down: int) -> np.ndarray:
    """Return a windowed sinc low-pass filter, sampled at `up` phases: (up, 2 * reach + 1)."""
    reach = _reach(Fraction(up, down))
    taps = up * firwin(2 * reach * up + 1, 0.92 / max(up, down), window=("kaiser", 8.0))
    # Input sample k - reach, ..., k + reach for an output at k + phase / up.
    lags = (np.arange(2 * reach + 1) - reach) * up
    places = reach * up + np.arange(up)[:, None] - lags
    inside = (places >= 0) & (places < len(taps))
    return np.where(inside, taps[places.clip(0, len(taps) - 1)], 0.0)


@njit(nogil=True, cache=True)
def _interpolate(sound, starts, phases, table, result):
    n_taps = table.shape[1]
    for i in range(result.shape[0]):
        for m in range(result.shape[1]):
            total = 0.0
            for k in range(n_taps):
                total += table[phases[m], k] * sound[i, starts[m] + k]
            result[i, m] = total
